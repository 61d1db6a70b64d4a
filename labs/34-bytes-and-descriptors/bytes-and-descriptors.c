/*
 * 34-bytes-and-descriptors -- to which byte does a descriptor belong?
 *
 * On a stream, a descriptor belongs to the first of the bytes that were sent
 * with it. The first call that comes to this byte takes the descriptor, or
 * loses it, and does not go on to bytes that were sent later. Without a byte
 * the descriptor is lost at once. On SOCK_SEQPACKET, a descriptor belongs to
 * the message, even if only a part of the message is read.
 *
 *     stream     a b [c d] e f [g h]
 *                     ^         ^
 *                    red      green
 *
 * See unix(7), sendmsg(2), recvmsg(2).
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

enum {
    ROOM = 64,          // more than all bytes that are sent here
    DESCRIPTORS = 2,    // for which recvmsg() has room: all that are sent here
    SPACE = CMSG_SPACE(DESCRIPTORS * sizeof(int))
};

/* A pair, as in lab 33. The sender sends one end of it and keeps the other.
 * Whoever has the end that is sent can read the name of the colour there. */
struct colour {
    const char *name;
    int kept;
    int sent;
};

static struct colour make_colour(const char *name)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour colour = {.name = name, .kept = sv[0], .sent = sv[1]};
    CHECK(write(colour.kept, name, strlen(name)));
    return colour;
}

static void open_pair(int type, const char *name, int sv[2])
{
    role("sender");
    int result = CHECK(socketpair(AF_UNIX, type, 0, sv));
    say("socketpair(%s) = %d", name, result);
}

static void close_pair(const int sv[2])
{
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void send_bytes(int to_receiver, const char *bytes)
{
    role("sender");
    say("send(\"%s\") ...", bytes);
    CHECK(send(to_receiver, bytes, strlen(bytes), 0));
}

/* send_descriptor() calls sendmsg(), as in lab 31. The sender closes its own
 * descriptor of the end that it has sent. */
static void send_with_colour(int to_receiver, const char *bytes,
                             const struct colour *colour)
{
    role("sender");
    say("sendmsg(\"%s\", [%s]) ...", bytes, colour->name);
    send_descriptor(to_receiver, bytes, strlen(bytes), colour->sent);
    CHECK(close(colour->sent));
}

/* The same without a byte. Here the question is what sendmsg() returns. */
static void send_only_colour(int to_receiver, const struct colour *colour)
{
    role("sender");
    int n = send_descriptor(to_receiver, "", 0, colour->sent);
    say("sendmsg(\"\", [%s]) = %d", colour->name, n);
    CHECK(close(colour->sent));
}

/* Is the end that was sent still open? If so, send() is 1. */
static void ask_for(const struct colour *colour)
{
    role("sender");
    const char *result =
        RESULT(send(colour->kept, "?", 1, MSG_NOSIGNAL), EPIPE);
    say("send(%s) = %s", colour->name, result);
}

/* The lab never meets more than one flag at a time. */
static const char *flags_text(int flags)
{
    static char number[16];    // good until the next call

    if (flags == MSG_CTRUNC)
        return "MSG_CTRUNC";
    if (flags == MSG_TRUNC)
        return "MSG_TRUNC";
    snprintf(number, sizeof(number), "%d", flags);
    return number;
}

static const char *unit(size_t size)
{
    if (size == 1)
        return "byte";
    return "bytes";
}

/* Reads the name of the colour, and writes it behind the others. */
static void add_name(char *list, size_t room, int descriptor)
{
    char name[8];
    size_t length = strlen(list);
    const char *comma = "";

    if (length > 0)
        comma = ", ";
    int n = CHECK(read(descriptor, name, sizeof(name)));
    snprintf(list + length, room - length, "%s%.*s", comma, n, name);
}

/* Writes the names of all descriptors that have come into list, and closes the
 * descriptors. There are never more than DESCRIPTORS: the control buffer has no
 * room for another one. */
static void take_descriptors(struct msghdr *msg, char *list, size_t room)
{
    int descriptors[DESCRIPTORS];
    struct cmsghdr *beside = CMSG_FIRSTHDR(msg);

    if (!beside || beside->cmsg_level != SOL_SOCKET ||
        beside->cmsg_type != SCM_RIGHTS)
        return;
    size_t count = (beside->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(descriptors, CMSG_DATA(beside), count * sizeof(int));

    for (size_t i = 0; i < count; i++) {
        add_name(list, room, descriptors[i]);
        CHECK(close(descriptors[i]));
    }
}

/* recvmsg() has room for descriptors. The kernel repeats MSG_CMSG_CLOEXEC in
 * msg_flags, so the line leaves this flag out. */
static void receive_message(int to_sender, size_t size)
{
    char bytes[ROOM];
    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    _Alignas(struct cmsghdr) char control[SPACE];
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = CMSG_LEN(DESCRIPTORS * sizeof(int)),
    };
    char list[32] = "";

    role("receiver");
    int n = CHECK(recvmsg(to_sender, &msg, MSG_CMSG_CLOEXEC));
    take_descriptors(&msg, list, sizeof(list));
    say("recvmsg(%zu %s) = %d \"%.*s\", [%s], msg_flags: %s", size, unit(size),
        n, n, bytes, list, flags_text(msg.msg_flags & ~MSG_CMSG_CLOEXEC));
}

static const char *flag_argument(int flag)
{
    if (flag == MSG_DONTWAIT)
        return ", MSG_DONTWAIT";
    if (flag == MSG_WAITALL)
        return ", MSG_WAITALL";
    return "";
}

/* recv() has no room for a descriptor. */
static void receive_bytes(int to_sender, size_t size, int flag)
{
    char bytes[ROOM];
    const char *argument = flag_argument(flag);

    role("receiver");
    ssize_t result = recv(to_sender, bytes, size, flag);
    if (result == -1 && errno == EAGAIN) {
        say("recv(%zu %s%s) = -1 EAGAIN", size, unit(size), argument);
        return;
    }
    int n = check(result, "recv()", __FILE__, __LINE__);
    say("recv(%zu %s%s) = %d \"%.*s\"", size, unit(size), argument, n, n,
        bytes);
}

/* The sender asks before anybody has received. */
static void no_byte_on_stream(void)
{
    int sv[2];

    open_pair(SOCK_STREAM, "SOCK_STREAM", sv);
    const struct colour red = make_colour("red");
    send_only_colour(sv[0], &red);
    ask_for(&red);
    receive_bytes(sv[1], ROOM, MSG_DONTWAIT);

    CHECK(close(red.kept));
    close_pair(sv);
}

/* After the empty message comes end of file, so that both can be compared. */
static void no_byte_on_seqpacket(void)
{
    int sv[2];

    open_pair(SOCK_SEQPACKET, "SOCK_SEQPACKET", sv);
    const struct colour red = make_colour("red");
    send_only_colour(sv[0], &red);
    receive_message(sv[1], ROOM);

    role("sender");
    int closed = CHECK(close(sv[0]));
    say("close(sv[0]) = %d", closed);
    receive_message(sv[1], ROOM);

    CHECK(close(red.kept));
    CHECK(close(sv[1]));
}

/* Byte by byte, and each time with room for a descriptor. */
static void recvmsg_twice(void)
{
    int sv[2];

    open_pair(SOCK_STREAM, "SOCK_STREAM", sv);
    const struct colour red = make_colour("red");
    send_with_colour(sv[0], "xy", &red);
    receive_message(sv[1], 1);
    receive_message(sv[1], 1);

    CHECK(close(red.kept));
    close_pair(sv);
}

/* The first byte is received without room for a descriptor. */
static void recv_and_recvmsg(void)
{
    int sv[2];

    open_pair(SOCK_STREAM, "SOCK_STREAM", sv);
    const struct colour red = make_colour("red");
    send_with_colour(sv[0], "xy", &red);
    receive_bytes(sv[1], 1, 0);
    receive_message(sv[1], 1);
    ask_for(&red);

    CHECK(close(red.kept));
    close_pair(sv);
}

/* The four calls of the picture in the README. All bytes are there before the
 * receiver begins. */
static void four_sends(void)
{
    int sv[2];

    open_pair(SOCK_STREAM, "SOCK_STREAM", sv);
    const struct colour red = make_colour("red");
    const struct colour green = make_colour("green");
    send_bytes(sv[0], "ab");
    send_with_colour(sv[0], "cd", &red);
    send_bytes(sv[0], "ef");
    send_with_colour(sv[0], "gh", &green);
    receive_message(sv[1], ROOM);
    receive_message(sv[1], ROOM);

    CHECK(close(green.kept));
    CHECK(close(red.kept));
    close_pair(sv);
}

/* All bytes are there before the receiver asks for all of them. */
static void wait_for_all(void)
{
    int sv[2];

    open_pair(SOCK_STREAM, "SOCK_STREAM", sv);
    const struct colour red = make_colour("red");
    send_with_colour(sv[0], "ab", &red);
    send_bytes(sv[0], "cd");
    receive_bytes(sv[1], 4, MSG_WAITALL);
    receive_bytes(sv[1], 4, MSG_DONTWAIT);
    ask_for(&red);

    CHECK(close(red.kept));
    close_pair(sv);
}

/* The receiver asks for one byte of two, and has room for the descriptor. */
static void cut_message(void)
{
    int sv[2];

    open_pair(SOCK_SEQPACKET, "SOCK_SEQPACKET", sv);
    const struct colour red = make_colour("red");
    send_with_colour(sv[0], "xy", &red);
    receive_message(sv[1], 1);
    receive_bytes(sv[1], 1, MSG_DONTWAIT);

    CHECK(close(red.kept));
    close_pair(sv);
}

/* As in the second run of step 2, but with a message in the place of a stream:
 * the receiver asks for one byte of two, and has no room for the descriptor. */
static void cut_message_without_room(void)
{
    int sv[2];

    open_pair(SOCK_SEQPACKET, "SOCK_SEQPACKET", sv);
    const struct colour red = make_colour("red");
    send_with_colour(sv[0], "xy", &red);
    receive_bytes(sv[1], 1, 0);
    receive_bytes(sv[1], 1, MSG_DONTWAIT);
    ask_for(&red);

    CHECK(close(red.kept));
    close_pair(sv);
}

int main(void)
{
    step("The message has no byte. Is the descriptor on its way?");
    no_byte_on_stream();
    no_byte_on_seqpacket();

    step("One message has two bytes. With which one does red come?");
    recvmsg_twice();
    recv_and_recvmsg();

    step("Eight bytes wait, and two descriptors. What does one call bring?");
    four_sends();

    step("Four bytes wait. Does MSG_WAITALL bring all of them?");
    wait_for_all();

    step("The message is cut off. Does the descriptor arrive?");
    cut_message();
    cut_message_without_room();
}
