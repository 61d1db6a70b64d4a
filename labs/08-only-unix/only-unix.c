/*
 * 08-only-unix -- what can AF_UNIX do that TCP cannot?
 *
 * Both ends of an AF_UNIX connection are in one kernel. So it can hand over
 * what means something only there: a descriptor, the number of a process and
 * of a user. Its address can be a file, which has permissions, or there is no
 * address at all. TCP sends bytes to wherever the other end may be.
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
        .length = sizeof(path.un),
        .un = {.sun_family = AF_UNIX, .sun_path = "server.sock"},
    };

    return path;
}

/* Port 0 means: any port that is free. */
static struct address loopback_address(void)
{
    const struct address loopback = {
        .length = sizeof(loopback.in),
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

/* The path or the IP address as text, good until the next call. */
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

    int connected = CHECK(connect(fd, &server->any, server->length));
    say("connect(%s) = %d", text_of(server), connected);
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

/* A message with a descriptor beside it: lab 31 explains each field. */
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

/* Returns the descriptor that came beside the message, or -1. MSG_CTRUNC would
 * mean that something beside the message was cut off. */
static int receive_with_descriptor(int peer)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    char text[64];
    struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    int descriptor = -1;
    size_t count = 0;

    int n = CHECK(recvmsg(peer, &msg, MSG_CMSG_CLOEXEC));
    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    if (beside) {
        count = (beside->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(&descriptor, CMSG_DATA(beside), sizeof(int));
    }

    const char *flag = "0";
    if (msg.msg_flags & MSG_CTRUNC)
        flag = "MSG_CTRUNC";
    say("recvmsg() = %d \"%.*s\", descriptors: %zu, msg_flags: %s", n, n, text,
        count, flag);
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
    int peer = CHECK(accept(listener, NULL, NULL));
    int descriptor = receive_with_descriptor(peer);
    if (descriptor != -1) {
        read_text("the descriptor", descriptor);
        CHECK(close(descriptor));
    }

    CHECK(close(peer));
    close_server(listener, &server);
}

/* The numbers differ on each machine and on each run, so they get names. */
static const char *name_of_process(pid_t pid, pid_t client)
{
    if (pid == 0)
        return "0";
    if (pid == client)
        return "the client's";
    if (pid == getpid())
        return "own";
    return "another";
}

/* The client was forked by the server, so it runs as the same user. */
static const char *name_of_user(uid_t uid)
{
    if (uid == (uid_t)-1)
        return "-1";
    if (uid == geteuid())
        return "own";
    return "another";
}

/* The client says nothing about itself: the server asks the kernel. */
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
    int peer = CHECK(accept(listener, NULL, NULL));
    read_text("peer", peer);

    int result =
        CHECK(getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &length));
    say("getsockopt(SO_PEERCRED) = %d, pid: %s, uid: %s", result,
        name_of_process(who.pid, client), name_of_user(who.uid));

    reap(client);
    CHECK(close(peer));
    close_server(listener, &server);
}

/* Root may connect to every path. So each client of this step gives up root's
 * privileges, if it has any. */
static _Noreturn void allowed_client(const struct address *server)
{
    role("client");
    as_ordinary_user();

    int fd = connect_to(server);
    CHECK(close(fd));
    _exit(EXIT_SUCCESS);
}

static _Noreturn void forbidden_client(const struct address *server)
{
    role("client");
    as_ordinary_user();

    int fd = CHECK(socket(server->any.sa_family, SOCK_STREAM, 0));
    const char *result =
        RESULT(connect(fd, &server->any, server->length), EACCES);
    say("connect(%s) = %s", text_of(server), result);
    CHECK(close(fd));
    _exit(EXIT_SUCCESS);
}

static void forbid_path(void)
{
    struct address server = path_address();
    int listener = open_server(&server);

    pid_t before = CHECK(fork());
    if (before == 0)
        allowed_client(&server);
    reap(before);

    role("server");
    int result = CHECK(chmod(server.un.sun_path, 0));
    say("chmod(\"%s\", 0) = %d", server.un.sun_path, result);

    pid_t after = CHECK(fork());
    if (after == 0)
        forbidden_client(&server);
    reap(after);

    close_server(listener, &server);
}

/* A port is no file. All that could have permissions is the descriptor. */
static void forbid_port(void)
{
    struct address server = loopback_address();
    int listener = open_server(&server);

    pid_t before = CHECK(fork());
    if (before == 0)
        allowed_client(&server);
    reap(before);

    role("server");
    int result = CHECK(fchmod(listener, 0));
    say("fchmod(listener, 0) = %d", result);

    pid_t after = CHECK(fork());
    if (after == 0)
        allowed_client(&server);
    reap(after);

    close_server(listener, &server);
}

static void pair_of_unix(void)
{
    int sv[2];

    role("parent");
    int result = CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    say("socketpair(AF_UNIX, SOCK_STREAM) = %d", result);

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

/* Without a pair, the parent has to open a server for its child. eve is another
 * process of this machine, and she is quicker than the child. */
static void pair_of_inet(void)
{
    struct address server = loopback_address();
    int sv[2];

    role("parent");
    const char *result =
        RESULT(socketpair(AF_INET, SOCK_STREAM, 0, sv), EOPNOTSUPP);
    say("socketpair(AF_INET, SOCK_STREAM) = %s", result);

    int listener = open_server(&server);
    pid_t eve = CHECK(fork());
    if (eve == 0) {
        role("eve");
        CHECK(close(listener));
        int to_server = connect_to(&server);
        write_text(to_server, "from eve");
        _exit(EXIT_SUCCESS);
    }
    int peer = CHECK(accept(listener, NULL, NULL));
    read_text("peer", peer);

    reap(eve);
    CHECK(close(peer));
    close_server(listener, &server);
}

/* A connect() of UDP sends nothing: it looks for a way to the address. */
static void need_loopback(void)
{
    struct address loopback = loopback_address();
    int fd = CHECK(socket(AF_INET, SOCK_DGRAM, 0));
    int result = connect(fd, &loopback.any, loopback.length);

    if (result == -1 && errno == ENETUNREACH)
        skip("the loopback interface is down: ip link set lo up");
    CHECK(result);
    CHECK(close(fd));
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

    step("Can two sockets be connected without an address?");
    pair_of_unix();
    pair_of_inet();
}
