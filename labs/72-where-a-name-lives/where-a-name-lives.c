/*
 * 72-where-a-name-lives -- why is the server not at its path?
 *
 * bind() makes a file, so it needs a directory in which this process may make
 * one, and a name that is free. The file is the only way from the path to the
 * socket. The socket itself remembers only the text of the path. Nobody tells
 * the server when the file is renamed or removed.
 *
 *     client ----> "server.sock" ----> file ----> listener       server
 *                  rename(), unlink()             "server.sock"
 *                  by anybody                     whatever happens
 *
 * See unix(7), bind(2), connect(2), path_resolution(7), utimensat(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,              // longer than any text here
    BACKLOG = 4,            // more than ever wait in a queue here
    LONG_AGO = 946684800    // when the year 2000 began
};

/* A path that is too long ends the lab: cut off, it would be another path. */
static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path) + 1;

    if (size > sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        fail("address_of()", __FILE__, __LINE__);
    }
    memcpy(address.sun_path, path, size);
    return address;
}

/* With SOCK_NONBLOCK, accept() does not wait: with nobody in the queue it is -1
 * EAGAIN. */
static int new_socket(int type)
{
    return CHECK(socket(AF_UNIX, type | SOCK_NONBLOCK, 0));
}

/* name is what the descriptor is called in the caller. error is the only error
 * that may come, or 0 if none may come: after a failure errno is never 0. Any
 * other error ends the lab. result_text() is the function behind RESULT(). */
static void bind_to(const char *name, int fd, const char *path, int error)
{
    struct sockaddr_un address = address_of(path);
    char call[ROOM];

    snprintf(call, sizeof(call), "bind(%s, \"%s\")", name, path);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
    const char *result =
        result_text(bound, error, error_name(error), call, __FILE__, __LINE__);
    say("%s = %s", call, result);
}

static void connect_to(int fd, const char *path, int error)
{
    struct sockaddr_un address = address_of(path);
    char call[ROOM];

    snprintf(call, sizeof(call), "connect(\"%s\")", path);
    int connected = connect(fd, (struct sockaddr *)&address, sizeof(address));
    const char *result = result_text(connected, error, error_name(error), call,
                                     __FILE__, __LINE__);
    say("%s = %s", call, result);
}

static void make_plain_file(const char *path)
{
    int fd = CHECK(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));

    CHECK(close(fd));
}

/* shut: its owner may search it, and may not make a file in it. locked: its
 * owner may not even search it. */
static void make_obstacles(void)
{
    make_plain_file("plain");
    CHECK(symlink("nowhere", "dangling"));
    CHECK(mkdir("room", 0700));
    CHECK(mkdir("shut", 0500));
    CHECK(mkdir("locked", 0));
}

static void remove_obstacles(void)
{
    CHECK(unlink("plain"));
    CHECK(unlink("dangling"));
    CHECK(rmdir("room"));
    CHECK(rmdir("shut"));
    CHECK(rmdir("locked"));
}

/* Linux 5.10 makes a file although bind() fails with EINVAL. Newer kernels make
 * none. */
static void remove_if_there(const char *path)
{
    int removed = unlink(path);

    if (removed == -1 && errno != ENOENT)
        fail("unlink()", __FILE__, __LINE__);
}

/* One socket tries all paths. A bind() that fails does not change it. */
static void try_to_bind(void)
{
    int listener = new_socket(SOCK_STREAM);

    make_obstacles();
    role("server");
    bind_to("listener", listener, "missing/server.sock", ENOENT);
    bind_to("listener", listener, "plain/server.sock", ENOTDIR);
    bind_to("listener", listener, "shut/server.sock", EACCES);
    bind_to("listener", listener, "locked/server.sock", EACCES);
    bind_to("listener", listener, "plain", EADDRINUSE);
    bind_to("listener", listener, "room", EADDRINUSE);
    bind_to("listener", listener, "dangling", EADDRINUSE);
    bind_to("listener", listener, "server.sock", 0);
    bind_to("listener", listener, "second.sock", EINVAL);

    CHECK(close(listener));
    CHECK(unlink("server.sock"));
    remove_if_there("second.sock");
    remove_obstacles();
}

/* The same paths, but for a client. There is one server, at server.sock. */
static void try_to_connect(void)
{
    struct sockaddr_un address = address_of("server.sock");
    int listener = new_socket(SOCK_STREAM);
    int ann = new_socket(SOCK_STREAM);

    make_obstacles();
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)));
    CHECK(listen(listener, BACKLOG));
    role("ann");
    connect_to(ann, "missing/server.sock", ENOENT);
    connect_to(ann, "plain/server.sock", ENOTDIR);
    connect_to(ann, "shut/server.sock", ENOENT);
    connect_to(ann, "locked/server.sock", EACCES);
    connect_to(ann, "plain", ECONNREFUSED);
    connect_to(ann, "room", ECONNREFUSED);
    connect_to(ann, "dangling", ENOENT);
    connect_to(ann, "server.sock", 0);

    CHECK(close(ann));
    CHECK(close(listener));
    CHECK(unlink("server.sock"));
    remove_obstacles();
}

/* What getsockname() or getpeername() has stored. */
static void say_name(const char *call, const struct sockaddr_un *name)
{
    say("%s -> \"%s\"", call, name->sun_path);
}

static void say_own_name(int listener)
{
    struct sockaddr_un own = {0};
    socklen_t length = sizeof(own);

    CHECK(getsockname(listener, (struct sockaddr *)&own, &length));
    say_name("getsockname(listener)", &own);
}

static void say_peer_name(int to_server)
{
    struct sockaddr_un peer = {0};
    socklen_t length = sizeof(peer);

    CHECK(getpeername(to_server, (struct sockaddr *)&peer, &length));
    say_name("getpeername(to_server)", &peer);
}

/* The line of /proc/net/unix with the number of this socket. The number is the
 * seventh word of the line, and the path is the eighth. */
static void say_kernel_list(int listener)
{
    struct stat status;
    char line[256];
    char path[128] = "";
    FILE *list = fopen("/proc/net/unix", "re");    // e: with O_CLOEXEC

    if (!list)
        fail("fopen(\"/proc/net/unix\")", __FILE__, __LINE__);
    CHECK(fstat(listener, &status));
    while (fgets(line, sizeof(line), list)) {
        unsigned long number = 0;
        char word[128] = "";
        int words =
            sscanf(line, "%*s %*s %*s %*s %*s %*s %lu %127s", &number, word);
        if (words == 2 && number == status.st_ino)
            memcpy(path, word, sizeof(path));
    }
    if (ferror(list))
        fail("fgets(\"/proc/net/unix\")", __FILE__, __LINE__);
    CHECK(fclose(list));
    say("/proc/net/unix, the listener's line: \"%s\"", path);
}

static void start_to_listen(const char *name, int fd)
{
    int listening = CHECK(listen(fd, BACKLOG));

    say("listen(%s) = %d", name, listening);
}

/* The server does not rename the file: somebody else does. */
static void rename_file(void)
{
    int listener = new_socket(SOCK_STREAM);
    int ann = new_socket(SOCK_STREAM);
    int other = new_socket(SOCK_STREAM);

    role("server");
    bind_to("listener", listener, "old.sock", 0);
    start_to_listen("listener", listener);
    role("mover");
    int renamed = CHECK(rename("old.sock", "new.sock"));
    say("rename(\"old.sock\", \"new.sock\") = %d", renamed);

    role("ann");
    connect_to(ann, "old.sock", ENOENT);
    connect_to(ann, "new.sock", 0);
    say_peer_name(ann);
    role("server");
    say_own_name(listener);
    say_kernel_list(listener);
    role("other");
    bind_to("other", other, "old.sock", 0);

    CHECK(close(listener));
    CHECK(close(ann));
    CHECK(close(other));
    CHECK(unlink("new.sock"));
    CHECK(unlink("old.sock"));
}

/* As if nobody had used the file for years. */
static void make_it_old(const char *path)
{
    const struct timespec times[2] = {{.tv_sec = LONG_AGO},
                                      {.tv_sec = LONG_AGO}};

    CHECK(utimensat(AT_FDCWD, path, times, 0));
}

/* The time that the lab has set, or one since the step began. Any other time is
 * shown as it is: seconds since 1970. */
static const char *time_name(time_t when, time_t start, char text[ROOM])
{
    if (when == LONG_AGO)
        return "long ago";
    if (when >= start)
        return "in this step";
    snprintf(text, ROOM, "%lld", (long long)when);
    return text;
}

/* What a cleaner of /tmp sees of the file. */
static void look_at_times(const char *path, time_t start)
{
    struct stat status;
    char text[2][ROOM];

    CHECK(stat(path, &status));
    const char *accessed = time_name(status.st_atime, start, text[0]);
    const char *modified = time_name(status.st_mtime, start, text[1]);
    role("cleaner");
    say("stat(\"%s\") -> accessed: %s, modified: %s", path, accessed, modified);
}

static int open_server(const char *path, int type)
{
    struct sockaddr_un address = address_of(path);
    int fd = new_socket(type);

    CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)));
    if (type == SOCK_STREAM)
        CHECK(listen(fd, BACKLOG));
    return fd;
}

static int open_client(const char *path, int type)
{
    struct sockaddr_un address = address_of(path);
    int fd = new_socket(type);

    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)));
    return fd;
}

static void send_text(int fd, const char *text)
{
    int n = CHECK(send(fd, text, strlen(text), 0));

    say("send(\"%s\") = %d", text, n);
}

static void receive_text(const char *name, int fd)
{
    char text[ROOM];

    int n = CHECK(recv(fd, text, sizeof(text), 0));
    say("recv(%s) = %d \"%.*s\"", name, n, n, text);
}

/* ann has connected before. bob connects now. */
static void use_stream(time_t start)
{
    int listener = open_server("stream.sock", SOCK_STREAM);
    int ann = open_client("stream.sock", SOCK_STREAM);
    int to_ann = CHECK(accept(listener, NULL, NULL));
    int bob = new_socket(SOCK_STREAM);

    make_it_old("stream.sock");
    role("ann");
    send_text(ann, "hello");
    role("server");
    receive_text("to_ann", to_ann);
    look_at_times("stream.sock", start);

    role("bob");
    connect_to(bob, "stream.sock", 0);
    look_at_times("stream.sock", start);

    CHECK(close(ann));
    CHECK(close(to_ann));
    CHECK(close(bob));
    CHECK(close(listener));
    CHECK(unlink("stream.sock"));
}

/* carol has connected before, and needs no path. dave gives the path. */
static void use_datagrams(time_t start)
{
    struct sockaddr_un address = address_of("box.sock");
    int server = open_server("box.sock", SOCK_DGRAM);
    int carol = open_client("box.sock", SOCK_DGRAM);
    int dave = new_socket(SOCK_DGRAM);

    make_it_old("box.sock");
    role("carol");
    send_text(carol, "hello");
    look_at_times("box.sock", start);

    role("dave");
    int n = CHECK(sendto(dave, "hello", 5, 0, (struct sockaddr *)&address,
                         sizeof(address)));
    say("sendto(\"hello\", \"%s\") = %d", address.sun_path, n);
    look_at_times("box.sock", start);

    CHECK(close(carol));
    CHECK(close(dave));
    CHECK(close(server));
    CHECK(unlink("box.sock"));
}

static void use_and_look(void)
{
    time_t start = time(NULL);

    use_stream(start);
    use_datagrams(start);
}

static void accept_nobody(int listener)
{
    const char *result = RESULT(accept(listener, NULL, NULL), EAGAIN);

    say("accept(listener) = %s", result);
}

/* What the three see when the file is gone: ann, who is connected, bob, who is
 * not, and the server. */
static void look_without_file(int ann, int to_ann, int bob, int listener)
{
    role("ann");
    send_text(ann, "hello");
    role("server");
    receive_text("to_ann", to_ann);
    role("bob");
    connect_to(bob, "server.sock", ENOENT);

    role("server");
    accept_nobody(listener);
    say_kernel_list(listener);
}

/* ann is connected when the cleaner comes. Later the server makes a second
 * socket, and bob tries again. */
static void remove_file(void)
{
    int listener = open_server("server.sock", SOCK_STREAM);
    int ann = open_client("server.sock", SOCK_STREAM);
    int to_ann = CHECK(accept(listener, NULL, NULL));
    int bob = new_socket(SOCK_STREAM);
    int second = new_socket(SOCK_STREAM);

    role("cleaner");
    int removed = CHECK(unlink("server.sock"));
    say("unlink(\"server.sock\") = %d", removed);
    look_without_file(ann, to_ann, bob, listener);

    role("server");
    bind_to("second", second, "server.sock", 0);
    start_to_listen("second", second);
    role("bob");
    connect_to(bob, "server.sock", 0);
    role("server");
    int to_bob = CHECK(accept(second, NULL, NULL));
    say("accept(second) -> to_bob");

    CHECK(close(ann));
    CHECK(close(to_ann));
    CHECK(close(to_bob));
    CHECK(close(bob));
    CHECK(close(listener));
    CHECK(close(second));
    CHECK(unlink("server.sock"));
}

/* Step 4 needs a file system that notes when a file is used. With the mount
 * option noatime it does not. The test is a read() of a plain file. */
static void need_access_times(void)
{
    struct stat status;
    char byte = '.';

    make_plain_file("probe");
    int fd = CHECK(open("probe", O_RDWR | O_CLOEXEC));
    CHECK(write(fd, &byte, 1));
    make_it_old("probe");
    CHECK(pread(fd, &byte, 1, 0));
    CHECK(fstat(fd, &status));
    CHECK(close(fd));
    CHECK(unlink("probe"));
    if (status.st_atime == LONG_AGO)
        skip("this directory does not note when a file is used (noatime?): set "
             "TMPDIR to another one");
}

int main(void)
{
    need_proc();
    as_ordinary_user();
    need_own_directory();
    need_access_times();

    step("At which paths can bind() make a file?");
    try_to_bind();

    step("What does connect() say of the same paths?");
    try_to_connect();

    step("Somebody renames the file. Who shows which name?");
    rename_file();

    step("A server is busy. Which call makes its file look used?");
    use_and_look();

    step("A cleaner removes the file. Who learns of this?");
    remove_file();
}
