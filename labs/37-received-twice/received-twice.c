/*
 * 37-received-twice -- can one descriptor come twice?
 *
 * Yes, by the fault of either side. Each recvmsg() with MSG_PEEK makes one more
 * descriptor in the receiver's table, and the message still has its own. On a
 * stream, a sendmsg() that has sent a part of the bytes has sent the
 * descriptor: who sends the rest with the same msghdr sends it again. A
 * sendmsg() that has failed has sent nothing.
 *
 *     sender                   the queue               receiver
 *     part + [notes]   --->   bytes, [notes]   --->   first  ---+
 *     rest + [notes]   --->   bytes, [notes]   --->   second ---+--> open file
 *
 * See unix(7), sendmsg(2), recvmsg(2), recv(2), lseek(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

enum {
    BUFFER = 8192,    // SO_SNDBUF: much less than BIG
    BIG = 100000,     // bytes that find no room in the queue at once
    SMALL = 1000,     // bytes that do
    WORD = 4          // each word of the notes: three letters and a blank
};

static const char *const notes_path = "notes.txt";
static const char *const notes_text = "one two six ";
static const char big_bytes[BIG];    // zeros: nobody looks at them

/* A msghdr with all that it points to: bytes, and one descriptor beside them.
 * The name is what the lines call the descriptor. */
struct message {
    const char *name;
    struct msghdr msg;
    struct iovec iov;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static void prepare(struct message *message, const char *bytes, size_t size,
                    const char *name, int descriptor)
{
    memset(message, 0, sizeof(*message));
    message->name = name;
    message->iov.iov_base = (void *)bytes;
    message->iov.iov_len = size;
    message->msg.msg_iov = &message->iov;
    message->msg.msg_iovlen = 1;
    message->msg.msg_control = message->control;
    message->msg.msg_controllen = sizeof(message->control);

    struct cmsghdr *beside = CMSG_FIRSTHDR(&message->msg);
    beside->cmsg_level = SOL_SOCKET;
    beside->cmsg_type = SCM_RIGHTS;
    beside->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(beside), &descriptor, sizeof(int));
}

/* What has been sent is left out of the bytes. The descriptor stays. */
static void leave_out(struct message *message, int sent)
{
    message->iov.iov_base = (char *)message->iov.iov_base + sent;
    message->iov.iov_len -= (size_t)sent;
}

static void leave_out_descriptor(struct message *message)
{
    message->msg.msg_control = NULL;
    message->msg.msg_controllen = 0;
}

static void make_notes(void)
{
    int fd = CHECK(open(notes_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));

    CHECK(write(fd, notes_text, strlen(notes_text)));
    CHECK(close(fd));
}

static int open_notes(void)
{
    return CHECK(open(notes_path, O_RDONLY | O_CLOEXEC));
}

static void close_pair(const int sv[2])
{
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* One byte, and a descriptor beside it. */
static void send_byte(int to_receiver, const char *name, int descriptor)
{
    struct message message;

    role("sender");
    prepare(&message, "x", 1, name, descriptor);
    say("sendmsg(\"x\", [%s]) ...", name);
    CHECK(sendmsg(to_receiver, &message.msg, 0));
}

/* Does and returns what recvmsg() does. Afterwards *descriptor is the
 * descriptor that came beside the bytes, or -1 if none came. There is room for
 * one, and not for two. */
static ssize_t try_receive(int to_sender, char *bytes, size_t size, int flag,
                           int *descriptor)
{
    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = CMSG_LEN(sizeof(int)),
    };

    *descriptor = -1;
    ssize_t n = recvmsg(to_sender, &msg, flag | MSG_CMSG_CLOEXEC);
    if (n == -1)
        return -1;
    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    if (beside && beside->cmsg_level == SOL_SOCKET &&
        beside->cmsg_type == SCM_RIGHTS)
        memcpy(descriptor, CMSG_DATA(beside), sizeof(int));
    return n;
}

static int count_of(int descriptor)
{
    if (descriptor == -1)
        return 0;
    return 1;
}

/* Receives one byte, or only looks at it, if the flag is MSG_PEEK. */
static int receive_byte(int to_sender, int flag)
{
    char byte;
    int descriptor;
    const char *argument = "";

    if (flag == MSG_PEEK)
        argument = "MSG_PEEK";
    role("receiver");
    int n = check(try_receive(to_sender, &byte, 1, flag, &descriptor),
                  "recvmsg()", __FILE__, __LINE__);
    say("recvmsg(%s) = %d \"%.*s\", descriptors: %d", argument, n, n, &byte,
        count_of(descriptor));
    return descriptor;
}

/* Is there another message? EAGAIN is the answer that there is none.
 * result_text() is the function behind RESULT(). */
static void receive_no_more(int to_sender)
{
    char byte;
    int descriptor;

    role("receiver");
    ssize_t n = try_receive(to_sender, &byte, 1, MSG_DONTWAIT, &descriptor);
    const char *result =
        result_text(n, EAGAIN, "EAGAIN", "recvmsg()", __FILE__, __LINE__);
    say("recvmsg(MSG_DONTWAIT) = %s", result);
}

static void read_word(int fd)
{
    char word[WORD];
    int n = CHECK(read(fd, word, sizeof(word)));

    say("read(a descriptor) = %d \"%.*s\"", n, n, word);
}

/* Receives all that is in the queue. From each descriptor that comes, it reads
 * one word, and closes the descriptor. */
static void receive_all(int to_sender)
{
    static char bytes[BIG];
    char words[32];
    size_t length = 0;
    int count = 0;
    int descriptor;

    role("receiver");
    ssize_t n = try_receive(to_sender, bytes, BIG, MSG_DONTWAIT, &descriptor);
    while (n != -1) {
        if (descriptor != -1) {
            int n_read = CHECK(read(descriptor, words + length, WORD));
            length += (size_t)n_read;
            count++;
            CHECK(close(descriptor));
        }
        n = try_receive(to_sender, bytes, BIG, MSG_DONTWAIT, &descriptor);
    }
    if (errno != EAGAIN)
        fail("recvmsg()", __FILE__, __LINE__);
    say("recvmsg() until EAGAIN: descriptors: %d, read() -> \"%.*s\"", count,
        (int)length, words);
}

/* The line with EAGAIN shows that there was only one message. */
static void peek_twice(void)
{
    int sv[2];

    make_notes();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    int notes = open_notes();
    send_byte(sv[0], "notes", notes);

    int first = receive_byte(sv[1], MSG_PEEK);
    int second = receive_byte(sv[1], MSG_PEEK);
    int third = receive_byte(sv[1], 0);
    receive_no_more(sv[1]);
    read_word(first);
    read_word(second);
    read_word(third);

    CHECK(close(third));
    CHECK(close(second));
    CHECK(close(first));
    CHECK(close(notes));
    close_pair(sv);
    CHECK(unlink(notes_path));
}

/* Sends one end of a pair, and closes its own descriptor of this end. */
static int send_red(int to_receiver)
{
    int red[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, red));
    send_byte(to_receiver, "red", red[1]);
    CHECK(close(red[1]));
    return red[0];
}

/* Is the end that was sent still open? If so, send() is 1. */
static void ask_whether_open(int red)
{
    role("sender");
    const char *result = RESULT(send(red, "?", 1, MSG_NOSIGNAL), EPIPE);
    say("send(red) = %s", result);
}

static void receive_and_close(int to_sender)
{
    int received = receive_byte(to_sender, 0);

    CHECK(close(received));
}

/* `seen` is what the receiver forgets. It is closed when the sender has asked.
 */
static void peek_with_room(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    int red = send_red(sv[0]);
    int seen = receive_byte(sv[1], MSG_PEEK);
    receive_and_close(sv[1]);
    ask_whether_open(red);

    CHECK(close(seen));
    CHECK(close(red));
    close_pair(sv);
}

/* recv() has no room for a descriptor. */
static void peek_without_room(void)
{
    int sv[2];
    char byte;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    int red = send_red(sv[0]);
    role("receiver");
    int n = CHECK(recv(sv[1], &byte, 1, MSG_PEEK));
    say("recv(MSG_PEEK) = %d \"%.*s\"", n, n, &byte);
    receive_and_close(sv[1]);
    ask_whether_open(red);

    CHECK(close(red));
    close_pair(sv);
}

/* With a small buffer, so that the queue has no room for BIG bytes. */
static void open_small_pair(int type, int sv[2])
{
    const int size = BUFFER;

    CHECK(socketpair(AF_UNIX, type, 0, sv));
    CHECK(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
}

/* What is sent, as it stands in the msghdr. */
static const char *message_text(const struct message *message)
{
    static char text[64];    // good until the next call
    size_t size = message->iov.iov_len;

    if (message->msg.msg_controllen > 0)
        snprintf(text, sizeof(text), "%zu bytes, [%s]", size, message->name);
    else
        snprintf(text, sizeof(text), "%zu bytes", size);
    return text;
}

static const char *share_of(int sent, size_t size)
{
    if ((size_t)sent < size)
        return "a part";
    return "all";
}

/* How many bytes have gone depends on the kernel. That they are a part, and not
 * all, is what the step is about. */
static int send_part(int to_receiver, const struct message *message)
{
    role("sender");
    int n = CHECK(sendmsg(to_receiver, &message->msg, MSG_DONTWAIT));
    const char *text = message_text(message);
    const char *share = share_of(n, message->iov.iov_len);
    say_measured("sendmsg(%s, MSG_DONTWAIT) = %d, %s", text, n, share);
    return n;
}

/* The descriptor is still in the msghdr when the rest is sent. Between the two
 * calls the receiver empties the queue, so that there is room again. */
static void same_header_again(void)
{
    int sv[2];
    struct message message;

    make_notes();
    open_small_pair(SOCK_STREAM, sv);
    int notes = open_notes();

    prepare(&message, big_bytes, BIG, "notes", notes);
    int sent = send_part(sv[0], &message);
    receive_all(sv[1]);
    leave_out(&message, sent);
    send_part(sv[0], &message);
    receive_all(sv[1]);

    CHECK(close(notes));
    close_pair(sv);
    CHECK(unlink(notes_path));
}

/* The same, but the descriptor is left out when the rest is sent. */
static void rest_without_descriptor(void)
{
    int sv[2];
    struct message message;

    make_notes();
    open_small_pair(SOCK_STREAM, sv);
    int notes = open_notes();

    prepare(&message, big_bytes, BIG, "notes", notes);
    int sent = send_part(sv[0], &message);
    receive_all(sv[1]);
    leave_out(&message, sent);
    leave_out_descriptor(&message);
    send_part(sv[0], &message);
    receive_all(sv[1]);

    CHECK(close(notes));
    close_pair(sv);
    CHECK(unlink(notes_path));
}

/* Messages without a descriptor, until the queue is full. */
static void fill_queue(int to_receiver)
{
    int messages = 0;

    role("sender");
    ssize_t n = send(to_receiver, big_bytes, SMALL, MSG_DONTWAIT);
    while (n != -1) {
        messages++;
        n = send(to_receiver, big_bytes, SMALL, MSG_DONTWAIT);
    }
    if (errno != EAGAIN)
        fail("send()", __FILE__, __LINE__);
    say_measured("send(%d bytes) until EAGAIN: messages: %d", SMALL, messages);
}

/* If `error` is not 0, it is an answer here, and not the end of the lab. */
static void try_to_send(int to_receiver, const struct message *message,
                        int error)
{
    role("sender");
    ssize_t n = sendmsg(to_receiver, &message->msg, MSG_DONTWAIT);
    const char *result = result_text(n, error, error_name(error), "sendmsg()",
                                     __FILE__, __LINE__);
    say("sendmsg(%s, MSG_DONTWAIT) = %s", message_text(message), result);
}

/* The first message is too large, however empty the queue is. The second one
 * finds the queue full. When the queue is empty, the same msghdr is given to
 * sendmsg() again. */
static void whole_messages(void)
{
    int sv[2];
    struct message big;
    struct message small;

    make_notes();
    open_small_pair(SOCK_SEQPACKET, sv);
    int notes = open_notes();

    prepare(&big, big_bytes, BIG, "notes", notes);
    try_to_send(sv[0], &big, EMSGSIZE);
    receive_all(sv[1]);

    prepare(&small, big_bytes, SMALL, "notes", notes);
    fill_queue(sv[0]);
    try_to_send(sv[0], &small, EAGAIN);
    receive_all(sv[1]);
    try_to_send(sv[0], &small, 0);    // no error is expected now
    receive_all(sv[1]);

    CHECK(close(notes));
    close_pair(sv);
    CHECK(unlink(notes_path));
}

/* Is the number of the file the same as that of first? */
static void compare_inode(const char *name, int fd, int first)
{
    struct stat known;
    struct stat status;

    CHECK(fstat(first, &known));
    CHECK(fstat(fd, &status));
    if (status.st_dev == known.st_dev && status.st_ino == known.st_ino)
        say("fstat(%s) -> st_ino: the same", name);
    else
        say("fstat(%s) -> st_ino: another", name);
}

static void say_position(const char *name, int fd)
{
    int position = CHECK(lseek(fd, 0, SEEK_CUR));

    say("lseek(%s, 0, SEEK_CUR) = %d", name, position);
}

/* Returns the descriptor that the receiver gets. */
static int send_and_receive(const int sv[2], const char *name, int descriptor)
{
    char byte;
    int received;

    send_byte(sv[0], name, descriptor);
    receive_descriptor(sv[1], &byte, 1, &received);
    return received;
}

/* `notes` is sent twice, and `again` once. They lead to two open files, which
 * were opened with the same name. */
static void compare_three(void)
{
    int sv[2];

    make_notes();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    int notes = open_notes();
    int again = open_notes();

    int first = send_and_receive(sv, "notes", notes);
    int second = send_and_receive(sv, "notes", notes);
    int third = send_and_receive(sv, "again", again);

    role("receiver");
    compare_inode("second", second, first);
    compare_inode("third", third, first);
    int moved = CHECK(lseek(first, 4, SEEK_SET));
    say("lseek(first, 4, SEEK_SET) = %d", moved);
    say_position("second", second);
    say_position("third", third);

    CHECK(close(third));
    CHECK(close(second));
    CHECK(close(first));
    CHECK(close(again));
    CHECK(close(notes));
    close_pair(sv);
    CHECK(unlink(notes_path));
}

int main(void)
{
    step("One is sent. The receiver looks twice. How many has it?");
    peek_twice();

    step("The receiver looks, and forgets. Is the descriptor closed?");
    peek_with_room();
    peek_without_room();

    step("Only a part of the bytes has gone. Has the descriptor gone?");
    same_header_again();
    rest_without_descriptor();

    step("sendmsg() has failed. Has the descriptor gone?");
    whole_messages();

    step("Three have come. Which of them are one open file?");
    compare_three();
}
