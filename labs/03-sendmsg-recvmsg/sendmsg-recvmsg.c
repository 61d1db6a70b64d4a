/*
 * 03-sendmsg-recvmsg -- how does one message from three buffers fill two?
 *
 * sendmsg() gets a list of buffers and makes one message of their bytes.
 * recvmsg() gets a list of buffers and fills them one after the other, as far
 * as the message goes. The message between the two is a row of bytes: where it
 * was cut is not kept. If the buffers are too small, MSG_TRUNC says so.
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
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,        // longer than anything that is sent here
    SMALL_ROOM = 5    // shorter than any message of step 4
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
    int n = CHECK(write(fd, text, strlen(text)));

    say("write(\"%s\") = %d", text, n);
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

static void send_long_and_short(int fd)
{
    write_text(fd, "WARN disk full");
    write_text(fd, "INFO ready");
}

static void send_short_and_long(int fd)
{
    write_text(fd, "INFO ready");
    write_text(fd, "WARN disk full");
}

/* Makes a pair, and a child that sends with one end of it. Returns the other
 * end when the child has exited: what was sent waits in the queue. */
static int run_sender(int type, void (*send_messages)(int fd))
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, type, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[0]));
        send_messages(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[1]));
    reap(child);
    return sv[0];
}

static void read_text(int fd)
{
    char buf[ROOM];
    int n = CHECK(read(fd, buf, sizeof(buf)));

    say("read() = %d \"%.*s\"", n, n, buf);
}

/* The same three texts go out twice: together, and one by one. */
static void gather(void)
{
    int fd = run_sender(SOCK_DGRAM, send_together_and_one_by_one);

    read_text(fd);
    read_text(fd);
    read_text(fd);
    read_text(fd);
    CHECK(close(fd));
}

/* Both msg_flags and the flags of a call are sets of bits: ask with &, not
 * with ==, because there may be others. */
static const char *flags_text(int flags)
{
    static char number[16];    // good until the next call

    if ((flags & MSG_PEEK) && (flags & MSG_TRUNC))
        return "MSG_PEEK | MSG_TRUNC";
    if (flags & MSG_PEEK)
        return "MSG_PEEK";
    if (flags & MSG_TRUNC)
        return "MSG_TRUNC";
    snprintf(number, sizeof(number), "%d", flags);
    return number;
}

/* One message goes into two buffers. Both are shown whole, also where nothing
 * was written. */
static void receive_in_two(int fd, char *head, size_t head_room, char *body,
                           size_t body_room)
{
    struct iovec iov[] = {{head, head_room}, {body, body_room}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};

    int n = CHECK(recvmsg(fd, &msg, 0));
    say("recvmsg() = %d [\"%.*s\", \"%.*s\"], msg_flags %s", n, (int)head_room,
        head, (int)body_room, body, flags_text(msg.msg_flags));
}

/* Both messages go into the same head and the same body. A dot is a byte that
 * no message has filled. */
static void scatter(void)
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

static void receive_ten_bytes(int fd)
{
    char head[5];
    char body[5];

    memset(head, '.', sizeof(head));
    memset(body, '.', sizeof(body));
    receive_in_two(fd, head, sizeof(head), body, sizeof(body));
}

/* The first message is longer than the room, the second has just as many bytes
 * as the room. */
static void too_little_room(void)
{
    int fd = run_sender(SOCK_DGRAM, send_long_and_short);

    receive_ten_bytes(fd);
    receive_ten_bytes(fd);
    CHECK(close(fd));
}

static int ask_length(int fd, int flags)
{
    char buf[SMALL_ROOM];
    int length = CHECK(recv(fd, buf, sizeof(buf), flags));

    say("recv(room %zu, %s) = %d", sizeof(buf), flags_text(flags), length);
    return length;
}

/* The receiver asks twice for the length of a message. Then it receives with as
 * much room as the second answer says. Is anything left after that? */
static void ask_then_receive(void)
{
    char buf[ROOM];    // a program that knows less would call malloc(length)
    int fd = run_sender(SOCK_DGRAM, send_short_and_long);

    ask_length(fd, MSG_TRUNC);
    int length = ask_length(fd, MSG_PEEK | MSG_TRUNC);

    int n = CHECK(recv(fd, buf, (size_t)length, 0));
    say("recv(room %d, 0) = %d \"%.*s\"", length, n, n, buf);
    const char *result =
        RESULT(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
    say("recv(room %zu, MSG_DONTWAIT) = %s", sizeof(buf), result);
    CHECK(close(fd));
}

/* The messages and the buffers of step 3, and the second question of step 4. */
static void on_a_stream(void)
{
    int fd = run_sender(SOCK_STREAM, send_long_and_short);

    ask_length(fd, MSG_PEEK | MSG_TRUNC);
    receive_ten_bytes(fd);
    receive_ten_bytes(fd);
    receive_ten_bytes(fd);
    CHECK(close(fd));
}

int main(void)
{
    step("Three buffers go out with one call. How many messages arrive?");
    gather();

    step("Two messages, the same two buffers. What is in the buffers?");
    scatter();

    step("There is room for 10 bytes. How can one see that a message was cut?");
    too_little_room();

    step("How long is the next message?");
    ask_then_receive();

    step("The same question on a stream: what is the answer?");
    on_a_stream();
}
