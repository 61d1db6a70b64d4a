/*
 * 35-too-many-descriptors -- how many descriptors are too many?
 *
 * One message takes at most 253. If one of them cannot be sent, nothing is
 * sent. If the receiver's table becomes full, the rest is closed, and recvmsg()
 * does not fail. What is on its way, because nobody has received it yet, is
 * limited, too: the kernel counts it for all processes of a user together.
 *
 *     sender                 on their way              receiver's table
 *                  +-----+     +-----------+  recvmsg()    +---+
 *     sendmsg() -> | 253 | --> | count of  | ------------> |   |  limit of
 *                  +-----+     | the user, |               |   |  the
 *                              | limit of  |               +---+  receiver
 *                              | sender    |
 *                              +-----------+
 *
 * See unix(7), sendmsg(2), recvmsg(2), getrlimit(2).
 */
#define _GNU_SOURCE    // for syscall()
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    MOST = 254,          // descriptors that the sender tries in one message
    NEEDED = 512,        // for step 1, and what the starter has left open
    SMALL_LIMIT = 16,    // of open files, in steps 4 and 5
    FEW = 2,             // descriptors in one message, in step 4
    MANY = 100,          // the same, in the second run
    MESSAGES = 32        // that the sender sends at most, in step 4
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

static void close_colour(const struct colour *colour)
{
    CHECK(close(colour->kept));
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

/* One message: the byte x, and n descriptors beside it. This is the system call
 * itself, because some versions of the C library musl refuse a long control
 * buffer before the kernel can. */
static long try_sendmsg(int to_receiver, const int *descriptors, size_t n)
{
    char byte = 'x';
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(MOST * sizeof(int))] = {0};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int)),
    };

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    beside->cmsg_level = SOL_SOCKET;
    beside->cmsg_type = SCM_RIGHTS;
    beside->cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(beside), descriptors, n * sizeof(int));
    return syscall(SYS_sendmsg, to_receiver, &msg, 0);
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

/* There is room for the longest message that the sender tries. Returns how many
 * descriptors came. */
static size_t receive(int to_sender, int descriptors[MOST])
{
    char byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(MOST * sizeof(int))];
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = CMSG_LEN(MOST * sizeof(int)),
    };
    size_t count = 0;

    role("receiver");
    ssize_t result = recvmsg(to_sender, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (result == -1 && errno == EAGAIN) {
        say("recvmsg(MSG_DONTWAIT) = -1 EAGAIN, descriptors: 0, msg_flags: 0");
        return 0;
    }
    int n = check(result, "recvmsg()", __FILE__, __LINE__);

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    if (beside && beside->cmsg_level == SOL_SOCKET &&
        beside->cmsg_type == SCM_RIGHTS) {
        count = (beside->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(beside), count * sizeof(int));
    }
    say("recvmsg(MSG_DONTWAIT) = %d \"%.*s\", descriptors: %zu, msg_flags: %s",
        n, n, &byte, count, flags_text(msg.msg_flags & ~MSG_CMSG_CLOEXEC));
    return count;
}

static void read_name(int descriptor)
{
    char name[16];
    int n = CHECK(read(descriptor, name, sizeof(name)));

    say("read(a descriptor) = %d \"%.*s\"", n, n, name);
}

/* Writes the name of a colour behind the others. */
static void add_name(char *list, size_t room, const char *name)
{
    size_t length = strlen(list);
    const char *comma = "";

    if (length > 0)
        comma = ", ";
    snprintf(list + length, room - length, "%s%s", comma, name);
}

static void close_all(const int *descriptors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK(close(descriptors[i]));
}

static void fill(int *descriptors, size_t n, int descriptor)
{
    for (size_t i = 0; i < n; i++)
        descriptors[i] = descriptor;
}

/* Sends one message that has the same descriptor n times. */
static void send_copies(int to_receiver, const struct colour *colour, size_t n)
{
    int descriptors[MOST];

    fill(descriptors, n, colour->sent);
    const char *result =
        RESULT(try_sendmsg(to_receiver, descriptors, n), EINVAL);
    say("sendmsg(\"x\", %zu times %s) = %s", n, colour->name, result);
}

/* Sends one message that has one descriptor of each colour. */
static void send_colours(int to_receiver, const struct colour *colours,
                         size_t n)
{
    int descriptors[MOST];
    char list[32] = "";

    for (size_t i = 0; i < n; i++) {
        descriptors[i] = colours[i].sent;
        add_name(list, sizeof(list), colours[i].name);
    }
    role("sender");
    const char *result =
        RESULT(try_sendmsg(to_receiver, descriptors, n), EBADF);
    say("sendmsg(\"x\", [%s]) = %s", list, result);
}

/* The same descriptor may go along more than once, and arrives as often. */
static void one_message(void)
{
    int sv[2];
    int received[MOST];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour red = make_colour("red");

    role("sender");
    send_copies(sv[0], &red, MOST - 1);
    size_t came = receive(sv[1], received);
    close_all(received, came);

    role("sender");
    send_copies(sv[0], &red, MOST);
    came = receive(sv[1], received);
    close_all(received, came);

    close_colour(&red);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* The sender has an array of three descriptors, and nothing for the second one.
 * So it has put -1 there. */
static void one_is_bad(void)
{
    int sv[2];
    int received[MOST];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour red = make_colour("red");
    const struct colour blue = make_colour("blue");
    const struct colour nothing = {.name = "-1", .sent = -1};

    const struct colour colours[] = {red, nothing, blue};
    send_colours(sv[0], colours, ARRAY_LEN(colours));
    size_t came = receive(sv[1], received);
    for (size_t i = 0; i < came; i++)
        read_name(received[i]);

    close_all(received, came);
    close_colour(&blue);
    close_colour(&red);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* dup() takes the lowest number that is free. So this finds the two lowest
 * numbers that are free, and forbids all that come after them. Which descriptor
 * is copied does not matter. */
static void allow_two_more(int descriptor)
{
    struct rlimit limit;
    int first = CHECK(dup(descriptor));
    int second = CHECK(dup(descriptor));

    CHECK(close(first));
    CHECK(close(second));
    CHECK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = (rlim_t)second + 1;
    int set = CHECK(setrlimit(RLIMIT_NOFILE, &limit));
    say("setrlimit(RLIMIT_NOFILE, two more than now) = %d", set);
}

/* The sender closes its own red, green and blue before the receiver's limit is
 * set. Both roles are one process, with one table. */
static void full_table(void)
{
    int sv[2];
    int received[MOST];
    struct rlimit before;

    CHECK(getrlimit(RLIMIT_NOFILE, &before));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour red = make_colour("red");
    const struct colour green = make_colour("green");
    const struct colour blue = make_colour("blue");

    const struct colour colours[] = {red, green, blue};
    send_colours(sv[0], colours, ARRAY_LEN(colours));
    CHECK(close(red.sent));
    CHECK(close(green.sent));
    CHECK(close(blue.sent));

    role("receiver");
    allow_two_more(sv[1]);
    size_t came = receive(sv[1], received);
    for (size_t i = 0; i < came; i++)
        read_name(received[i]);
    const char *result = RESULT(dup(sv[1]), EMFILE);
    say("dup(sv[1]) = %s", result);
    ask_for(&blue);

    CHECK(setrlimit(RLIMIT_NOFILE, &before));
    close_all(received, came);
    CHECK(close(blue.kept));
    CHECK(close(green.kept));
    CHECK(close(red.kept));
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* The kernel counts for all processes of the user. So the number of messages
 * that are sent may differ, and is only measured. */
static void send_until_refused(const int sv[2], const struct colour *colour,
                               size_t n)
{
    int descriptors[MOST];
    size_t messages = 0;
    long result = 0;

    fill(descriptors, n, colour->sent);
    while (messages < MESSAGES) {
        result = try_sendmsg(sv[0], descriptors, n);
        if (result == -1)
            break;
        messages++;
    }
    if (result == -1 && errno != ETOOMANYREFS)
        fail("sendmsg()", __FILE__, __LINE__);

    say_measured("messages sent: %zu, descriptors sent: %zu", messages,
                 messages * n);
    if (result == -1)
        say("the last sendmsg(\"x\", %zu times %s) = -1 ETOOMANYREFS", n,
            colour->name);
    else
        say("the last sendmsg(\"x\", %zu times %s) = %ld", n, colour->name,
            result);
}

static void set_limit(rlim_t number)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = number;
    int set = CHECK(setrlimit(RLIMIT_NOFILE, &limit));
    say("setrlimit(RLIMIT_NOFILE, %d) = %d", (int)number, set);
}

/* Each message has n times red. When the pair is closed, nothing is on its way
 * any more. */
static void nobody_receives(size_t n)
{
    int sv[2];
    struct rlimit before;

    CHECK(getrlimit(RLIMIT_NOFILE, &before));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour red = make_colour("red");

    role("sender");
    set_limit(SMALL_LIMIT);
    send_until_refused(sv, &red, n);
    int sent = CHECK(send(sv[0], "x", 1, 0));
    say("send(\"x\") = %d", sent);

    CHECK(setrlimit(RLIMIT_NOFILE, &before));
    close_colour(&red);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* Has more on its way than the sender's limit, until the sender closes the
 * other end of to_sender. The limit of the neighbour itself is not small. */
static _Noreturn void be_neighbour(int to_sender)
{
    int sv[2];
    char byte;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour green = make_colour("green");

    role("neighbour");
    send_copies(sv[0], &green, SMALL_LIMIT + 1);
    int closed = CHECK(close(green.sent));
    say("close(green.sent) = %d", closed);
    CHECK(write(to_sender, "x", 1));
    CHECK(read(to_sender, &byte, 1));

    CHECK(close(green.kept));
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
    CHECK(close(to_sender));
    _exit(EXIT_SUCCESS);
}

/* The neighbour is another process of the same user, with a pair of its own.
 * The sender sends its first message when those of the neighbour wait. */
static void neighbour_has_sent(void)
{
    int turn[2];
    int sv[2];
    char byte;
    struct rlimit before;

    CHECK(getrlimit(RLIMIT_NOFILE, &before));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, turn));
    pid_t neighbour = CHECK(fork());
    if (neighbour == 0) {
        CHECK(close(turn[0]));
        be_neighbour(turn[1]);
    }
    CHECK(close(turn[1]));
    CHECK(read(turn[0], &byte, 1));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour red = make_colour("red");

    role("sender");
    set_limit(SMALL_LIMIT);
    const char *result = RESULT(try_sendmsg(sv[0], &red.sent, 1), ETOOMANYREFS);
    say("sendmsg(\"x\", [%s]) = %s", red.name, result);

    CHECK(setrlimit(RLIMIT_NOFILE, &before));
    close_colour(&red);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
    CHECK(close(turn[0]));
    reap(neighbour);
}

/* Step 1 has 253 open, and those that the lab was started with. */
static void need_descriptors(void)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_cur < NEEDED)
        skip("this lab needs some hundred descriptors: ulimit -n 1024");
}

int main(void)
{
    need_descriptors();

    step("How many descriptors does one message take?");
    one_message();

    step("One of three cannot be sent. What becomes of the others?");
    one_is_bad();

    step("The receiver can have two more. What if three come?");
    full_table();

    step("Nobody receives. How long can the sender go on?");
    as_ordinary_user();    // root may do more
    nobody_receives(FEW);
    nobody_receives(MANY);

    step("Another process has sent much. May the sender send one?");
    neighbour_has_sent();
}
