/*
 * 03-sendmsg-recvmsg -- what can sendmsg() do that send() cannot?
 *
 * Its msghdr describes a whole message: bytes in any number of pieces, an
 * address, descriptors that travel along. For recvmsg() it is a question and
 * an answer, how much room and how much came: fill it in anew each time.
 *
 *     sender    sv[1] ====[msg_iov, msg_control]====> sv[0]  receiver
 *     ann.sock, mary.sock ======[msg_name]=======> server.sock  server
 *
 * See sendmsg(2), recvmsg(2), sendmmsg(2), recvmmsg(2), cmsg(3), unix(7).
 */
#define _GNU_SOURCE    // sendmmsg(), recvmmsg()
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

/* The sender is gone before the receiver begins: all its messages wait. */
static void exchange(void (*sender)(int), void (*receiver)(int))
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(sv[0]));
        role("sender");
        sender(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));
    reap(child);

    role("receiver");
    receiver(sv[0]);
    CHECK(close(sv[0]));
}

static void gather(int end)
{
    struct iovec iov[] = {{"WARN", 4}, {" disk", 5}, {" full", 5}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};

    for (int i = 0; i < 2; i++)
        say("sendmsg([\"WARN\", \" disk\", \" full\"]) = %d",
            CHECK(sendmsg(end, &msg, 0)));
    say("write(\"INFO ok\") = %d", CHECK(write(end, "INFO ok", 7)));
}

static void scatter(int end)
{
    char head[5] = "", body[64];
    struct iovec iov[] = {{head, sizeof(head)}, {body, sizeof(body)}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};

    ssize_t n = CHECK(read(end, body, sizeof(body)));
    say("read() = %zd \"%.*s\"", n, (int)n, body);
    for (int i = 0; i < 2; i++) {
        n = CHECK(recvmsg(end, &msg, 0));
        int rest = n > 5 ? (int)n - 5 : 0;
        say("recvmsg() = %zd [\"%.5s\", \"%.*s\"]", n, head, rest, body);
    }
}

/* Says hello from its own address, if it has one. */
static void client(struct sockaddr_un *to, const struct sockaddr_un *own)
{
    struct iovec iov = {"hello", 5};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role(own ? own->sun_path : "unbound");
    if (own)
        CHECK(bind(fd, (const struct sockaddr *)own, sizeof(*own)));
    msg.msg_name = to;
    msg.msg_namelen = sizeof(*to);
    say("sendmsg(\"hello\", msg_name \"%s\")", to->sun_path);
    CHECK(sendmsg(fd, &msg, 0));
    if (own)
        CHECK(unlink(own->sun_path));
    _exit(EXIT_SUCCESS);
}

static void server(void)
{
    struct sockaddr_un own = {.sun_family = AF_UNIX, .sun_path = "server.sock"};
    struct sockaddr_un ann = {.sun_family = AF_UNIX, .sun_path = "ann.sock"};
    struct sockaddr_un mary = {.sun_family = AF_UNIX, .sun_path = "mary.sock"};
    struct sockaddr_un from = {0}, *clients[] = {&ann, NULL, &mary, &mary};
    char buf[64];
    struct iovec iov = {buf, sizeof(buf)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("server");
    CHECK(bind(fd, (struct sockaddr *)&own, sizeof(own)));
    msg.msg_name = &from;
    msg.msg_namelen = sizeof(from);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        pid_t child = CHECK(fork());
        if (child == 0) {
            CHECK(close(fd));
            client(&own, clients[i]);
        }
        reap(child);
        if (i == 3)    // BUG: not before every recvmsg()
            msg.msg_namelen = sizeof(from);
        socklen_t room = msg.msg_namelen;
        ssize_t n = CHECK(recvmsg(fd, &msg, 0));
        say("recvmsg() = %zd, msg_namelen %u -> %u, msg_name \"%s\"", n, room,
            msg.msg_namelen, from.sun_path);
    }
    CHECK(close(fd));
    CHECK(unlink(own.sun_path));
}

static void payments(int end)
{
    struct iovec iov[] = {{"pay 1000", 8}, {"pay 10", 6}, {"pay 1066", 8}};
    struct mmsghdr vec[3] = {0};

    for (size_t i = 0; i < ARRAY_LEN(vec); i++)
        vec[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    say("sendmmsg([\"pay 1000\", \"pay 10\", \"pay 1066\"]) = %d",
        CHECK(sendmmsg(end, vec, ARRAY_LEN(vec), 0)));
    say("send(\"pay 1492\") = %d", CHECK(send(end, "pay 1492", 8, 0)));
}

static void batch(int end)
{
    char buf[3][64];
    struct iovec iov[3];
    struct mmsghdr vec[3] = {0};

    for (size_t i = 0; i < ARRAY_LEN(vec); i++) {
        iov[i] = (struct iovec){buf[i], sizeof(buf[i])};
        vec[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    int n = CHECK(recvmmsg(end, vec, ARRAY_LEN(vec), 0, NULL));
    say("recvmmsg(vlen 3) = %d", n);
    for (int i = 0; i < n; i++)
        say("msg_len %u \"%.*s\"", vec[i].msg_len, (int)vec[i].msg_len, buf[i]);
}

static ssize_t receive(int end, struct msghdr *msg)
{
    ssize_t n = CHECK(recvmsg(end, msg, 0));

    say("recvmsg(msg_iovlen %d, iov_len %zu) = %zd \"%.*s\", MSG_TRUNC: %s",
        (int)msg->msg_iovlen, msg->msg_iov->iov_len, n, (int)n,
        (char *)msg->msg_iov->iov_base,
        msg->msg_flags & MSG_TRUNC ? "yes" : "no");
    return n;
}

static void too_short(int end)
{
    char buf[6];
    struct iovec iov = {buf, sizeof(buf)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    ssize_t n = CHECK(recv(end, buf, sizeof(buf), 0));
    say("recv() = %zd \"%.*s\"", n, (int)n, buf);
    receive(end, &msg);
    receive(end, &msg);
    say("recv(MSG_TRUNC) = %d", CHECK(recv(end, buf, sizeof(buf), MSG_TRUNC)));
}

/* recvmsg() reads iov_len and never writes it: what is in there is the room. */
static void tutorial(int end)
{
    char buf[64];
    struct iovec iov = {buf, sizeof(buf)};
    struct msghdr msg = {.msg_iov = &iov};    // BUG: msg_iovlen is 0

    receive(end, &msg);
    msg.msg_iovlen = 1;                          // its cure, one call late
    iov.iov_len = (size_t)receive(end, &msg);    // BUG: the room shrinks
    receive(end, &msg);
    iov.iov_len = sizeof(buf);    // its cure, before every recvmsg()
    receive(end, &msg);
}

/* The pipe is made after the fork: the receiver has no end of it. */
static void lend(int end)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {"for you", 7};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int ends[2];

    CHECK(pipe(ends));
    say("write(\"by pipe\") = %d", CHECK(write(ends[1], "by pipe", 7)));
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &ends[0], sizeof(int));
    say("sendmsg(\"for you\", SCM_RIGHTS [the read end]) = %d",
        CHECK(sendmsg(end, &msg, 0)));
}

static void borrow(int end)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    char buf[64];
    struct iovec iov = {buf, sizeof(buf)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int fd;

    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    ssize_t n = CHECK(recvmsg(end, &msg, MSG_CMSG_CLOEXEC));
    say("recvmsg() = %zd \"%.*s\", MSG_CTRUNC: %s", n, (int)n, buf,
        msg.msg_flags & MSG_CTRUNC ? "yes" : "no");
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    if (!cmsg || cmsg->cmsg_len != CMSG_LEN(sizeof(int)))
        return;    // and MSG_CTRUNC has said why
    memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
    n = CHECK(read(fd, buf, sizeof(buf)));
    say("read(the received descriptor) = %zd \"%.*s\"", n, (int)n, buf);
    CHECK(close(fd));
}

int main(void)
{
    step("Must the receiver use the same pieces, and the same call?");
    exchange(gather, scatter);

    step("One msghdr for all: whose is the third message?");
    server();

    step("How many calls do three messages need?");
    exchange(payments, batch);

    step("The buffer is too short. Who says so?");
    exchange(payments, too_short);

    step("Two bugs that are often copied: what becomes of the payments?");
    exchange(payments, tutorial);

    step("What can travel beside the bytes?");
    exchange(lend, borrow);
}
