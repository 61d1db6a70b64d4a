/*
 * 31-passing-descriptors -- what arrives when a descriptor is sent?
 *
 * A new descriptor, which leads to the open file of the old one: the offset,
 * the flags and the way it was opened are the sender's. The file needs no name
 * for that, the receiver no permission, and the sender may be gone.
 *
 *     sender    fd ----------> open file <---------- new fd  receiver
 *               sv[1] =========[SCM_RIGHTS]=========> sv[0]
 *
 * See unix(7), cmsg(3), sendmsg(2), recvmsg(2), open(2), fcntl(2).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/lab.h"

/* It speaks before it sends: the receiver's next line can only come after. */
static void send_fd(int end, int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {"x", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
    say("sendmsg(\"x\", SCM_RIGHTS [notes.txt])");
    CHECK(sendmsg(end, &msg, 0));
}

/* What arrived is open in this process, whether the program looks at it or not.
 * So it looks at all of it, keeps the first, if any, and closes the others. */
static int keep_first(struct msghdr *msg)
{
    int kept = -1, fd;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (kept == -1)
                kept = fd;
            else
                say("another one: close() = %d", CHECK(close(fd)));
        }
    }
    return kept;
}

static int receive_fd(int end)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    char x;
    struct iovec iov = {&x, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    ssize_t n = CHECK(recvmsg(end, &msg, MSG_CMSG_CLOEXEC));
    say("recvmsg() = %zd \"%.*s\", MSG_CTRUNC: %s", n, (int)n, &x,
        msg.msg_flags & MSG_CTRUNC ? "yes" : "no");
    return keep_first(&msg);
}

static int open_notes(void)
{
    int fd = CHECK(open("notes.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600));

    CHECK(write(fd, "one two six ", 12));
    CHECK(close(fd));
    return CHECK(open("notes.txt", O_RDONLY));
}

static void read_word(const char *name, int fd)
{
    char word[4];
    ssize_t n = CHECK(read(fd, word, sizeof(word)));

    say("read(%s) = %zd \"%.*s\"", name, n, (int)n, word);
}

/* What is sent is opened after the fork: the receiver has not inherited it. */
static void exchange(void (*child)(int), void (*parent)(int, pid_t))
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t pid = CHECK(fork());
    if (pid == 0) {
        CHECK(close(sv[0]));
        child(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));
    parent(sv[0], pid);
    CHECK(close(sv[0]));
}

static void send_both(int end)
{
    role("sender");
    int fd = open_notes();    // the lowest free number: sv[0]'s, just closed
    say("write(the number of its descriptor of notes.txt)");
    CHECK(write(end, &fd, sizeof(fd)));
    send_fd(end, fd);
}

static void compare(int end, pid_t sender)
{
    int number = -1;

    role("receiver");
    ssize_t n = CHECK(read(end, &number, sizeof(number)));
    if (n != sizeof(number))
        say("read() = %zd: no number", n);
    int fd = receive_fd(end);
    say("that number is its own socket: %s", number == end ? "yes" : "no");
    say("the received one has that number: %s", number == fd ? "yes" : "no");
    read_word("the received descriptor", fd);
    reap(sender);
    CHECK(close(fd));
    CHECK(unlink("notes.txt"));
}

static void read_first(int end)
{
    char byte;

    role("sender");
    int fd = open_notes();
    read_word("notes.txt", fd);
    send_fd(end, fd);
    while (CHECK(read(end, &byte, 1)) > 0)
        ;    // until end of file: the receiver is done
    read_word("notes.txt", fd);
    say("fcntl(notes.txt, F_GETFL) has O_NONBLOCK: %s",
        CHECK(fcntl(fd, F_GETFL)) & O_NONBLOCK ? "yes" : "no");
}

static void read_on(int end, pid_t sender)
{
    role("receiver");
    int fd = receive_fd(end), own = CHECK(open("notes.txt", O_RDONLY));
    read_word("the received descriptor", fd);
    read_word("notes.txt, opened anew", own);
    say("fcntl(the received descriptor, F_SETFL, O_NONBLOCK) = %d",
        CHECK(fcntl(fd, F_SETFL, O_NONBLOCK)));
    CHECK(shutdown(end, SHUT_WR));
    reap(sender);
    CHECK(close(own));
    CHECK(close(fd));
    CHECK(unlink("notes.txt"));
}

static void leave(int end)
{
    role("sender");
    int fd = open_notes();
    say("unlink(\"notes.txt\") = %d", CHECK(unlink("notes.txt")));
    send_fd(end, fd);
    say("close(notes.txt) = %d", CHECK(close(fd)));
}

static void come_late(int end, pid_t sender)
{
    reap(sender);
    role("receiver");
    say("the sender has exited, access(\"notes.txt\") = %s",
        RESULT(access("notes.txt", F_OK), ENOENT));
    int fd = receive_fd(end);
    read_word("the received descriptor", fd);
    CHECK(close(fd));
}

/* Root passes any mode by its capabilities, and is a user like others without
 * them; an ordinary user has none to lose. */
static void borrow(int end)
{

    role("receiver");
    as_ordinary_user();
    int fd = receive_fd(end);
    if (fd == -1)
        _exit(EXIT_FAILURE);    // the sender failed, and said why
    say("open(\"notes.txt\", O_RDONLY) = %s",
        RESULT(open("notes.txt", O_RDONLY), EACCES));
    read_word("the received descriptor", fd);
    say("write(the received descriptor) = %s",
        RESULT(write(fd, "!", 1), EBADF));
}

static void lend(int end, pid_t receiver)
{
    role("sender");
    int fd = open_notes();
    say("chmod(\"notes.txt\", 0) = %d", CHECK(chmod("notes.txt", 0)));
    send_fd(end, fd);
    reap(receiver);
    CHECK(close(fd));
    CHECK(unlink("notes.txt"));
}

int main(void)
{
    need_proc();

    int before = open_descriptors();

    step("Is it the number that travels?");
    exchange(send_both, compare);

    step("Whose are the offset and the flags?");
    exchange(read_first, read_on);

    step("Does it outlive the name, and the sender?");
    exchange(leave, come_late);

    step("Must the receiver be allowed to open the file?");
    exchange(borrow, lend);

    step("Is a descriptor left over?");
    role("main");
    say("open descriptors, as many as before step 1: %s",
        open_descriptors() == before ? "yes" : "no");
}
