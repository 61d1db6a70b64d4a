/*
 * 27-socket-permissions -- how does a socket file get its mode in time?
 *
 * bind() makes the file. The mode of the file is the mode of the socket without
 * the bits of the umask. The socket has the mode 0777, unless fchmod() has
 * changed it before. After bind() only chmod() changes the file. A client can
 * be quicker than chmod() once the server listens, or once the name is there if
 * the server receives datagrams.
 *
 *     socket()         fchmod(fd)       bind()           chmod(path)
 *
 *     socket: 0777     socket: 0600     socket: 0600     socket: 0600
 *                                       file:   0600     file:   0660
 *
 * See unix(7), umask(2), chmod(2), bind(2), listen(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};
static const char *const log_path = "log.txt";

/* The permissions in the mode, without the type of the file. */
static mode_t mode_of_file(const char *path)
{
    struct stat status;

    CHECK(stat(path, &status));
    return status.st_mode & 07777;
}

static mode_t mode_of_socket(int fd)
{
    struct stat status;

    CHECK(fstat(fd, &status));
    return status.st_mode & 07777;
}

/* umask() cannot fail. It returns the umask that was there before. */
static void change_umask(mode_t mask)
{
    mode_t before = umask(mask);

    say("umask(%#o) = %#o", mask, before);
}

static void change_socket(int fd, mode_t mode)
{
    int changed = CHECK(fchmod(fd, mode));

    say("fchmod(fd, %#o) = %d", mode, changed);
}

static void change_file(mode_t mode)
{
    int changed = CHECK(chmod(server_address.sun_path, mode));

    say("chmod(\"%s\", %#o) = %d", server_address.sun_path, mode, changed);
}

static void bind_server(int fd)
{
    CHECK(bind(fd, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    say("bind(\"%s\") -> mode %#o", server_address.sun_path,
        mode_of_file(server_address.sun_path));
}

static void start_listening(int fd)
{
    int listening = CHECK(listen(fd, 8));

    say("listen(fd) = %d", listening);
}

static void close_server(int fd)
{
    CHECK(close(fd));
    CHECK(unlink(server_address.sun_path));
}

/* A file that is not a socket. It is removed again. */
static void make_log_file(void)
{
    const mode_t wanted = 0666;
    int fd = CHECK(open(log_path, O_CREAT | O_WRONLY, wanted));

    say("open(\"%s\", O_CREAT, %#o) -> mode %#o", log_path, wanted,
        mode_of_file(log_path));
    CHECK(close(fd));
    CHECK(unlink(log_path));
}

/* A client that writes its name and goes. The caller names the one error that
 * may come, or 0 for none. Any other error ends the lab. */
static void try_to_connect(const char *name, int error)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    role(name);
    int result = connect(fd, (const struct sockaddr *)&server_address,
                         sizeof(server_address));
    if (result == -1 && errno != error)
        fail("connect()", __FILE__, __LINE__);
    if (result == -1) {
        say("connect(\"%s\") = -1 %s", server_address.sun_path,
            error_name(error));
    } else {
        say("connect(\"%s\") = %d", server_address.sun_path, result);
        CHECK(write(fd, name, strlen(name)));
    }

    CHECK(close(fd));
    role("server");
}

/* The same with a datagram: its text is the name of the client. */
static void try_to_send(const char *name, int error)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role(name);
    ssize_t n = sendto(fd, name, strlen(name), 0,
                       (const struct sockaddr *)&server_address,
                       sizeof(server_address));
    if (n == -1 && errno != error)
        fail("sendto()", __FILE__, __LINE__);
    if (n == -1)
        say("sendto(\"%s\", \"%s\") = -1 %s", name, server_address.sun_path,
            error_name(error));
    else
        say("sendto(\"%s\", \"%s\") = %zd", name, server_address.sun_path, n);

    CHECK(close(fd));
    role("server");
}

/* Accepts whoever waits, and reads the name. The listener does not block: when
 * nobody waits, accept() is -1 EAGAIN. */
static void accept_all(int listener)
{
    char name[16];    // longer than any name in this lab

    int peer = accept(listener, NULL, NULL);
    while (peer != -1) {
        int n = CHECK(read(peer, name, sizeof(name)));
        say("accept(fd), read(peer) = %d \"%.*s\"", n, n, name);
        CHECK(close(peer));
        peer = accept(listener, NULL, NULL);
    }
    if (errno != EAGAIN)
        fail("accept()", __FILE__, __LINE__);
    say("accept(fd) = -1 %s", error_name(EAGAIN));
}

static void receive_all(int server)
{
    char text[16];    // longer than any name in this lab

    ssize_t n = recv(server, text, sizeof(text), 0);
    while (n != -1) {
        say("recv(fd) = %zd \"%.*s\"", n, (int)n, text);
        n = recv(server, text, sizeof(text), 0);
    }
    if (errno != EAGAIN)
        fail("recv()", __FILE__, __LINE__);
    say("recv(fd) = -1 %s", error_name(EAGAIN));
}

/* A regular file is there for comparison: its mode is an argument of open(). */
static void modes_and_umask(void)
{
    static const mode_t masks[] = {022, 0, 077};

    role("server");
    for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
        int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

        change_umask(masks[i]);
        make_log_file();
        bind_server(fd);
        close_server(fd);
    }
    umask(022);
}

static void fchmod_before_bind(mode_t mode)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    change_socket(fd, mode);
    bind_server(fd);

    close_server(fd);
}

/* After bind() there are two modes to look at: that of the socket, and that of
 * the file. */
static void fchmod_after_bind(mode_t mode)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    bind_server(fd);
    say("fstat(fd) -> mode %#o", mode_of_socket(fd));
    change_socket(fd, mode);
    say("fstat(fd) -> mode %#o", mode_of_socket(fd));
    say("stat(\"%s\") -> mode %#o", server_address.sun_path,
        mode_of_file(server_address.sun_path));

    close_server(fd);
}

/* After each call of the server a client tries, as early as it can. */
static void listen_then_chmod(void)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));

    bind_server(fd);
    try_to_connect("ann", ECONNREFUSED);
    start_listening(fd);
    try_to_connect("bob", 0);
    change_file(0);
    try_to_connect("carol", EACCES);
    accept_all(fd);

    close_server(fd);
}

static void chmod_then_listen(void)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));

    bind_server(fd);
    try_to_connect("ann", ECONNREFUSED);
    change_file(0);
    try_to_connect("bob", EACCES);
    start_listening(fd);
    try_to_connect("carol", EACCES);
    accept_all(fd);

    close_server(fd);
}

/* The same with datagrams. There is no listen() before which the server could
 * call chmod(). */
static void bind_then_chmod(void)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));

    bind_server(fd);
    try_to_send("ann", 0);
    change_file(0);
    try_to_send("bob", EACCES);
    receive_all(fd);

    close_server(fd);
}

/* The file has the mode 0 from its first moment on, until all is ready. */
static void born_shut(void)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));

    change_socket(fd, 0);
    bind_server(fd);
    try_to_send("ann", EACCES);
    change_file(0200);
    try_to_send("bob", 0);
    receive_all(fd);

    close_server(fd);
}

static void *log_something(void *unused)
{
    role("logger");
    make_log_file();
    return unused;
}

/* The thread does all that it does during this call, and has ended after it. */
static void run_logger(void)
{
    pthread_t logger;

    CHECK_PTHREAD(pthread_create(&logger, NULL, log_something, NULL));
    CHECK_PTHREAD(pthread_join(logger, NULL));
}

/* The logger comes just when the umask is not the usual one. */
static void mode_by_umask(void)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    change_umask(077);
    bind_server(fd);
    run_logger();
    change_umask(022);

    close_server(fd);
}

static void mode_by_fchmod(void)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    change_socket(fd, 0700);
    bind_server(fd);
    run_logger();

    close_server(fd);
}

/* Who has given up root's privileges needs the permission to make files. */
static void need_own_directory(void)
{
    int allowed = access(".", W_OK | X_OK);

    if (allowed == -1 && errno == EACCES)
        skip("this lab makes files here: run it in a directory of your own");
    CHECK(allowed);
}

int main(void)
{
    as_ordinary_user();    // root may connect whatever the mode is
    need_own_directory();
    umask(022);

    step("Which mode does bind() give the file?");
    modes_and_umask();

    step("What does fchmod() on the socket change, before and after bind()?");
    fchmod_before_bind(0600);
    fchmod_before_bind(0666);
    fchmod_after_bind(0600);

    step("Which clients are quicker than chmod()?");
    listen_then_chmod();
    chmod_then_listen();

    step("And if the clients send datagrams?");
    bind_then_chmod();
    born_shut();

    step("What else does umask() change?");
    mode_by_umask();
    mode_by_fchmod();
}
