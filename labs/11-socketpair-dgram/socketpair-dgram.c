/*
 * 11-socketpair-dgram -- can several processes share one end of a pair?
 *
 * They can if the pair carries messages: each recv() takes one message, whole,
 * and nobody else gets that message or a part of it. An empty message is taken
 * by one process like any other, so it is not an end for all. In the other
 * direction the messages come from one socket, so they do not tell which
 * process has sent them. And nobody from outside can send into the pair, not
 * even to the name of an end.
 *
 *                                         +--- ann
 *     boss --- sv[0] ======== sv[1] ------+--- bob     one socket, one queue,
 *                  [blue][green][red] ->  +--- eve     three descriptors
 *
 * See socketpair(2), fork(2), recv(2), bind(2), sendto(2), unix(7).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { ROOM = 64 };    // more than all jobs together need

static const struct sockaddr_un bob_address = {.sun_family = AF_UNIX,
                                               .sun_path = "bob.sock"};
static const struct sockaddr_un team_address = {.sun_family = AF_UNIX,
                                                .sun_path = "team.sock"};
static const struct sockaddr_un shop_address = {.sun_family = AF_UNIX,
                                                .sun_path = "shop.sock"};

static const char *type_name(int type)
{
    if (type == SOCK_STREAM)
        return "SOCK_STREAM";
    if (type == SOCK_SEQPACKET)
        return "SOCK_SEQPACKET";
    return "SOCK_DGRAM";
}

/* The boss keeps its descriptor of sv[1] for the workers that it forks. */
static void open_pair(int type, int sv[2])
{
    role("boss");
    int made = CHECK(socketpair(AF_UNIX, type, 0, sv));
    say("socketpair(%s) = %d", type_name(type), made);
}

static void close_pair(const int sv[2])
{
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void send_text(int fd, const char *text)
{
    int n = CHECK(send(fd, text, strlen(text), 0));

    say("send(\"%s\") = %d", text, n);
}

/* Does not wait: a worker that finds nothing says so. */
static void receive(int fd, size_t room)
{
    char buf[ROOM];

    ssize_t result = recv(fd, buf, room, MSG_DONTWAIT);
    if (result == -1 && errno == EAGAIN) {
        say("recv(%zu bytes) = -1 EAGAIN", room);
        return;
    }
    int n = check(result, "recv()", __FILE__, __LINE__);
    say("recv(%zu bytes) = %d \"%.*s\"", room, n, n, buf);
}

/* A worker takes one job and exits. The next worker comes after that, so it is
 * certain who is the first at the queue. */
static void take_job(const int sv[2], const char *name, size_t room)
{
    pid_t worker = CHECK(fork());
    if (worker == 0) {
        role(name);
        CHECK(close(sv[0]));

        receive(sv[1], room);
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

/* Ann gets a part of a job, as any worker does that is killed between two calls
 * of recv(). */
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

/* The workers of this step all do the same, so they have the same role: which
 * of them is woken is not certain. */
static void start_worker(const int sv[2])
{
    pid_t worker = CHECK(fork());
    if (worker == 0) {
        char buf[ROOM];

        role("worker");
        CHECK(close(sv[0]));    // or end_of_file() would never see its end

        int n = CHECK(recv(sv[1], buf, sizeof(buf), 0));
        say("recv(%zu bytes) = %d \"%.*s\"", sizeof(buf), n, n, buf);
        _exit(EXIT_SUCCESS);
    }
}

/* Waits until one worker has exited: -1 stands for any of them. */
static void stop_one_worker(int fd)
{
    const char *stop = "";

    say("send(\"%s\") ...", stop);
    CHECK(send(fd, stop, strlen(stop), 0));
    reap(-1);
}

/* No worker can return from recv() before the boss has sent something. So all
 * three are there when the first empty message comes. */
static void empty_messages(void)
{
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    start_worker(sv);
    start_worker(sv);
    start_worker(sv);

    stop_one_worker(sv[0]);
    int exited = CHECK(waitpid(-1, NULL, WNOHANG));
    say("waitpid(-1, WNOHANG) = %d", exited);
    stop_one_worker(sv[0]);
    stop_one_worker(sv[0]);

    close_pair(sv);
}

/* The control: the workers are stopped by end of file. */
static void end_of_file(void)
{
    int sv[2];

    open_pair(SOCK_STREAM, sv);
    start_worker(sv);
    start_worker(sv);
    start_worker(sv);

    say("close(sv[0]) ...");
    CHECK(close(sv[0]));
    reap(-1);
    reap(-1);
    reap(-1);

    CHECK(close(sv[1]));
}

/* The boss receives when the worker has exited, so the lines are in order. */
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

static struct sockaddr_un receive_from(int fd)
{
    struct sockaddr_un sender = {0};
    socklen_t length = sizeof(sender);
    char buf[ROOM];

    int n = CHECK(
        recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&sender, &length));
    say("recvfrom() = %d \"%.*s\" from \"%s\", %u bytes", n, n, buf,
        sender.sun_path, length);
    return sender;
}

static void bind_end(int fd, const struct sockaddr_un *address)
{
    int bound =
        CHECK(bind(fd, (const struct sockaddr *)address, sizeof(*address)));
    say("bind(sv[1], \"%s\") = %d", address->sun_path, bound);
}

/* Bob wants to be known by his name. He does not send anything. */
static void two_answers(void)
{
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    send_answer(sv, "ann", "ann: door is done");
    receive_from(sv[0]);

    pid_t bob = CHECK(fork());
    if (bob == 0) {
        role("bob");
        CHECK(close(sv[0]));

        bind_end(sv[1], &bob_address);
        _exit(EXIT_SUCCESS);
    }
    reap(bob);

    send_answer(sv, "eve", "eve: lawn is done");
    receive_from(sv[0]);

    close_pair(sv);
    CHECK(unlink(bob_address.sun_path));
}

static void send_to(int fd, const struct sockaddr_un *address, const char *text)
{
    const char *result =
        RESULT(sendto(fd, text, strlen(text), 0,
                      (const struct sockaddr *)address, sizeof(*address)),
               EPERM);
    say("sendto(\"%s\", \"%s\") = %s", address->sun_path, text, result);
}

static int open_shop(void)
{
    int shop = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    CHECK(bind(shop, (const struct sockaddr *)&shop_address,
               sizeof(shop_address)));
    return shop;
}

/* The boss opens the socket of the shop, so that it is there when ann asks. The
 * shop has no descriptor of the pair. It knows only the name of the end. */
static void ask_shop(void)
{
    const char *answer = "dark blue";
    int shop = open_shop();
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    bind_end(sv[1], &team_address);

    pid_t ann = CHECK(fork());
    if (ann == 0) {
        role("ann");
        CHECK(close(shop));
        CHECK(close(sv[0]));

        send_to(sv[1], &shop_address, "which blue?");
        _exit(EXIT_SUCCESS);
    }
    reap(ann);
    receive(sv[0], ROOM);

    pid_t seller = CHECK(fork());
    if (seller == 0) {
        role("shop");
        close_pair(sv);

        struct sockaddr_un sender = receive_from(shop);
        send_to(shop, &sender, answer);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(shop));
    reap(seller);

    /* The control: the same name and the same text, from the other end. */
    send_to(sv[0], &team_address, answer);
    take_job(sv, "bob", ROOM);

    close_pair(sv);
    CHECK(unlink(team_address.sun_path));
    CHECK(unlink(shop_address.sun_path));
}

int main(void)
{
    step("Three jobs wait at one end. Which worker gets what?");
    three_jobs(SOCK_STREAM);
    three_jobs(SOCK_DGRAM);

    step("Ann takes 5 bytes and is gone. What does bob get?");
    half_a_job(SOCK_STREAM);
    half_a_job(SOCK_DGRAM);

    step("Three workers wait. How many does one empty message stop?");
    empty_messages();
    end_of_file();

    step("An answer comes. Which worker has sent it?");
    two_answers();

    step("A worker asks a shop outside. Can the shop answer?");
    ask_shop();
}
