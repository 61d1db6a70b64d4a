/*
 * 08-only-unix -- what can AF_UNIX do that TCP cannot?
 *
 * Both ends of an AF_UNIX connection are in one kernel. So the kernel can hand
 * over what means something only there: a descriptor, the number of a process
 * and of a user. The address of the server can be a file, which has
 * permissions, and a pair has no address at all. TCP sends bytes to wherever
 * the other end may be.
 *
 *     client  ---- bytes ----------------->  server      AF_UNIX and TCP
 *             ---- descriptor, pid, uid -->              AF_UNIX only
 *
 * See unix(7), tcp(7), cmsg(3), socketpair(2), getsockopt(2), chmod(2).
 */
#define _GNU_SOURCE    // for struct ucred
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"
#include "../../common/loopback.h"

/* An address of either family, as in lab 6. */
struct address {
    socklen_t length;
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
    };
};

static struct address path_address(void)
{
    const struct address path = {
        .length = sizeof(struct sockaddr_un),
        .un = {.sun_family = AF_UNIX, .sun_path = "server.sock"},
    };

    return path;
}

/* Port 0 means: any port that is free. */
static struct address loopback_address(void)
{
    const struct address loopback = {
        .length = sizeof(struct sockaddr_in),
        .in = {.sin_family = AF_INET,
               .sin_port = htons(0),
               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
    };

    return loopback;
}

/* Opens a server. Afterwards *server is the address that it has got. */
static int open_server(struct address *server)
{
    int listener = CHECK(socket(server->any.sa_family, SOCK_STREAM, 0));

    CHECK(bind(listener, &server->any, server->length));
    CHECK(getsockname(listener, &server->any, &server->length));
    CHECK(listen(listener, 2));    // two clients may wait for accept()
    return listener;
}

static void close_server(int listener, const struct address *server)
{
    CHECK(close(listener));
    if (server->any.sa_family == AF_UNIX)
        CHECK(unlink(server->un.sun_path));
}

/* The path or the IP address as text, until the next call of this function. */
static const char *text_of(const struct address *address)
{
    static char text[128];

    if (address->any.sa_family == AF_UNIX)
        snprintf(text, sizeof(text), "\"%s\"", address->un.sun_path);
    else
        inet_ntop(AF_INET, &address->in.sin_addr, text, sizeof(text));
    return text;
}

static int connect_to(const struct address *server)
{
    int fd = CHECK(socket(server->any.sa_family, SOCK_STREAM, 0));

    say("connect(%s) ...", text_of(server));
    CHECK(connect(fd, &server->any, server->length));
    return fd;
}

static void write_text(int fd, const char *text)
{
    say("write(\"%s\") ...", text);
    CHECK(write(fd, text, strlen(text)));
}

static void read_text(const char *name, int fd)
{
    char buf[64];    // longer than anything that is sent here
    int n = CHECK(read(fd, buf, sizeof(buf)));

    say("read(%s) = %d \"%.*s\"", name, n, n, buf);
}

/* Bytes, and a descriptor beside them: lab 31 explains each field. */
static void send_with_descriptor(int to_server, int descriptor)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    char text[] = "take this";
    struct iovec iov = {.iov_base = text, .iov_len = strlen(text)};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    beside->cmsg_level = SOL_SOCKET;
    beside->cmsg_type = SCM_RIGHTS;
    beside->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(beside), &descriptor, sizeof(int));

    int n = CHECK(sendmsg(to_server, &msg, 0));
    say("sendmsg(\"%s\", 1 descriptor) = %d", text, n);
}

/* The lab never meets more than one flag at a time. */
static const char *flags_text(int flags)
{
    static char number[16];    // good until the next call

    if (flags & MSG_CTRUNC)
        return "MSG_CTRUNC";
    snprintf(number, sizeof(number), "%d", flags);
    return number;
}

/* Returns the descriptor that came beside the bytes, or -1. What comes there
 * need not be a descriptor (lab 7 had three numbers), so look at its type.
 *
 * CMSG_LEN() is room for one descriptor. The whole of `control` may be room for
 * two: then a client could send two, and the second one would stay open in the
 * server, which does not know of it.
 *
 * With MSG_CMSG_CLOEXEC, a program started by exec does not get the descriptor.
 * recvmsg() copies that flag into msg_flags. The printed line leaves it out. */
static int receive_with_descriptor(int to_client)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    char text[64];
    struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = CMSG_LEN(sizeof(int)),
    };
    int descriptor = -1;
    size_t count = 0;

    int n = CHECK(recvmsg(to_client, &msg, MSG_CMSG_CLOEXEC));

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    if (beside && beside->cmsg_level == SOL_SOCKET &&
        beside->cmsg_type == SCM_RIGHTS) {
        count = (beside->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(&descriptor, CMSG_DATA(beside), sizeof(int));
    }

    say("recvmsg() = %d \"%.*s\", descriptors: %zu, msg_flags: %s", n, n, text,
        count, flags_text(msg.msg_flags & ~MSG_CMSG_CLOEXEC));
    return descriptor;
}

/* What is sent is the reading end of a pipe. Nobody else has it, and it has no
 * name by which the server could open it. */
static _Noreturn void send_pipe(const struct address *server)
{
    int ends[2];

    role("client");
    int to_server = connect_to(server);

    CHECK(pipe(ends));
    CHECK(write(ends[1], "hello", 5));
    send_with_descriptor(to_server, ends[0]);
    say("exit ...");
    _exit(EXIT_SUCCESS);    // and the kernel closes the client's descriptors
}

/* The client has exited before the server receives. So the client's lines come
 * first, and the message waits in the queue. */
static void send_descriptor(struct address server)
{
    int listener = open_server(&server);
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(listener));
        send_pipe(&server);
    }
    reap(child);

    role("server");
    int to_client = CHECK(accept(listener, NULL, NULL));
    int descriptor = receive_with_descriptor(to_client);
    if (descriptor != -1) {
        read_text("the descriptor", descriptor);
        CHECK(close(descriptor));
    }

    CHECK(close(to_client));
    close_server(listener, &server);
}

/* The numbers differ on each machine and on each run, so those that the lab
 * knows get names. */
static const char *name_of_process(pid_t pid, pid_t client)
{
    static char number[16];    // good until the next call

    if (pid == client)
        return "the client's";
    if (pid == getpid())
        return "the server's";
    snprintf(number, sizeof(number), "%d", (int)pid);
    return number;
}

/* The client was forked by the server, so both run as the same user. */
static const char *name_of_user(uid_t uid)
{
    static char number[16];

    if (uid == geteuid())
        return "own";
    snprintf(number, sizeof(number), "%d", (int)uid);
    return number;
}

/* The client says nothing about itself: the server asks the kernel. The client
 * is reaped only afterwards, so that no other process can have its number. */
static void ask_who_is_there(struct address server)
{
    struct ucred who;
    socklen_t length = sizeof(who);

    int listener = open_server(&server);
    pid_t client = CHECK(fork());
    if (client == 0) {
        role("client");
        CHECK(close(listener));
        int to_server = connect_to(&server);
        write_text(to_server, "who am I?");
        _exit(EXIT_SUCCESS);
    }

    role("server");
    int to_client = CHECK(accept(listener, NULL, NULL));
    read_text("to_client", to_client);

    CHECK(getsockopt(to_client, SOL_SOCKET, SO_PEERCRED, &who, &length));
    say("getsockopt(SO_PEERCRED) -> pid: %s, uid: %s",
        name_of_process(who.pid, client), name_of_user(who.uid));

    reap(client);
    CHECK(close(to_client));
    close_server(listener, &server);
}

/* A client that connects. The caller names the one error that may come, or 0
 * for none. Any other error ends the lab. Root may connect to every path, so
 * the client gives up root's rights. */
static void run_client(int listener, const struct address *server, int error)
{
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("client");
        CHECK(close(listener));
        as_ordinary_user();

        int fd = CHECK(socket(server->any.sa_family, SOCK_STREAM, 0));
        int result = connect(fd, &server->any, server->length);
        /* RESULT() wants the error's name. Here the error is a variable. */
        if (result == -1 && errno != error)
            fail("connect()", __FILE__, __LINE__);
        if (result == -1)
            say("connect(%s) = -1 %s", text_of(server), error_name(error));
        else
            say("connect(%s) = %d", text_of(server), result);

        CHECK(close(fd));
        _exit(EXIT_SUCCESS);
    }
    reap(child);
}

/* One client connects before the server forbids it, and one tries after that.
 * Nobody calls accept(), because connect() does not wait for it. */
static void forbid_path(void)
{
    struct address server = path_address();
    int listener = open_server(&server);
    run_client(listener, &server, 0);

    role("server");
    int result = CHECK(chmod(server.un.sun_path, 0));
    say("chmod(\"%s\", 0) = %d", server.un.sun_path, result);
    run_client(listener, &server, EACCES);

    close_server(listener, &server);
}

/* The same with a port. A port has no file, and no chmod(): all that the server
 * has is its descriptor. */
static void forbid_port(void)
{
    struct address server = loopback_address();
    int listener = open_server(&server);
    run_client(listener, &server, 0);

    role("server");
    int result = CHECK(fchmod(listener, 0));
    say("fchmod(listener, 0) = %d", result);
    run_client(listener, &server, 0);

    close_server(listener, &server);
}

static void pair_of_unix(void)
{
    int sv[2];

    role("parent");
    int result = CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    say("socketpair(AF_UNIX, SOCK_STREAM) = %d", result);

    struct sockaddr_un own;
    socklen_t length = sizeof(own);
    CHECK(getsockname(sv[0], (struct sockaddr *)&own, &length));
    say("getsockname(sv[0]) -> %u bytes", length);

    pid_t child = CHECK(fork());
    if (child == 0) {
        role("child");
        CHECK(close(sv[0]));
        write_text(sv[1], "from your child");
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));
    read_text("sv[0]", sv[0]);

    reap(child);
    CHECK(close(sv[0]));
}

/* A process that connects to the server and writes. It needs nothing of the
 * parent but the port, so it does not keep the listener. */
static void run_writer(int listener, const struct address *server,
                       const char *name, const char *text)
{
    pid_t child = CHECK(fork());
    if (child == 0) {
        role(name);
        CHECK(close(listener));

        int to_server = CHECK(socket(server->any.sa_family, SOCK_STREAM, 0));
        int connected = CHECK(connect(to_server, &server->any, server->length));
        say("connect(%s) = %d", text_of(server), connected);
        int n = CHECK(write(to_server, text, strlen(text)));
        say("write(\"%s\") = %d", text, n);
        _exit(EXIT_SUCCESS);
    }
    reap(child);
}

/* Without a pair, the parent opens a server for its child. But eve is quicker
 * than the child. She has been accepted before the child calls connect(), so
 * the order is always the same. The child waits until the parent accepts once
 * more, for which a parent that wants one child has no reason. */
static void pair_of_inet(void)
{
    struct address server = loopback_address();
    int sv[2];

    role("parent");
    const char *result =
        RESULT(socketpair(AF_INET, SOCK_STREAM, 0, sv), EOPNOTSUPP);
    say("socketpair(AF_INET, SOCK_STREAM) = %s", result);

    int listener = open_server(&server);
    run_writer(listener, &server, "eve", "from eve");
    int first = CHECK(accept(listener, NULL, NULL));
    run_writer(listener, &server, "child", "from your child");
    read_text("first", first);
    int second = CHECK(accept(listener, NULL, NULL));
    read_text("second", second);

    CHECK(close(first));
    CHECK(close(second));
    close_server(listener, &server);
}

int main(void)
{
    need_loopback();

    step("Can a descriptor be sent?");
    send_descriptor(path_address());
    send_descriptor(loopback_address());

    step("Does the server learn which process is its client?");
    ask_who_is_there(path_address());
    ask_who_is_there(loopback_address());

    step("Can the server forbid a client to connect?");
    forbid_path();
    forbid_port();

    step("Can parent and child be connected, and no stranger between them?");
    pair_of_unix();
    pair_of_inet();
}
