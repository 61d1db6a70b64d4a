/*
 * 03-sendmsg-recvmsg -- how does one message leave three buffers and fill two?
 *
 * sendmsg() gets a list of buffers and makes one message of their bytes.
 * recvmsg() gets a list of buffers and fills them one after the other. The
 * message between the two is a row of bytes: where it was cut is not kept.
 *
 *      sender                  kernel                  receiver
 *     +-------+                                        +-------+
 *     | WARN  |--+                                 +-->| WARN_ |
 *     +-------+  |      +------------------+       |   +-------+
 *     | _disk |--+----> |  WARN_disk_full  | ------+
 *     +-------+  |      +------------------+       |   +-----------+
 *     | _full |--+         (_ is a space)          +-->| disk_full |
 *     +-------+                                        +-----------+
 *
 * See sendmsg(2), recvmsg(2), readv(2), unix(7).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../common/lab.h"

/* Where the first bytes of a message are, as text: "WARN", " disk", " full". */
static const char *pieces(const struct iovec *iov, size_t count, int bytes)
{
    static char text[128];    // good until the next call
    size_t used = 0;
    size_t left = (size_t)bytes;

    for (size_t i = 0; i < count && used < sizeof(text); i++) {
        size_t length = iov[i].iov_len;
        if (length > left)
            length = left;

        const char *comma = i > 0 ? ", " : "";
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\"%.*s\"",
                                 comma, (int)length, (char *)iov[i].iov_base);
        left -= length;
    }
    return text;
}

static const char *flags_text(int flags)
{
    static char number[16];    // good until the next call

    if (flags == MSG_TRUNC)
        return "MSG_TRUNC";
    snprintf(number, sizeof(number), "%#x", (unsigned)flags);
    return number;
}

static void write_text(int fd, const char *text)
{
    int n = CHECK(write(fd, text, strlen(text)));

    say("write(\"%s\") = %d", text, n);
}

static void read_text(int fd)
{
    char buf[64];
    int n = CHECK(read(fd, buf, sizeof(buf)));

    say("read() = %d \"%.*s\"", n, n, buf);
}

/* One message goes to two buffers. */
static void receive_in_two(int fd, struct iovec iov[2])
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

    int n = CHECK(recvmsg(fd, &msg, 0));
    say("recvmsg(room [%zu, %zu]) = %d [%s], msg_flags %s", iov[0].iov_len,
        iov[1].iov_len, n, pieces(iov, 2, n), flags_text(msg.msg_flags));
}

/* Three pieces leave with one call, two pieces with a call each. In all steps
 * the sender is gone before the receiver begins: the messages wait. */
static void gather(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[0]));

        struct iovec iov[] = {{"WARN", 4}, {" disk", 5}, {" full", 5}};
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};

        int n = CHECK(sendmsg(sv[1], &msg, 0));
        say("sendmsg([%s]) = %d", pieces(iov, ARRAY_LEN(iov), n), n);
        write_text(sv[1], "INFO");
        write_text(sv[1], " ok");
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[1]));
    reap(child);

    read_text(sv[0]);
    read_text(sv[0]);
    read_text(sv[0]);
    CHECK(close(sv[0]));
}

/* One message leaves in three pieces, the next in one. The receiver has a
 * buffer for a head of five bytes, and one for what comes after the head. */
static void scatter(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[0]));

        struct iovec iov[] = {{"INFO", 4}, {" door", 5}, {" open", 5}};
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};

        int n = CHECK(sendmsg(sv[1], &msg, 0));
        say("sendmsg([%s]) = %d", pieces(iov, ARRAY_LEN(iov), n), n);
        write_text(sv[1], "INFO door shut");
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[1]));
    reap(child);

    char head[5];
    char body[64];
    struct iovec iov[] = {{head, sizeof(head)}, {body, sizeof(body)}};

    receive_in_two(sv[0], iov);
    receive_in_two(sv[0], iov);
    CHECK(close(sv[0]));
}

/* The receiver has room for ten bytes. The first message is longer, the second
 * has just ten. */
static void too_little_room(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[0]));

        write_text(sv[1], "WARN disk full");
        write_text(sv[1], "INFO ready");
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[1]));
    reap(child);

    char head[5];
    char body[5];
    struct iovec iov[] = {{head, sizeof(head)}, {body, sizeof(body)}};

    receive_in_two(sv[0], iov);
    receive_in_two(sv[0], iov);
    CHECK(close(sv[0]));
}

/* The receiver asks for the length of each message, with no room at all: with
 * MSG_TRUNC alone, and with MSG_PEEK. Then it makes room. */
static void ask_for_length(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[0]));

        write_text(sv[1], "INFO ready");
        write_text(sv[1], "WARN disk full");
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[1]));
    reap(child);

    int length = CHECK(recv(sv[0], NULL, 0, MSG_TRUNC));
    say("recv(room 0, MSG_TRUNC) = %d", length);

    length = CHECK(recv(sv[0], NULL, 0, MSG_PEEK | MSG_TRUNC));
    say("recv(room 0, MSG_PEEK | MSG_TRUNC) = %d", length);

    char *buf = malloc((size_t)length);
    if (!buf)
        fail("malloc(length)", __FILE__, __LINE__);
    int n = CHECK(recv(sv[0], buf, (size_t)length, 0));
    say("recv(room %d) = %d \"%.*s\"", length, n, n, buf);

    free(buf);
    CHECK(close(sv[0]));
}

/* Step 3 again, with the same room, but over a stream. */
static void stream(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[0]));

        write_text(sv[1], "WARN disk full");
        write_text(sv[1], "INFO ready");
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[1]));
    reap(child);

    char head[5];
    char body[5];
    struct iovec iov[] = {{head, sizeof(head)}, {body, sizeof(body)}};

    receive_in_two(sv[0], iov);
    receive_in_two(sv[0], iov);
    receive_in_two(sv[0], iov);
    CHECK(close(sv[0]));
}

int main(void)
{
    step("Three buffers leave with one call. How many messages arrive?");
    gather();

    step("Must the receiver cut the message where the sender did?");
    scatter();

    step("There is room for 10 bytes. What becomes of the rest?");
    too_little_room();

    step("Can the receiver ask how long a message is?");
    ask_for_length();

    step("What becomes of the rest on a stream?");
    stream();
}
