/*
 * 33-descriptors-lost -- how is a descriptor lost on its way?
 *
 * In a control buffer that is too short, on a stream without a byte beside it,
 * by a read() that does not ask for it. The kernel closes it then, and tells
 * only in the first case. One that nobody looks for may arrive and stay open.
 *
 *     sender    sv[0] =====[SCM_RIGHTS: gift[1]]=====> sv[1]  receiver
 *               gift[0]: end of file as soon as nobody has gift[1]
 *
 * See unix(7), cmsg(3), sendmsg(2), recvmsg(2).
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { MOST = 254, PLENTY = CMSG_SPACE(MOST * sizeof(int)) };

struct message {
    struct msghdr header;
    struct iovec bytes;
    _Alignas(struct cmsghdr) char control[PLENTY];
};

/* The header points into the message: it is filled in where it stays. POSIX
 * has socklen_t for both of the lengths, glibc size_t. */
static void fill(struct message *m, const char *text, const int *fds, size_t n)
{
    *m = (struct message){.bytes = {(char *)text, strlen(text)}};
    m->header.msg_iov = &m->bytes;
    m->header.msg_iovlen = 1;
    m->header.msg_control = m->control;
    m->header.msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int));
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&m->header);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
}

/* One process plays both: the kernel looks at sockets, not at processes. */
static void send_fds(int s, const char *text, const int *fds, size_t n)
{
    struct message m;

    role("sender");
    fill(&m, text, fds, n);
    say("sendmsg(\"%s\", SCM_RIGHTS [%zu]) = %d", text, n,
        CHECK(sendmsg(s, &m.header, 0)));
}

/* All that came goes into fds, which has space for MOST, as PLENTY has. The
 * room is printed as it is written. */
#define RECEIVE(s, room, fds) receive(s, room, #room, fds)
static size_t receive(int s, size_t room, const char *written, int *fds)
{
    _Alignas(struct cmsghdr) char control[PLENTY];
    char text[64];
    struct iovec iov = {text, sizeof(text)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t came = 0;

    role("receiver");
    msg.msg_control = control;
    msg.msg_controllen = (socklen_t)room;
    ssize_t n = CHECK(recvmsg(s, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds + came, CMSG_DATA(c), count * sizeof(int));
        came += count;
    }
    say("recvmsg(%s) = %zd \"%.*s\", fds: %zu, MSG_CTRUNC: %s", written, n,
        (int)n, text, came, msg.msg_flags & MSG_CTRUNC ? "yes" : "no");
    return came;
}

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK(close(fds[i]));
}

/* Over sv a step sends gift[1]. Of gift[0] one can ask what became of it: the
 * end of file comes when nobody has it, and until then, EAGAIN. */
static void over(int type, void (*step_on)(const int sv[2], int gift))
{
    int sv[2], gift[2];

    CHECK(socketpair(AF_UNIX, type, 0, sv));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, gift));
    role("sender");
    step_on(sv, gift[1]);
    role("sender");
    CHECK(close(gift[1]));
    say("gift[1] is closed, recv(gift[0], MSG_DONTWAIT) = %s",
        RESULT(recv(gift[0], &(char){0}, 1, MSG_DONTWAIT), EAGAIN));
    CHECK(close(gift[0]));
    close_all(sv, 2);
}

static void too_short(const int sv[2], int gift)
{
    int fds[MOST], three[] = {gift, gift, gift};

    send_fds(sv[0], "x", three, 3);
    close_all(fds, RECEIVE(sv[1], 0, fds));
    send_fds(sv[0], "x", three, 3);
    close_all(fds, RECEIVE(sv[1], CMSG_LEN(sizeof(int)), fds));
    send_fds(sv[0], "x", three, 3);
    close_all(fds, RECEIVE(sv[1], CMSG_SPACE(3 * sizeof(int)), fds));
}

/* Here CMSG_SPACE() has to round up, or there is no room for a second one. */
static void padding(const int sv[2], int gift)
{
    int before = open_descriptors(), fds[MOST] = {-1};

    send_fds(sv[0], "x", (int[]){gift, gift}, 2);
    size_t n = RECEIVE(sv[1], CMSG_SPACE(sizeof(int)), fds);
    say("close(the first) = %d", CHECK(close(fds[0])));
    say("more are open than before: %d", open_descriptors() - before);
    close_all(fds + 1, n - 1);
    send_fds(sv[0], "x", (int[]){gift, gift}, 2);
    close_all(fds, RECEIVE(sv[1], CMSG_LEN(sizeof(int)), fds));
}

static void no_byte(const int sv[2], int gift)
{
    send_fds(sv[0], "", &gift, 1);
    role("receiver");
    say("recv(MSG_DONTWAIT) = %s",
        RESULT(recv(sv[1], &(char){0}, 1, MSG_DONTWAIT), EAGAIN));
}

static void empty_packet(const int sv[2], int gift)
{
    int fds[MOST];

    send_fds(sv[0], "", &gift, 1);
    close_all(fds, RECEIVE(sv[1], PLENTY, fds));
}

static void plain_read(const int sv[2], int gift)
{
    int fds[MOST];

    send_fds(sv[0], "xy", &gift, 1);
    role("receiver");
    say("read(1 byte) = %d", CHECK(read(sv[1], &(char){0}, 1)));
    close_all(fds, RECEIVE(sv[1], PLENTY, fds));
}

static void barrier(const int sv[2], int gift)
{
    int fds[MOST];

    say("send(\"ab\") = %d", CHECK(send(sv[0], "ab", 2, 0)));
    send_fds(sv[0], "cd", &gift, 1);
    say("send(\"ef\") = %d", CHECK(send(sv[0], "ef", 2, 0)));
    send_fds(sv[0], "gh", &gift, 1);
    for (int i = 0; i < 2; i++)
        close_all(fds, RECEIVE(sv[1], PLENTY, fds));
}

/* The system call itself: older musl's sendmsg() has ENOMEM beyond 252. */
static void too_many(const int sv[2], int gift)
{
    int fds[MOST];
    struct message m;

    for (int i = 0; i < MOST; i++)
        fds[i] = gift;
    for (size_t n = MOST - 1; n <= MOST; n++) {
        fill(&m, "x", fds, n);
        say("sendmsg(\"x\", SCM_RIGHTS [%zu]) = %s", n,
            RESULT(syscall(SYS_sendmsg, sv[0], &m.header, 0), EINVAL));
    }
    close_all(fds, RECEIVE(sv[1], PLENTY, fds));
}

static void one_is_bad(const int sv[2], int gift)
{
    struct message m;

    fill(&m, "x", (int[]){gift, -1}, 2);
    say("sendmsg(\"x\", SCM_RIGHTS [gift[1], -1]) = %s",
        RESULT(sendmsg(sv[0], &m.header, 0), EBADF));
    role("receiver");
    say("recv(MSG_DONTWAIT) = %s",
        RESULT(recv(sv[1], &(char){0}, 1, MSG_DONTWAIT), EAGAIN));
}

/* On 64 bits CMSG_SPACE() rounds up to 8 bytes. On 32 bits it has no need to,
 * and both lengths are the same. */
static void need_padding(void)
{
    if (CMSG_SPACE(sizeof(int)) == CMSG_LEN(sizeof(int)))
        skip("CMSG_SPACE() adds no padding on 32 bits: build it for 64");
}

int main(void)
{
    need_padding();
    need_proc();

    int before = open_descriptors();

    step("The control buffer is too short: what arrives?");
    over(SOCK_STREAM, too_short);

    step("Room for one descriptor: how many arrive?");
    over(SOCK_STREAM, padding);

    step("On a stream, no byte goes along: does the descriptor arrive?");
    over(SOCK_STREAM, no_byte);

    step("And on SOCK_SEQPACKET, also without a byte?");
    over(SOCK_SEQPACKET, empty_packet);

    step("A plain read() comes first: is the descriptor still there?");
    over(SOCK_STREAM, plain_read);

    step("To which of the bytes does a descriptor belong?");
    over(SOCK_STREAM, barrier);

    step("How many may travel together?");
    over(SOCK_STREAM, too_many);

    step("One of two is bad: does the other arrive?");
    over(SOCK_STREAM, one_is_bad);

    step("Is a descriptor left over?");
    role("main");
    say("open descriptors, as many as before step 1: %s",
        open_descriptors() == before ? "yes" : "no");
}
