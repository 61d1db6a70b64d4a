/*
 * 33-descriptors-lost -- what becomes of a descriptor that finds no room?
 *
 * The kernel closes it, and delivers the bytes all the same. MSG_CTRUNC tells
 * that something was cut off, but read() has no place for this flag. And there
 * may be more room than the receiver thinks: then one arrives that nobody looks
 * for, and it stays open.
 *
 *     sender                              receiver's control buffer
 *     red    kept ===== other --+         +--------+-----+-----+-----+
 *     green  kept ===== other --+--"x"--> | header | red |  ?  |  ?  |
 *     blue   kept ===== other --+         +--------+-----+-----+-----+
 *
 * See unix(7), cmsg(3), sendmsg(2), recvmsg(2).
 */
#define _GNU_SOURCE    // for struct ucred
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    COLOURS = 3,
    PLENTY = 128    // bytes of a control buffer: more than ever come here
};

/* A pair. The sender keeps one end of it and sends the other. */
struct colour {
    const char *name;
    int kept;
    int other;
};

/* What the receiver has found in its control buffer. */
struct found {
    int descriptors[PLENTY / sizeof(int)];
    size_t count;
    char list[64];    // as text
};

/* The name of the colour is written to the end that is kept. So whoever has the
 * other end can read it there. */
static void make_colours(struct colour *colours, size_t n)
{
    static const char *const names[COLOURS] = {"red", "green", "blue"};
    int sv[2];

    for (size_t i = 0; i < n; i++) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
        colours[i].name = names[i];
        colours[i].kept = sv[0];
        colours[i].other = sv[1];
        CHECK(write(colours[i].kept, names[i], strlen(names[i])));
    }
}

static void append(char *list, size_t size, const char *text)
{
    size_t length = strlen(list);
    const char *comma = "";

    if (length > 0)
        comma = ", ";
    snprintf(list + length, size - length, "%s%s", comma, text);
}

/* One message: the byte x, and the descriptors of all colours beside it. The
 * sender closes its own. Otherwise it would keep the other ends open itself,
 * and ask_whether_open() could not tell. The casts: with musl these two fields
 * are shorter than a size_t. */
static void send_colours(int to_receiver, const struct colour *colours,
                         size_t n)
{
    char byte = 'x';
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(COLOURS * sizeof(int))] = {
        0};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int)),
    };
    char list[64] = "";

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    beside->cmsg_level = SOL_SOCKET;
    beside->cmsg_type = SCM_RIGHTS;
    beside->cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
    for (size_t i = 0; i < n; i++) {
        memcpy(CMSG_DATA(beside) + i * sizeof(int), &colours[i].other,
               sizeof(int));
        append(list, sizeof(list), colours[i].name);
    }

    role("sender");
    say("sendmsg(\"%c\", [%s]) ...", byte, list);
    CHECK(sendmsg(to_receiver, &msg, 0));
    for (size_t i = 0; i < n; i++)
        CHECK(close(colours[i].other));
}

/* Is the other end still open? If so, send() is 1. */
static void ask_whether_open(const struct colour *colour)
{
    role("sender");
    const char *result =
        RESULT(send(colour->kept, "?", 1, MSG_NOSIGNAL), EPIPE);
    say("send(%s) = %s", colour->name, result);
}

static void close_colours(const struct colour *colours, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK(close(colours[i].kept));
}

/* Takes the descriptors out of one header, all of them, and reads their names.
 * What is sent in this lab always has a name to read, so read() does not wait.
 */
static void take_descriptors(struct cmsghdr *beside, struct found *found)
{
    size_t count = (beside->cmsg_len - CMSG_LEN(0)) / sizeof(int);

    for (size_t i = 0; i < count; i++) {
        int *descriptor = &found->descriptors[found->count++];
        char name[16];

        memcpy(descriptor, CMSG_DATA(beside) + i * sizeof(int), sizeof(int));
        int n = CHECK(read(*descriptor, name, sizeof(name) - 1));
        name[n] = '\0';
        append(found->list, sizeof(found->list), name);
    }
}

/* Only the length is printed. The numbers would differ on each run. */
static void note_credentials(const struct cmsghdr *beside, struct found *found)
{
    char text[32];

    snprintf(text, sizeof(text), "credentials %zu", (size_t)beside->cmsg_len);
    append(found->list, sizeof(found->list), text);
}

/* The lab never meets more than one flag at a time. */
static const char *flags_text(int flags)
{
    static char number[16];    // good until the next call

    if (flags == MSG_CTRUNC)
        return "MSG_CTRUNC";
    snprintf(number, sizeof(number), "%d", flags);
    return number;
}

static void look_at_every_header(struct msghdr *msg, struct found *found)
{
    struct cmsghdr *beside = CMSG_FIRSTHDR(msg);

    while (beside) {
        if (beside->cmsg_level == SOL_SOCKET && beside->cmsg_type == SCM_RIGHTS)
            take_descriptors(beside, found);
        else if (beside->cmsg_level == SOL_SOCKET &&
                 beside->cmsg_type == SCM_CREDENTIALS)
            note_credentials(beside, found);
        beside = CMSG_NXTHDR(msg, beside);
    }
}

/* A careful receiver: it looks at every header, and at all that is in it. The
 * room is what it says in msg_controllen. It does not wait. If recvmsg() fails,
 * it has stored nothing: the list is empty, and msg_flags is as it was. */
static void receive(int to_sender, socklen_t room, struct found *found)
{
    char byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    _Alignas(struct cmsghdr) char control[PLENTY];
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = room,
    };

    role("receiver");
    found->count = 0;
    found->descriptors[0] = -1;    // expect_one() fails if none has come
    found->list[0] = '\0';
    ssize_t result = recvmsg(to_sender, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (result == -1 && errno == EAGAIN) {
        say("recvmsg(room %u) = -1 EAGAIN, [%s], msg_flags: %s", room,
            found->list, flags_text(msg.msg_flags));
        return;
    }
    int n = check(result, "recvmsg()", __FILE__, __LINE__);

    look_at_every_header(&msg, found);
    say("recvmsg(room %u) = %d \"%.*s\", [%s], msg_flags: %s", room, n, n,
        &byte, found->list, flags_text(msg.msg_flags & ~MSG_CMSG_CLOEXEC));
}

static void close_found(const struct found *found)
{
    for (size_t i = 0; i < found->count; i++)
        CHECK(close(found->descriptors[i]));
}

/* read() has neither a control buffer nor flags. At the first send(red) the
 * message waits, and nobody has received it. */
static void read_without_control(void)
{
    int sv[2];
    struct colour red;
    char byte;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    make_colours(&red, 1);
    send_colours(sv[0], &red, 1);
    ask_whether_open(&red);

    role("receiver");
    int n = CHECK(read(sv[1], &byte, 1));
    say("read() = %d \"%.*s\"", n, n, &byte);
    ask_whether_open(&red);

    close_colours(&red, 1);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void receive_without_room(void)
{
    int sv[2];
    struct colour red;
    struct found found;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    make_colours(&red, 1);
    send_colours(sv[0], &red, 1);
    receive(sv[1], 0, &found);
    ask_whether_open(&red);

    close_found(&found);
    close_colours(&red, 1);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* The receiver tries to get the others with a second call. */
static void room_for_one(void)
{
    int sv[2];
    struct colour colours[COLOURS];
    struct found found;
    struct found rest;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    make_colours(colours, COLOURS);
    send_colours(sv[0], colours, COLOURS);
    receive(sv[1], CMSG_LEN(sizeof(int)), &found);
    receive(sv[1], CMSG_LEN(COLOURS * sizeof(int)), &rest);
    for (int i = 0; i < COLOURS; i++)
        ask_whether_open(&colours[i]);

    close_found(&rest);
    close_found(&found);
    close_colours(colours, COLOURS);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void room_for_three(void)
{
    int sv[2];
    struct colour colours[COLOURS];
    struct found found;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    make_colours(colours, COLOURS);
    send_colours(sv[0], colours, COLOURS);
    receive(sv[1], CMSG_LEN(COLOURS * sizeof(int)), &found);

    close_found(&found);
    close_colours(colours, COLOURS);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* The receiver expects one descriptor, so it closes one. Whatever else it has
 * found is closed at the end, when the sender has asked. */
static void expect_one(socklen_t room)
{
    int sv[2];
    struct colour colours[2];
    struct found found;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    make_colours(colours, 2);
    send_colours(sv[0], colours, 2);
    receive(sv[1], room, &found);
    int closed = CHECK(close(found.descriptors[0]));
    say("close(the first descriptor) = %d", closed);
    ask_whether_open(&colours[0]);
    ask_whether_open(&colours[1]);

    for (size_t i = 1; i < found.count; i++)
        CHECK(close(found.descriptors[i]));
    close_colours(colours, 2);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* With SO_PASSCRED the kernel adds something of its own to each message. */
static void receive_with_credentials(socklen_t room)
{
    int sv[2];
    struct colour colours[2];
    struct found found;
    const int on = 1;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    make_colours(colours, 2);
    send_colours(sv[0], colours, 2);
    receive(sv[1], room, &found);
    ask_whether_open(&colours[0]);
    ask_whether_open(&colours[1]);

    close_found(&found);
    close_colours(colours, 2);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* On 64 bits CMSG_SPACE() rounds up to a multiple of 8. On 32 bits it need not,
 * so there is no room that nobody thinks of. */
static void need_padding(void)
{
    if (CMSG_SPACE(sizeof(int)) == CMSG_LEN(sizeof(int)))
        skip("CMSG_SPACE() adds no padding on 32 bits: build it for 64");
}

int main(void)
{
    need_padding();

    step("The receiver has no room. Is the descriptor still open?");
    read_without_control();
    receive_without_room();

    step("Three are sent, and there is room for one. Where are the others?");
    room_for_one();
    room_for_three();

    step("Two are sent, and the receiver expects one. What is left open?");
    expect_one(CMSG_SPACE(sizeof(int)));
    expect_one(CMSG_LEN(sizeof(int)));

    step("SO_PASSCRED is on. What has room beside the credentials?");
    receive_with_credentials(CMSG_SPACE(sizeof(int)));
    receive_with_credentials(CMSG_SPACE(sizeof(struct ucred)) +
                             CMSG_SPACE(sizeof(int)));
}
