/*
 * 43-whose-message -- whose message is it?
 *
 * With SO_PASSCRED, the kernel notes with each message which process writes it,
 * and recvmsg() gives this note as SCM_CREDENTIALS in the control buffer. So
 * two processes that write at the same end can be told apart. The note is taken
 * when the message is written, and an ordinary user cannot claim to be another
 * user.
 *
 *     ann  -- write("one ") --+
 *                             +--> sv[1] ====> sv[0]   server, SO_PASSCRED
 *     bob  -- write("three ") +            "one ", pid: ann's
 *                                          "three ", pid: bob's
 *
 * See unix(7), cmsg(3), recvmsg(2), sendmsg(2).
 */
#define _GNU_SOURCE    // for struct ucred and SCM_CREDENTIALS
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

/* Room in the control buffer. (With CMSG_LEN() for the second header of both,
 * old C libraries would not find this header: see lab 33.) */
enum {
    room_for_nothing = 0,
    room_for_int = CMSG_LEN(sizeof(int)),
    room_for_credentials = CMSG_LEN(sizeof(struct ucred)),
    room_for_both = CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))
};

/* The first process, and the processes that this step has started. */
static pid_t server, ann, bob;

/* Pids differ on each run. So a pid that is known is printed as whose it is. */
static const char *pid_text(pid_t pid)
{
    static char number[16];    // good until the next call

    if (pid != 0 && pid == getpid())
        return "own";
    if (pid != 0 && pid == server)
        return "the server's";
    if (pid != 0 && pid == ann)
        return "ann's";
    if (pid != 0 && pid == bob)
        return "bob's";
    snprintf(number, sizeof(number), "%d", pid);
    return number;
}

/* All processes of this lab have the same uid. The number is printed where it
 * is another one, and where there is no process that it could belong to. */
static const char *uid_text(const struct ucred *credentials)
{
    static char number[16];    // good until the next call

    if (credentials->pid != 0 && credentials->uid == getuid())
        return "own";
    snprintf(number, sizeof(number), "%u", credentials->uid);
    return number;
}

static void pass_credentials(const char *name, int fd)
{
    int on = 1;

    say("setsockopt(%s, SO_PASSCRED, %d) ...", name, on);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
}

/* Starts a process that has only sv[1], and waits for its end. Its messages
 * stay in the queue. */
static pid_t run_writer(const char *name, void (*write_all)(int to_server),
                        const int sv[2])
{
    pid_t writer = CHECK(fork());

    if (writer == 0) {
        CHECK(close(sv[0]));
        role(name);
        write_all(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    reap(writer);
    return writer;
}

static void write_text(int to_server, const char *text)
{
    say("write(\"%s\") ...", text);
    CHECK(write(to_server, text, strlen(text)));
}

/* Prints the text and the credentials beside it. Returns 0 at end of file. */
static int receive(int fd)
{
    char buf[64];    // longer than all that is sent here
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    _Alignas(struct cmsghdr) char control[room_for_both];
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = room_for_credentials,
    };

    int n = CHECK(recvmsg(fd, &msg, MSG_CMSG_CLOEXEC));
    if (n == 0)
        return 0;

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    if (beside && beside->cmsg_level == SOL_SOCKET &&
        beside->cmsg_type == SCM_CREDENTIALS &&
        beside->cmsg_len == CMSG_LEN(sizeof(struct ucred))) {
        struct ucred writer;
        memcpy(&writer, CMSG_DATA(beside), sizeof(writer));
        say("recvmsg(%zu bytes) = %d \"%.*s\", pid: %s, uid: %s", sizeof(buf),
            n, n, buf, pid_text(writer.pid), uid_text(&writer));
    } else {
        say("recvmsg(%zu bytes) = %d \"%.*s\", no credentials", sizeof(buf), n,
            n, buf);
    }
    return n;
}

/* Nobody has the other end any more, so the end of file comes. */
static void receive_all(int fd)
{
    int n = receive(fd);

    while (n > 0)
        n = receive(fd);
}

static void say_peer(const char *name, int fd)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);

    CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length));
    say("getsockopt(%s, SO_PEERCRED) -> pid: %s", name, pid_text(peer.pid));
}

static void write_two(int to_server)
{
    write_text(to_server, "one ");
    write_text(to_server, "two ");
}

static void write_third(int to_server)
{
    write_text(to_server, "three ");
}

/* ann writes two times and bob once. Both have ended when the server reads. The
 * pair is closed then. */
static void read_from_two(const int sv[2])
{
    ann = run_writer("ann", write_two, sv);
    bob = run_writer("bob", write_third, sv);
    CHECK(close(sv[1]));

    receive_all(sv[0]);
    CHECK(close(sv[0]));
}

/* A stream, first without SO_PASSCRED and then with it. */
static void two_writers(void)
{
    int sv[2];

    role("server");
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    read_from_two(sv);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    say_peer("sv[0]", sv[0]);
    pass_credentials("sv[0]", sv[0]);
    read_from_two(sv);
}

/* The sender fills in what the kernel would note itself. */
static void send_with_pid(int to_server, const char *text, pid_t pid)
{
    struct ucred claimed = {.pid = pid, .uid = getuid(), .gid = getgid()};
    struct iovec iov = {.iov_base = (void *)text, .iov_len = strlen(text)};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(claimed))] = {0};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    beside->cmsg_level = SOL_SOCKET;
    beside->cmsg_type = SCM_CREDENTIALS;
    beside->cmsg_len = CMSG_LEN(sizeof(claimed));
    memcpy(CMSG_DATA(beside), &claimed, sizeof(claimed));
    const char *result = RESULT(sendmsg(to_server, &msg, 0), EPERM);
    say("sendmsg(\"%s\", [pid: %s]) = %s", text, pid_text(pid), result);
}

/* Root may claim to be any process and any user, so ann gives up root's rights.
 */
static void claim_pids(int to_server)
{
    as_ordinary_user();
    send_with_pid(to_server, "tea", getpid());
    send_with_pid(to_server, "gold", getppid());
    write_text(to_server, "cake");
}

/* SOCK_SEQPACKET, because a stream would join what ann writes. */
static void receive_claims(void)
{
    int sv[2];

    role("server");
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    pass_credentials("sv[0]", sv[0]);
    ann = run_writer("ann", claim_pids, sv);
    CHECK(close(sv[1]));

    receive_all(sv[0]);
    CHECK(close(sv[0]));
}

static void write_early(int to_server)
{
    write_text(to_server, "early");
}

static void write_late(int to_server)
{
    write_text(to_server, "late");
}

/* ann writes before the server asks for credentials, bob writes after it. Both
 * messages are received after it. */
static void set_too_late(void)
{
    int sv[2];

    role("server");
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    ann = run_writer("ann", write_early, sv);
    pass_credentials("sv[0]", sv[0]);
    bob = run_writer("bob", write_late, sv);
    CHECK(close(sv[1]));

    receive_all(sv[0]);
    CHECK(close(sv[0]));
}

/* Any descriptor would do. ann has this one. */
static void send_own_end(int to_server)
{
    const char *text = "tea";

    say("sendmsg(\"%s\", [a descriptor]) ...", text);
    send_descriptor(to_server, text, strlen(text), to_server);
}

static const char *type_text(const struct cmsghdr *beside)
{
    if (beside->cmsg_level != SOL_SOCKET)
        return "another level";
    if (beside->cmsg_type == SCM_CREDENTIALS)
        return "SCM_CREDENTIALS";
    if (beside->cmsg_type == SCM_RIGHTS)
        return "SCM_RIGHTS";
    return "another type";
}

/* Closes the descriptor that has come, and which this lab does not need. */
static void close_descriptor(const struct cmsghdr *beside)
{
    int descriptor;

    if (beside->cmsg_level != SOL_SOCKET || beside->cmsg_type != SCM_RIGHTS)
        return;
    memcpy(&descriptor, CMSG_DATA(beside), sizeof(int));
    CHECK(close(descriptor));
}

/* Prints which headers have come, in their order, and how many bytes of data
 * each of them has. */
static void receive_with_room(int fd, socklen_t room, const char *room_name)
{
    char buf[64];
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    _Alignas(struct cmsghdr) char control[room_for_both];
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = room,
    };

    int n = CHECK(recvmsg(fd, &msg, MSG_CMSG_CLOEXEC));
    say("recvmsg(room for %s) = %d \"%.*s\", msg_flags: %s", room_name, n, n,
        buf, msg.msg_flags & MSG_CTRUNC ? "MSG_CTRUNC" : "0");

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    while (beside) {
        say("in the control buffer: %s, %zu bytes", type_text(beside),
            (size_t)beside->cmsg_len - CMSG_LEN(0));
        close_descriptor(beside);
        beside = CMSG_NXTHDR(&msg, beside);
    }
}

static void write_tea(int to_server)
{
    write_text(to_server, "tea");
}

/* Nothing is sent beside the bytes, and there is no control buffer. */
static void no_room(void)
{
    int sv[2];

    role("server");
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    run_writer("ann", write_tea, sv);
    receive_with_room(sv[0], room_for_nothing, "nothing");

    pass_credentials("sv[0]", sv[0]);
    run_writer("ann", write_tea, sv);
    receive_with_room(sv[0], room_for_nothing, "nothing");

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* The same message each time. First there is room for the descriptor, and the
 * server has not asked for credentials. Then it has asked for them. At last
 * there is room for both. */
static void descriptor_and_credentials(void)
{
    int sv[2];

    role("server");
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    run_writer("ann", send_own_end, sv);
    receive_with_room(sv[0], room_for_int, "an int");

    pass_credentials("sv[0]", sv[0]);
    run_writer("ann", send_own_end, sv);
    receive_with_room(sv[0], room_for_int, "an int");
    run_writer("ann", send_own_end, sv);
    receive_with_room(sv[0], room_for_both, "both");

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

int main(void)
{
    server = getpid();

    step("Two processes write at one end. What does one recvmsg() get?");
    two_writers();

    step("A sender says itself who it is. What does the kernel let pass?");
    receive_claims();

    step("SO_PASSCRED is set between two messages. Whom do they name?");
    set_too_late();

    step("Nothing is sent beside the bytes. Is there room for it?");
    no_room();

    step("A descriptor is sent beside the bytes. What finds room?");
    descriptor_and_credentials();
}
