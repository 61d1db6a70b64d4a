/*
 * 27-socket-permissions -- how does a socket file get its mode in time?
 *
 * bind() makes the file. Its mode is the mode of the socket without the bits of
 * the umask. A new socket has the mode 0777, and fchmod() can change it before
 * bind(). After bind() only chmod() changes the file. It comes too late for a
 * client that is quicker: for a stream, one that comes after listen(); for
 * datagrams, one that comes after bind().
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
static const struct sockaddr_un first_address = {.sun_family = AF_UNIX,
                                                 .sun_path = "first.sock"};
static const struct sockaddr_un second_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "second.sock"};
static const char *const log_path = "log.txt";

/* The permissions. In st_mode, the type of the file stands before them: a
 * regular file, a socket, a directory. */
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

/* umask() cannot fail. It returns the umask that was there before, which is no
 * question in steps 1 and 2. */
static void set_umask(mode_t mask)
{
    say("umask(%#o) ...", mask);
    umask(mask);
}

static mode_t change_umask(mode_t mask)
{
    mode_t before = umask(mask);

    say("umask(%#o) = %#o", mask, before);
    return before;
}

/* `old` is what change_umask() has returned. */
static void set_umask_again(mode_t old)
{
    mode_t before = umask(old);

    say("umask(old) = %#o", before);
}

static void change_socket(int fd, mode_t mode)
{
    int changed = CHECK(fchmod(fd, mode));

    say("fchmod(fd, %#o) = %d, socket: %#o", mode, changed, mode_of_socket(fd));
}

static void change_file(mode_t mode)
{
    int changed = CHECK(chmod(server_address.sun_path, mode));

    say("chmod(\"%s\", %#o) = %d", server_address.sun_path, mode, changed);
}

static void bind_server(int fd, const struct sockaddr_un *address)
{
    int bound =
        CHECK(bind(fd, (const struct sockaddr *)address, sizeof(*address)));

    say("bind(fd, \"%s\") = %d, file: %#o", address->sun_path, bound,
        mode_of_file(address->sun_path));
}

static void start_listening(int fd)
{
    int listening = CHECK(listen(fd, 8));    // more than the clients here

    say("listen(fd) = %d", listening);
}

static void close_server(int fd, const struct sockaddr_un *address)
{
    CHECK(close(fd));
    CHECK(unlink(address->sun_path));
}

/* A file that is not a socket. It is removed again. */
static void make_log_file(void)
{
    const mode_t wanted = 0666;
    int log = CHECK(open(log_path, O_CREAT | O_WRONLY, wanted));

    say("open(\"%s\", O_CREAT, %#o), file: %#o", log_path, wanted,
        mode_of_file(log_path));
    CHECK(close(log));
    CHECK(unlink(log_path));
}

/* A client that writes its name and goes. The caller names the one error that
 * may come, or 0 for none. Any other error ends the lab. RESULT() is not used:
 * it takes the name of one error, such as EACCES, and here the error differs
 * from call to call. */
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
static void try_to_send(const char *name)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role(name);
    const char *result = RESULT(sendto(fd, name, strlen(name), 0,
                                       (const struct sockaddr *)&server_address,
                                       sizeof(server_address)),
                                EACCES);
    say("sendto(\"%s\", \"%s\") = %s", name, server_address.sun_path, result);

    CHECK(close(fd));
    role("server");
}

/* With SOCK_NONBLOCK no call on this socket waits: when there is no client or
 * no datagram, accept() and recv() are -1 EAGAIN. */
static int open_socket(int type)
{
    return CHECK(socket(AF_UNIX, type | SOCK_NONBLOCK, 0));
}

/* Accepts all who are in the queue. The names that they have written are put
 * one after the other. */
static void accept_all(int fd)
{
    char names[64];    // longer than all names in this lab
    size_t length = 0;

    int to_client = accept(fd, NULL, NULL);
    while (to_client != -1) {
        int n = CHECK(read(to_client, names + length, sizeof(names) - length));
        length += (size_t)n;
        CHECK(close(to_client));
        to_client = accept(fd, NULL, NULL);
    }
    if (errno != EAGAIN)
        fail("accept()", __FILE__, __LINE__);
    say("accept(fd) until EAGAIN, read(to_client): \"%.*s\"", (int)length,
        names);
}

static void receive_all(int fd)
{
    char text[16];    // longer than any name in this lab

    ssize_t n = recv(fd, text, sizeof(text), 0);
    while (n != -1) {
        say("recv(fd) = %zd \"%.*s\"", n, (int)n, text);
        n = recv(fd, text, sizeof(text), 0);
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
        int fd = open_socket(SOCK_STREAM);

        set_umask(masks[i]);
        make_log_file();
        bind_server(fd, &server_address);
        close_server(fd, &server_address);
    }
}

static void fchmod_before_bind(mode_t mode)
{
    say("socket(AF_UNIX, SOCK_STREAM) ...");
    int fd = open_socket(SOCK_STREAM);
    change_socket(fd, mode);
    bind_server(fd, &server_address);

    close_server(fd, &server_address);
}

/* After bind() there are two modes to look at: that of the socket, and that of
 * the file. */
static void fchmod_after_bind(mode_t mode)
{
    say("socket(AF_UNIX, SOCK_STREAM) ...");
    int fd = open_socket(SOCK_STREAM);
    bind_server(fd, &server_address);
    change_socket(fd, mode);
    say("stat(\"%s\"), file: %#o", server_address.sun_path,
        mode_of_file(server_address.sun_path));

    close_server(fd, &server_address);
}

/* After each call of the server a client tries, as early as it can. */
static void listen_then_chmod(void)
{
    int fd = open_socket(SOCK_STREAM);

    bind_server(fd, &server_address);
    try_to_connect("ann", ECONNREFUSED);
    start_listening(fd);
    try_to_connect("bob", 0);
    change_file(0);
    try_to_connect("carol", EACCES);
    accept_all(fd);

    close_server(fd, &server_address);
}

static void chmod_then_listen(void)
{
    int fd = open_socket(SOCK_STREAM);

    bind_server(fd, &server_address);
    try_to_connect("ann", ECONNREFUSED);
    change_file(0);
    try_to_connect("bob", EACCES);
    start_listening(fd);
    try_to_connect("carol", EACCES);
    accept_all(fd);

    close_server(fd, &server_address);
}

/* The same with datagrams. There is no listen() before which the server could
 * call chmod(). */
static void bind_then_chmod(void)
{
    int fd = open_socket(SOCK_DGRAM);

    bind_server(fd, &server_address);
    try_to_send("ann");
    change_file(0);
    try_to_send("bob");
    receive_all(fd);

    close_server(fd, &server_address);
}

/* The file has the mode 0 from its first moment on, until all is ready. */
static void fchmod_then_bind(void)
{
    int fd = open_socket(SOCK_DGRAM);

    change_socket(fd, 0);
    bind_server(fd, &server_address);
    try_to_send("ann");
    change_file(0200);
    try_to_send("bob");
    receive_all(fd);

    close_server(fd, &server_address);
}

/* The thread second wants a file for everybody. When it has changed the umask,
 * it writes one byte, and the thread first goes on. Then it waits until first
 * writes a byte, too. */
static void *make_second_file(void *arg)
{
    const int *to_first = arg;
    char byte = 'x';
    int fd = open_socket(SOCK_STREAM);

    role("second");
    mode_t old = change_umask(0);
    CHECK(write(*to_first, &byte, 1));

    CHECK(read(*to_first, &byte, 1));
    bind_server(fd, &second_address);
    set_umask_again(old);

    close_server(fd, &second_address);
    return NULL;
}

/* The thread first wants a file for its own user only. The calls of second come
 * between its own calls. log.txt is made when second has ended. */
static void two_threads_change_the_umask(void)
{
    int fd = open_socket(SOCK_STREAM);
    int sv[2];
    char byte = 'x';
    pthread_t second;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    role("first");
    mode_t old = change_umask(077);
    CHECK_PTHREAD(pthread_create(&second, NULL, make_second_file, &sv[1]));

    CHECK(read(sv[0], &byte, 1));
    bind_server(fd, &first_address);
    set_umask_again(old);
    CHECK(write(sv[0], &byte, 1));

    CHECK_PTHREAD(pthread_join(second, NULL));
    make_log_file();

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
    close_server(fd, &first_address);
}

int main(void)
{
    as_ordinary_user();    // root may connect whatever the mode is
    need_own_directory();
    umask(022);    // whatever umask the lab was started with

    step("Which mode does bind() give the file?");
    modes_and_umask();

    step("What does fchmod() on the socket change, before and after bind()?");
    set_umask(022);
    fchmod_before_bind(0600);
    fchmod_before_bind(0666);
    fchmod_after_bind(0600);

    step("Which clients are quicker than chmod()?");
    listen_then_chmod();
    chmod_then_listen();

    step("And if the clients send datagrams?");
    bind_then_chmod();
    fchmod_then_bind();

    step("Two threads change the umask. Which files do they get?");
    two_threads_change_the_umask();
}
