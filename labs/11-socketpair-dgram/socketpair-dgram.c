/*
 * 11-socketpair-dgram -- can several processes share one end of a pair?
 *
 * They can if the pair carries messages: each recv() takes one message, and
 * nobody else gets that message or a part of it. But the processes share more
 * than the queue. A flag that one of them sets with fcntl(), a name, and the
 * peer belong to the end, so they are the same for all. And nobody from outside
 * can send into the pair, not even to the name of an end.
 *
 *                                         +--- ann
 *     boss --- sv[0] ======== sv[1] ------+--- bob     one socket, one queue
 *                  [blue][green][red] ->  +--- eve
 *
 * See socketpair(2), fork(2), recv(2), fcntl(2), bind(2), sendto(2), unix(7).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { ROOM = 64 };    // more than all jobs together need

static const struct sockaddr_un bob_address = {.sun_family = AF_UNIX,
                                               .sun_path = "bob.sock"};
static const struct sockaddr_un team_address = {.sun_family = AF_UNIX,
                                                .sun_path = "team.sock"};
static const struct sockaddr_un shop_address = {.sun_family = AF_UNIX,
                                                .sun_path = "shop.sock"};

static const char *type_text(int type)
{
    if (type == SOCK_STREAM)
        return "SOCK_STREAM";
    return "SOCK_DGRAM";
}

/* The boss keeps its descriptor of sv[1] for the workers that it forks. */
static void open_pair(int type, int sv[2])
{
    role("boss");
    int made = CHECK(socketpair(AF_UNIX, type, 0, sv));
    say("socketpair(%s) = %d", type_text(type), made);
}

static void close_pair(const int sv[2])
{
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void send_text(int fd, const char *text)
{
    say("send(\"%s\") ...", text);
    CHECK(send(fd, text, strlen(text), 0));
}

/* The flags of recv(). */
static const char *recv_flags_text(int flags)
{
    if (flags == MSG_DONTWAIT)
        return ", MSG_DONTWAIT";
    return "";
}

/* EAGAIN is an answer here, so this call is not inside CHECK(). check() is the
 * function behind CHECK(), as in lab 3. */
static void receive(int fd, size_t room, int flags)
{
    char buf[ROOM];

    ssize_t result = recv(fd, buf, room, flags);
    if (result == -1 && errno == EAGAIN) {
        say("recv(%zu bytes%s) = -1 %s", room, recv_flags_text(flags),
            error_name(errno));
        return;
    }
    int n = check(result, "recv()", __FILE__, __LINE__);
    say("recv(%zu bytes%s) = %d \"%.*s\"", room, recv_flags_text(flags), n, n,
        buf);
}

/* A worker takes one job and exits. The next worker comes after that, so it is
 * certain who is the first at the queue. A worker that finds nothing does not
 * wait. */
static void take_job(const int sv[2], const char *name, size_t room)
{
    pid_t worker = CHECK(fork());
    if (worker == 0) {
        role(name);
        CHECK(close(sv[0]));

        receive(sv[1], room, MSG_DONTWAIT);
        _exit(EXIT_SUCCESS);
    }
    reap(worker);
}

/* All jobs are there before the first worker is. */
static void three_jobs(int type)
{
    int sv[2];

    open_pair(type, sv);
    send_text(sv[0], "red");
    send_text(sv[0], "green");
    send_text(sv[0], "blue");

    take_job(sv, "ann", ROOM);
    take_job(sv, "bob", ROOM);
    take_job(sv, "eve", ROOM);

    close_pair(sv);
}

/* The first worker has room for a part of a job. A worker that reads a job with
 * two calls of recv(), and is killed between them, leaves the same behind. */
static void half_a_job(int type)
{
    int sv[2];

    open_pair(type, sv);
    send_text(sv[0], "paint door");
    send_text(sv[0], "mow lawn");

    take_job(sv, "ann", strlen("paint"));
    take_job(sv, "bob", ROOM);

    close_pair(sv);
}

/* The flags of the socket, which fcntl() reads and sets. */
static const char *socket_flags_text(int flags)
{
    if (flags == O_RDWR)
        return "O_RDWR";
    if (flags == (O_RDWR | O_NONBLOCK))
        return "O_RDWR|O_NONBLOCK";
    return "other flags";
}

static void say_flags(int fd)
{
    int flags = CHECK(fcntl(fd, F_GETFL));

    say("fcntl(sv[1], F_GETFL) = %s", socket_flags_text(flags));
}

/* For comparison: bob does not wait, but he sets no flag. eve only asks for the
 * flags, because her recv() would wait for ever. */
static void one_call_does_not_wait(void)
{
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    take_job(sv, "bob", ROOM);

    pid_t eve = CHECK(fork());
    if (eve == 0) {
        role("eve");
        CHECK(close(sv[0]));

        say_flags(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    reap(eve);

    close_pair(sv);
}

/* Here bob sets the flag, with a descriptor of his own. He has exited when eve
 * begins. F_SETFL clears each flag that it can change and that is not in its
 * argument, and clears it for everybody. So bob adds his flag to the flags that
 * are set. */
static void no_call_waits(void)
{
    int sv[2];

    open_pair(SOCK_DGRAM, sv);

    pid_t bob = CHECK(fork());
    if (bob == 0) {
        role("bob");
        CHECK(close(sv[0]));

        int flags = CHECK(fcntl(sv[1], F_GETFL));
        flags |= O_NONBLOCK;
        say("fcntl(sv[1], F_SETFL, %s) ...", socket_flags_text(flags));
        CHECK(fcntl(sv[1], F_SETFL, flags));
        receive(sv[1], ROOM, 0);
        _exit(EXIT_SUCCESS);
    }
    reap(bob);

    pid_t eve = CHECK(fork());
    if (eve == 0) {
        role("eve");
        CHECK(close(sv[0]));

        say_flags(sv[1]);
        receive(sv[1], ROOM, 0);
        _exit(EXIT_SUCCESS);
    }
    reap(eve);

    close_pair(sv);
}

static void send_answer(const int sv[2], const char *name, const char *text)
{
    pid_t worker = CHECK(fork());
    if (worker == 0) {
        role(name);
        CHECK(close(sv[0]));

        send_text(sv[1], text);
        _exit(EXIT_SUCCESS);
    }
    reap(worker);
}

/* A path may fill all of sun_path, and then there is no zero behind it. So the
 * line shows at most as many bytes as sun_path has, here and in send_to(). */
static struct sockaddr_un receive_from(int fd)
{
    struct sockaddr_un sender = {0};
    socklen_t length = sizeof(sender);
    char buf[ROOM];

    int n = CHECK(
        recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&sender, &length));
    say("recvfrom(%zu bytes) = %d \"%.*s\" from \"%.*s\", %u bytes",
        sizeof(buf), n, n, buf, (int)sizeof(sender.sun_path), sender.sun_path,
        length);
    return sender;
}

static void bind_end(int fd, const struct sockaddr_un *address)
{
    say("bind(sv[1], \"%s\") ...", address->sun_path);
    CHECK(bind(fd, (const struct sockaddr *)address, sizeof(*address)));
}

/* The worker wants to be known by this name. */
static void take_name(const int sv[2], const char *name,
                      const struct sockaddr_un *address)
{
    pid_t worker = CHECK(fork());
    if (worker == 0) {
        role(name);
        CHECK(close(sv[0]));

        bind_end(sv[1], address);
        _exit(EXIT_SUCCESS);
    }
    reap(worker);
}

/* The boss receives the first message before bob calls bind(). The other two
 * messages are received at the end: one was sent before this bind(), and one
 * after it. */
static void three_answers(void)
{
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    send_answer(sv, "ann", "ann: door is done");
    receive_from(sv[0]);

    send_answer(sv, "ann", "ann: roof is done");
    take_name(sv, "bob", &bob_address);
    send_answer(sv, "eve", "eve: lawn is done");
    receive_from(sv[0]);
    receive_from(sv[0]);

    close_pair(sv);
    CHECK(unlink(bob_address.sun_path));
}

static void send_to(int fd, const char *text, const struct sockaddr_un *address)
{
    const char *result =
        RESULT(sendto(fd, text, strlen(text), 0,
                      (const struct sockaddr *)address, sizeof(*address)),
               EPERM);
    say("sendto(\"%s\", \"%.*s\") = %s", text, (int)sizeof(address->sun_path),
        address->sun_path, result);
}

static int open_shop(void)
{
    int shop = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    CHECK(bind(shop, (const struct sockaddr *)&shop_address,
               sizeof(shop_address)));
    return shop;
}

/* Returns when ann has asked. */
static void ask_shop(const int sv[2], int shop)
{
    pid_t ann = CHECK(fork());
    if (ann == 0) {
        role("ann");
        CHECK(close(shop));
        CHECK(close(sv[0]));

        send_to(sv[1], "which blue?", &shop_address);
        _exit(EXIT_SUCCESS);
    }
    reap(ann);
}

/* The shop has no descriptor of the pair. It knows only the name of the end. */
static void answer_from_shop(const int sv[2], int shop, const char *answer)
{
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("shop");
        close_pair(sv);

        struct sockaddr_un sender = receive_from(shop);
        send_to(shop, answer, &sender);
        _exit(EXIT_SUCCESS);
    }
    reap(child);
}

/* The boss opens the socket of the shop, so that it is there when ann asks. */
static void worker_and_shop(void)
{
    const char *answer = "dark blue";
    int shop = open_shop();
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    bind_end(sv[1], &team_address);

    ask_shop(sv, shop);
    receive(sv[0], ROOM, MSG_DONTWAIT);    // did the boss get the question?
    answer_from_shop(sv, shop, answer);
    CHECK(close(shop));

    /* For comparison: the same name and the same text, from the other end. */
    send_to(sv[0], answer, &team_address);
    take_job(sv, "bob", ROOM);

    close_pair(sv);
    CHECK(unlink(team_address.sun_path));
    CHECK(unlink(shop_address.sun_path));
}

int main(void)
{
    step("Jobs wait at one end. Which worker gets what?");
    three_jobs(SOCK_STREAM);
    three_jobs(SOCK_DGRAM);

    step("A worker takes part of a job and exits. What does the next one get?");
    half_a_job(SOCK_STREAM);
    half_a_job(SOCK_DGRAM);

    step("A worker does not want to wait. Does the next one wait?");
    one_call_does_not_wait();
    no_call_waits();

    step("A worker gives the end a name. Which messages have this name?");
    three_answers();

    step("A worker asks a shop outside. Can the shop answer?");
    worker_and_shop();
}
