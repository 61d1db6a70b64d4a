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

enum { LARGE = 64, SMALL = 4 };    // two sizes of the receiver's buffer
enum { DIGITS = 2 };               // of the length in front of a message

static const char *const words[3] = {"one", "two", "three"};
static const char *const one_is_empty[3] = {"one", "", "two"};

static const char *type_name(int type)
{
    if (type == SOCK_STREAM)
        return "SOCK_STREAM";
    return "SOCK_SEQPACKET";
}

/* Receives into a buffer with that much room, and says what came. */
static int receive(int fd, size_t room)
{
    char buf[LARGE];
    int n = CHECK(recv(fd, buf, room, 0));

    say("recv(%zu bytes) = %d \"%.*s\"", room, n, n, buf);
    return n;
}

/* After each word the sender waits for an answer of the receiver, a dot. */
static void words_with_answers(void)
{
    const int type = SOCK_STREAM;
    int sv[2];
    char dot;

    CHECK(socketpair(AF_UNIX, type, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[1]));

        for (int i = 0; i < 3; i++) {
            say("%s: send(\"%s\") ...", type_name(type), words[i]);
            CHECK(send(sv[0], words[i], strlen(words[i]), 0));
            CHECK(recv(sv[0], &dot, 1, 0));
        }
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[0]));

    while (receive(sv[1], LARGE) > 0)
        CHECK(send(sv[1], ".", 1, 0));

    CHECK(close(sv[1]));
    reap(child);
}

/* Makes a pair, and a child that sends three texts without waiting. Returns the
 * receiver's socket when the child has exited: all that was sent is in its
 * queue. */
static int three_sends(int type, const char *const texts[3])
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, type, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[1]));

        say("%s: send(\"%s\"), send(\"%s\"), send(\"%s\") ...", type_name(type),
            texts[0], texts[1], texts[2]);
        for (int i = 0; i < 3; i++)
            CHECK(send(sv[0], texts[i], strlen(texts[i]), 0));
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[0]));
    reap(child);
    return sv[1];
}

/* All three words wait in the queue when the receiver begins. What does each
 * recv() take, of this type and with that much room? */
static void words_at_once(int type, size_t room)
{
    int fd = three_sends(type, words);

    while (receive(fd, room) > 0)
        continue;    // receive() has said what came

    CHECK(close(fd));
}

/* The second of the three texts is empty. After the loop the receiver calls
 * recv() once more: was the 0 that ended the loop the end of file? */
static void an_empty_text(int type)
{
    int fd = three_sends(type, one_is_empty);

    while (receive(fd, LARGE) > 0)
        continue;
    receive(fd, LARGE);

    CHECK(close(fd));
}

/* What the receiver keeps for a sender. The user lies right behind the text. */
struct session {
    char text[8];
    char user[8];
};

static int recv_calls;         // since receive_message() was called
static bool sender_is_slow;    // it sends one byte for each dot that it gets

/* One recv() returns one piece. Its length can be anything from 1 to room, or 0
 * at end of file. The program of "Build it" needs no dot: here the dot makes
 * sure that there is one byte at a time. */
static int receive_piece(int fd, char *buf, int room)
{
    if (sender_is_slow)
        CHECK(send(fd, ".", 1, 0));

    recv_calls++;
    return CHECK(recv(fd, buf, (size_t)room, 0));
}

/* Receives as many bytes as are wanted, in as many pieces as they come. Returns
 * how many have come: fewer than wanted only at the end of file. */
static int receive_all(int fd, char *buf, int wanted)
{
    int got = 0;

    while (got < wanted) {
        int n = receive_piece(fd, buf + got, wanted - got);
        if (n == 0)
            break;    // end of file
        got += n;
    }
    return got;
}

/* The number that the digits are, or -1 if they are no digits. */
static int number(const char digits[DIGITS])
{
    int value = 0;

    for (int i = 0; i < DIGITS; i++) {
        if (!isdigit((unsigned char)digits[i]))
            return -1;
        value = 10 * value + (digits[i] - '0');
    }
    return value;
}

/* A message is its length in digits, and then its text. Returns false if there
 * is no more message, or one that cannot be received. */
static bool receive_message(int fd, struct session *session)
{
    const int room = (int)sizeof(session->text);
    char digits[DIGITS];

    recv_calls = 0;
    int got = receive_all(fd, digits, DIGITS);
    if (got < DIGITS) {
        say("receive_message(): end of file after %d of %d digits", got,
            DIGITS);
        return false;
    }

    int length = number(digits);
    if (length < 0) {
        say("receive_message(): length \"%.*s\", recv() calls: %d", DIGITS,
            digits, recv_calls);
        return false;
    }
    if (length > room) {
        say("receive_message(): length \"%.*s\", room for %d, recv() calls: %d",
            DIGITS, digits, room, recv_calls);
        return false;
    }

    got = receive_all(fd, session->text, length);
    if (got < length) {
        say("receive_message(): end of file after %d of %d bytes of text", got,
            length);
        return false;
    }
    say("receive_message(): %d bytes \"%.*s\", recv() calls: %d", length,
        length, session->text, recv_calls);
    return true;
}

/* The sender sends everything at once. The receiver begins when the sender has
 * exited. */
static void from_quick_sender(const char *bytes, struct session *session)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[1]));

        say("send(\"%s\") ...", bytes);
        CHECK(send(sv[0], bytes, strlen(bytes), 0));
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[0]));
    reap(child);

    sender_is_slow = false;
    while (receive_message(sv[1], session))
        continue;

    CHECK(close(sv[1]));
}

/* The slowest sender that there can be: no recv() ever finds more than one of
 * its bytes. After the last byte the receiver asks for the digits of another
 * message, so one more dot comes. The sender has to read this dot, too. If the
 * dot were still unread when the sender exits, the receiver's recv() would fail
 * with ECONNRESET before end of file (lab 1, step 5), and the lab would end. */
static void send_slowly(int fd, const char *bytes)
{
    char dot;

    say("send() for each byte of \"%s\" ...", bytes);
    for (const char *byte = bytes; *byte != '\0'; byte++) {
        int dots = CHECK(recv(fd, &dot, 1, 0));
        if (dots == 0)
            return;    // the receiver has given up
        CHECK(send(fd, byte, 1, 0));
    }
    CHECK(recv(fd, &dot, 1, 0));
}

/* Here the receiver begins at once, because the sender waits for its dots. */
static void from_slow_sender(const char *bytes, struct session *session)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("sender");
        CHECK(close(sv[1]));

        send_slowly(sv[0], bytes);
        _exit(EXIT_SUCCESS);
    }
    role("receiver");
    CHECK(close(sv[0]));

    sender_is_slow = true;
    while (receive_message(sv[1], session))
        continue;

    CHECK(close(sv[1]));
    reap(child);
}

int main(void)
{
    struct session session = {.user = "guest"};

    step("Does one recv() return what one send() sent?");
    words_with_answers();
    words_at_once(SOCK_STREAM, LARGE);
    words_at_once(SOCK_SEQPACKET, LARGE);

    step("What if the receiver's buffer has room for 4 bytes?");
    words_at_once(SOCK_STREAM, SMALL);
    words_at_once(SOCK_SEQPACKET, SMALL);

    step("How does an empty message look to the receiver?");
    an_empty_text(SOCK_STREAM);
    an_empty_text(SOCK_SEQPACKET);

    step("How can a stream carry messages?");
    from_quick_sender("03one0005three", &session);
    from_slow_sender("03one0005three", &session);

    step("What if the length and the text do not fit together?");
    from_quick_sender("05th", &session);
    from_quick_sender("05one05two07three", &session);
    from_quick_sender("13AAAAAAAAadmin", &session);
    say("user: \"%s\"", session.user);
}
