/*
 * 05-seqpacket-vs-stream -- where does a message end?
 *
 * A stream carries bytes. It does not keep where one send() ended and the next
 * one began, so a program that needs messages puts a length in front of each.
 * SOCK_SEQPACKET carries messages: one recv() takes one of them, and what does
 * not fit into the buffer is lost.
 *
 *     SOCK_STREAM     sender --->  o n e t w o t h r e e  ---> receiver
 *     SOCK_SEQPACKET  sender --->  [one] [two] [three]    ---> receiver
 *
 * See unix(7), socketpair(2), send(2), recv(2).
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { ROOM = 64 };    // for the text of one message

static void send_text(int fd, const char *text)
{
    say("send(\"%s\") ...", text);
    CHECK(send(fd, text, strlen(text), 0));
}

/* Receives into a buffer with that much room, and says what came. */
static int receive(int fd, size_t room)
{
    char buf[ROOM];
    int n = CHECK(recv(fd, buf, room, 0));

    say("recv(%zu bytes) = %d \"%.*s\"", room, n, n, buf);
    return n;
}

/* The receiver reads when the sender has exited. So all three messages are
 * there, every time, and could stick together. */
static void three_sends(int type)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, type, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[1]));

        send_text(sv[0], "one");
        send_text(sv[0], "two");
        send_text(sv[0], "three");
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[0]));
    reap(child);

    while (receive(sv[1], ROOM) > 0)
        continue;

    CHECK(close(sv[1]));
}

/* MSG_PEEK leaves in the queue what recv() returns. MSG_TRUNC asks for the
 * whole length of a message, even if it does not fit. */
static void short_buffer(int type)
{
    int sv[2];
    char buf[2];

    CHECK(socketpair(AF_UNIX, type, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role(type == SOCK_STREAM ? "stream" : "seqpacket");
        CHECK(close(sv[1]));

        send_text(sv[0], "three");
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[0]));
    reap(child);

    int n = CHECK(recv(sv[1], buf, sizeof(buf), MSG_PEEK | MSG_TRUNC));
    say("recv(%zu bytes, MSG_PEEK | MSG_TRUNC) = %d", sizeof(buf), n);
    while (receive(sv[1], sizeof(buf)) > 0)
        continue;

    CHECK(close(sv[1]));
}

/* The slowest sender that there can be: it waits for a dot before it sends the
 * next byte, so no recv() ever finds more than one. */
static void send_slowly(int fd, const char *bytes, size_t length)
{
    char text[128] = "";
    size_t written = 0;
    char dot;

    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        int n = snprintf(text + written, sizeof(text) - written,
                         isprint(byte) ? "%c" : "\\%o", byte);
        written += (size_t)n;
    }
    say("send() for each byte of \"%s\" ...", text);

    for (size_t i = 0; i < length; i++) {
        CHECK(send(fd, &bytes[i], 1, 0));
        CHECK(recv(fd, &dot, 1, 0));
    }
}

/* Returns how many bytes came: fewer than wanted only at the end of file. */
static size_t receive_all(int fd, void *buf, size_t wanted)
{
    size_t got = 0;
    int n = 1;

    while (got < wanted && n > 0) {
        n = CHECK(recv(fd, (char *)buf + got, wanted - got, 0));
        got += (size_t)n;
        if (n > 0)
            CHECK(send(fd, ".", 1, 0));
    }
    return got;
}

/* A message is its length in two bytes, the high one first, and then its text.
 * Returns false when there is nothing more to receive. */
static bool receive_message(int fd)
{
    unsigned char prefix[2];
    char text[ROOM];

    size_t got = receive_all(fd, prefix, sizeof(prefix));
    if (got < sizeof(prefix)) {
        say("receive_message(): end of file after %zu of %zu bytes", got,
            sizeof(prefix));
        return false;
    }

    size_t length = (size_t)prefix[0] << 8 | prefix[1];
    if (length > sizeof(text)) {
        say("receive_message(): length %zu, room for %zu", length,
            sizeof(text));
        return false;
    }

    got = receive_all(fd, text, length);
    if (got < length) {
        say("receive_message(): end of file after %zu of %zu bytes", got,
            length);
        return false;
    }
    say("receive_message() = %zu \"%.*s\"", length, (int)length, text);
    return true;
}

/* A stream to a receiver that knows where messages end. */
static void messages_on_a_stream(const char *bytes, size_t length)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[1]));

        send_slowly(sv[0], bytes, length);
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[0]));

    while (receive_message(sv[1]))
        continue;

    CHECK(close(sv[1]));
    reap(child);
}

int main(void)
{
    static const char three_messages[] = "\0\3one\0\0\0\5three";
    static const char half_a_message[] = "\0\5th";
    static const char a_lie[] = "\377\377";

    step("SOCK_STREAM: three sends. What does one recv() return?");
    three_sends(SOCK_STREAM);

    step("SOCK_SEQPACKET: what do the same calls return now?");
    three_sends(SOCK_SEQPACKET);

    step("What if the receiver's buffer is too short?");
    short_buffer(SOCK_STREAM);
    short_buffer(SOCK_SEQPACKET);

    step("How can a stream carry messages?");
    messages_on_a_stream(three_messages, sizeof(three_messages) - 1);

    step("What if the message is not as long as its length says?");
    messages_on_a_stream(half_a_message, sizeof(half_a_message) - 1);
    messages_on_a_stream(a_lie, sizeof(a_lie) - 1);
}
