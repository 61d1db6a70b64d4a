/*
 * 32-passing-sockets -- what else can be passed, and to whom?
 *
 * Whatever a descriptor can lead to, several at once, to anybody who can be
 * reached by a socket. Two programs that know nothing but the name of a server
 * get a pair of their own. FD_CLOEXEC stays behind.
 *
 *     ann  server ----> server.sock <---- server  bob
 *          sv[0] <=======================> sv[1]
 *
 * See unix(7), cmsg(3), recvmsg(2), socketpair(2), fcntl(2).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                           .sun_path = "server.sock"};

/* It speaks before it sends: the peer's next line can only come after it. */
static void send_two(int s, const int fds[2], const char *names)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec iov = {"x", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(cmsg), fds, 2 * sizeof(int));
    say("sendmsg(\"x\", SCM_RIGHTS [%s])", names);
    CHECK(sendmsg(s, &msg, 0));
}

/* Keeps two, and closes what came beyond them: it is open in this process
 * whether the program wants it or not. The result is how many came. */
static size_t keep_two(struct msghdr *msg, int fds[2])
{
    size_t came = 0;
    int fd;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++, came++) {
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (came < 2)
                fds[came] = fd;
            else
                CHECK(close(fd));
        }
    }
    return came;
}

static void receive_two(int s, int fds[2], int flags)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
    char x;
    struct iovec iov = {&x, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    fds[0] = fds[1] = -1;    // the use of one that does not come shall fail
    ssize_t n = CHECK(recvmsg(s, &msg, flags));
    if (n == 0)
        _exit(EXIT_FAILURE);    // end of file: the server failed, and said why
    size_t came = keep_two(&msg, fds);
    say("recvmsg(%s) = %zd \"%.*s\", fds: %zu, MSG_CTRUNC: %s",
        flags ? "MSG_CMSG_CLOEXEC" : "", n, (int)n, &x, came,
        msg.msg_flags & MSG_CTRUNC ? "yes" : "no");
}

static void receive(const char *name, int fd)
{
    char buf[64];    // longer than anything that is sent here
    ssize_t n = CHECK(read(fd, buf, sizeof(buf)));

    say("read(%s) = %zd \"%.*s\"", name, n, (int)n, buf);
}

static void transmit(const char *name, int fd, const char *text)
{
    say("write(%s, \"%s\")", name, text);
    CHECK(write(fd, text, strlen(text)));
}

static void close_both(const int fds[2])
{
    CHECK(close(fds[0]));
    CHECK(close(fds[1]));
}

static int connected(void)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(connect(fd, (const struct sockaddr *)&address, sizeof(address)));
    return fd;
}

static _Noreturn void ann(void)
{
    int fds[2];

    role("ann");
    int server = connected();
    receive_two(server, fds, MSG_CMSG_CLOEXEC);
    transmit("pipe", fds[1], "psst");
    transmit("sv[0]", fds[0], "is it you?");
    CHECK(close(server));    // and the server can turn to bob
    receive("sv[0]", fds[0]);
    _exit(EXIT_SUCCESS);
}

static _Noreturn void bob(void)
{
    int fds[2];

    role("bob");
    receive_two(connected(), fds, MSG_CMSG_CLOEXEC);
    receive("pipe", fds[1]);
    receive("sv[1]", fds[0]);
    transmit("sv[1]", fds[0], "yes");
    _exit(EXIT_SUCCESS);
}

/* It makes both when both clients are there: nobody can have inherited them. */
static void introduce(int to_ann, int to_bob)
{
    int sv[2], ends[2];
    char byte;

    role("server");
    say("socketpair() = %d", CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv)));
    say("pipe() = %d", CHECK(pipe(ends)));
    send_two(to_ann, (int[]){sv[0], ends[1]}, "sv[0], the pipe's write end");
    while (CHECK(read(to_ann, &byte, 1)) > 0)
        ;    // until end of file: ann has spoken
    send_two(to_bob, (int[]){sv[1], ends[0]}, "sv[1], the pipe's read end");
    close_both(sv);
    close_both(ends);
}

static void strangers(void)
{
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(bind(listener, (const struct sockaddr *)&address, sizeof(address)));
    CHECK(listen(listener, 1));
    pid_t first = CHECK(fork());
    if (first == 0) {
        CHECK(close(listener));
        ann();
    }
    int to_ann = CHECK(accept(listener, NULL, NULL));
    pid_t second = CHECK(fork());
    if (second == 0) {
        CHECK(close(listener));
        CHECK(close(to_ann));
        bob();
    }
    int to_bob = CHECK(accept(listener, NULL, NULL));
    CHECK(close(listener));
    CHECK(unlink(address.sun_path));

    introduce(to_ann, to_bob);
    reap(first);
    reap(second);
    CHECK(close(to_ann));
    CHECK(close(to_bob));
}

static void say_flags(const int fds[2])
{
    for (int i = 0; i < 2; i++)
        say("fcntl(fds[%d], F_GETFD) has FD_CLOEXEC: %s", i,
            CHECK(fcntl(fds[i], F_GETFD)) & FD_CLOEXEC ? "yes" : "no");
}

/* One process plays both: the kernel looks at sockets, not at processes. */
static void exec_flag(void)
{
    int sv[2], ends[2], fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK(pipe(ends));
    CHECK(fcntl(ends[0], F_SETFD, FD_CLOEXEC));
    role("sender");
    say_flags(ends);
    for (int i = 0; i < 2; i++) {
        role("sender");
        send_two(sv[0], ends, "fds[0], fds[1]");
        role("receiver");
        receive_two(sv[1], fds, i == 0 ? 0 : MSG_CMSG_CLOEXEC);
        say_flags(fds);
        close_both(fds);
    }
    close_both(ends);
    close_both(sv);
}

int main(void)
{
    need_proc();

    int before = open_descriptors();

    step("Are pairs and pipes for relatives only?");
    strangers();

    step("Does FD_CLOEXEC travel along?");
    exec_flag();

    step("Is a descriptor left over?");
    role("main");
    say("open descriptors, as many as before step 1: %s",
        open_descriptors() == before ? "yes" : "no");
}
