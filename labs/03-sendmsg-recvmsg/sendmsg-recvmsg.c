/*
 * 03-sendmsg-recvmsg -- how does one message from three buffers go into two?
 *
 * sendmsg() gathers the bytes of its buffers into one message. recvmsg()
 * scatters one message over its buffers: it fills one after the other, as far
 * as the message goes. The message between the two calls is a row of bytes, and
 * where the sender's buffers ended is not kept. A datagram that does not
 * fit loses its rest, and MSG_TRUNC says so.
 *
 *      sender                  kernel                  receiver
 *     +-------+                                        +-------+
 *     | WARN  |--+                                 +-->| WARN_ |
 *     +-------+  |      +------------------+       |   +-------+
 *     | _disk |--+----> |  WARN_disk_full  | ------+
 *     +-------+  |      +------------------+       |   +------------------+
 *     | _full |--+         (_ is a space)          +-->| disk_full....... |
 *     +-------+                                        +------------------+
 *
 * See sendmsg(2), recvmsg(2), recv(2), unix(7).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,        // longer than anything that is sent here
    SMALL_ROOM = 5    // shorter than any message of steps 4 and 5
};

/* Three buffers, one message. */
static void send_pieces(int fd)
{
    char level[] = "WARN";
    char device[] = " disk";
    char state[] = " full";
    struct iovec iov[] = {
        {level, strlen(level)},
        {device, strlen(device)},
        {state, strlen(state)},
    };
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};

    int n = CHECK(sendmsg(fd, &msg, 0));
    say("sendmsg([\"%s\", \"%s\", \"%s\"]) = %d", level, device, state, n);
}

static void write_text(int fd, const char *text)
{
    say("write(\"%s\") ...", text);
    CHECK(write(fd, text, strlen(text)));
}

static void send_together_and_one_by_one(int fd)
{
    send_pieces(fd);
    write_text(fd, "WARN");
    write_text(fd, " disk");
    write_text(fd, " full");
}

static void send_pieces_and_short(int fd)
{
    send_pieces(fd);
    write_text(fd, "INFO ok");
}

static void send_warning_and_info(int fd)
{
    write_text(fd, "WARN disk full");
    write_text(fd, "INFO ready");
}

static const char *type_text(int type)
{
    if (type == SOCK_STREAM)
        return "SOCK_STREAM";
    return "SOCK_DGRAM";
}

/* Makes a pair, and a child that sends with one end of it. The child calls
 * send_messages(), which is one of the three functions above: the second
 * parameter is a pointer to a function. Returns the other end when the child
 * has exited, so what was sent waits in the queue. */
static int run_sender(int type, void (*send_messages)(int fd))
{
    int sv[2];

    role("receiver");
    int made = CHECK(socketpair(AF_UNIX, type, 0, sv));
    say("socketpair(%s) = %d", type_text(type), made);

    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[0]));
        send_messages(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));
    reap(child);
    return sv[0];
}

/* What was received has no zero byte at its end. So the line is made with
 * "%.*s", which gets two arguments: a number of bytes, and where they are. */
static void read_text(int fd)
{
    char buf[ROOM];
    int n = CHECK(read(fd, buf, sizeof(buf)));

    say("read() = %d \"%.*s\"", n, n, buf);
}

/* For the printed lines only. This function compares all bits of the flags, and
 * shows a set of bits that it does not know as a number. A program that wants
 * to know about one flag asks for one bit: if (msg.msg_flags & MSG_TRUNC). */
static const char *flags_text(int flags)
{
    static char number[16];    // good until the next call

    if (flags == MSG_PEEK)
        return "MSG_PEEK";
    if (flags == MSG_TRUNC)
        return "MSG_TRUNC";
    if (flags == (MSG_PEEK | MSG_TRUNC))
        return "MSG_PEEK | MSG_TRUNC";
    snprintf(number, sizeof(number), "%d", flags);
    return number;
}

/* Both buffers are shown whole, also where nothing was written. */
static void receive_in_two(int fd, char *head, size_t head_room, char *body,
                           size_t body_room)
{
    struct iovec iov[] = {{head, head_room}, {body, body_room}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};

    int n = CHECK(recvmsg(fd, &msg, 0));
    say("recvmsg() = %d [\"%.*s\", \"%.*s\"], msg_flags: %s", n, (int)head_room,
        head, (int)body_room, body, flags_text(msg.msg_flags));
}

/* A dot is a byte that was not received. */
static void receive_ten_bytes(int fd)
{
    char head[5];
    char body[5];

    memset(head, '.', sizeof(head));
    memset(body, '.', sizeof(body));
    receive_in_two(fd, head, sizeof(head), body, sizeof(body));
}

/* The same three texts go out twice: together, and one by one. When recvmsg()
 * is called, three messages wait, and there is room for two of them. */
static void one_call_one_message(void)
{
    int fd = run_sender(SOCK_DGRAM, send_together_and_one_by_one);

    read_text(fd);
    receive_ten_bytes(fd);
    read_text(fd);
    read_text(fd);
    CHECK(close(fd));
}

/* Both messages go into the same head and the same body. */
static void same_buffers_twice(void)
{
    char head[5];
    char body[16];

    memset(head, '.', sizeof(head));
    memset(body, '.', sizeof(body));
    int fd = run_sender(SOCK_DGRAM, send_pieces_and_short);

    receive_in_two(fd, head, sizeof(head), body, sizeof(body));
    receive_in_two(fd, head, sizeof(head), body, sizeof(body));
    CHECK(close(fd));
}

/* What is left in the queue when a step has received what it wanted? EAGAIN is
 * an answer here, so this call is not inside CHECK(). check() is the function
 * behind CHECK(): it ends the lab if the result that it gets is -1. */
static void receive_rest(int fd)
{
    char buf[ROOM];

    ssize_t result = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (result == -1 && errno == EAGAIN) {
        say("recv(%zu bytes, MSG_DONTWAIT) = -1 %s", sizeof(buf),
            error_name(errno));
        return;
    }
    int n = check(result, "recv()", __FILE__, __LINE__);
    say("recv(%zu bytes, MSG_DONTWAIT) = %d \"%.*s\"", sizeof(buf), n, n, buf);
}

/* The first message is longer than the room, the second has just as many bytes
 * as the room. */
static void too_little_room(int type)
{
    int fd = run_sender(type, send_warning_and_info);

    receive_ten_bytes(fd);
    receive_ten_bytes(fd);
    receive_rest(fd);
    CHECK(close(fd));
}

/* Only the bytes of the buffer are shown, however many recv() returns. */
static int ask_length(int fd, int flags)
{
    char buf[SMALL_ROOM];

    memset(buf, '.', sizeof(buf));
    int length = CHECK(recv(fd, buf, sizeof(buf), flags));
    say("recv(%zu bytes, %s) = %d \"%.*s\"", sizeof(buf), flags_text(flags),
        length, SMALL_ROOM, buf);
    return length;
}

/* The receiver asks how long the next message is. Then it receives, with as
 * much room as the answer says. */
static void ask_then_receive(int type, int flags)
{
    int fd = run_sender(type, send_warning_and_info);

    int length = ask_length(fd, flags);
    char *buf = malloc((size_t)length);
    if (!buf)
        fail("malloc(length)", __FILE__, __LINE__);
    int n = CHECK(recv(fd, buf, (size_t)length, 0));
    say("recv(length) = %d \"%.*s\"", n, n, buf);
    receive_rest(fd);

    free(buf);
    CHECK(close(fd));
}

int main(void)
{
    step("How many messages does one call send, or receive?");
    one_call_one_message();

    step("Two messages, the same two buffers. What is in the buffers?");
    same_buffers_twice();

    step("There is room for 10 bytes of 14. What becomes of the other 4?");
    too_little_room(SOCK_DGRAM);
    too_little_room(SOCK_STREAM);

    step("The receiver asks for the length first. What does it get?");
    ask_then_receive(SOCK_DGRAM, MSG_TRUNC);
    ask_then_receive(SOCK_DGRAM, MSG_PEEK | MSG_TRUNC);

    step("The receiver asks a stream for the length. What does it get?");
    ask_then_receive(SOCK_STREAM, MSG_PEEK | MSG_TRUNC);
}
