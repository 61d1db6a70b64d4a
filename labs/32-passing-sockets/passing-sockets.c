/*
 * 32-passing-sockets -- how does a server connect two of its clients?
 *
 * It makes a pair and sends one end to each of them. From then on the two talk
 * without the server. What is in the queue of an end waits for whoever has the
 * end, an end is open while it is on its way, and the other end is not told
 * that it has moved. So a server can also pass on a connection that it has
 * accepted, or the listener itself.
 *
 *     ann ---- connection ---- server ---- connection ---- bob
 *      ^                      /      \                      ^
 *      +------- sv[0] -------+        +------- sv[1] -------+
 *
 * See unix(7), socketpair(2), cmsg(3), getsockopt(2).
 */
#define _GNU_SOURCE    // for struct ucred
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

enum { ROOM = 64 };    // longer than anything that is sent here

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};

static int open_server(void)
{
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(bind(listener, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    CHECK(listen(listener, 2));    // two clients may wait for accept()
    return listener;
}

static void close_server(int listener)
{
    CHECK(close(listener));
    CHECK(unlink(server_address.sun_path));
}

static int connect_to_server(void)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    say("connect(\"%s\") ...", server_address.sun_path);
    CHECK(connect(fd, (const struct sockaddr *)&server_address,
                  sizeof(server_address)));
    return fd;
}

/* Each client begins as a copy of the server, so it closes what is the
 * server's. Then it has nothing but its own connection. */
static pid_t start_first(const char *name, int listener,
                         void (*talk)(int to_server))
{
    pid_t client = CHECK(fork());
    if (client == 0) {
        role(name);
        CHECK(close(listener));
        talk(connect_to_server());
        _exit(EXIT_SUCCESS);
    }
    return client;
}

/* The server has accepted the first client when it starts the second. */
static pid_t start_second(const char *name, int listener, int to_first,
                          void (*talk)(int to_server))
{
    pid_t client = CHECK(fork());
    if (client == 0) {
        role(name);
        CHECK(close(listener));
        CHECK(close(to_first));
        talk(connect_to_server());
        _exit(EXIT_SUCCESS);
    }
    return client;
}

static void send_end(int to_client, int end)
{
    send_descriptor(to_client, "x", 1, end);
}

static int receive_end(int to_server)
{
    char byte;
    int end;
    int n = receive_descriptor(to_server, &byte, 1, &end);

    if (n == 0 || end == -1) {
        fprintf(stderr, "%s: no descriptor has come\n", lab_role);
        _exit(EXIT_FAILURE);
    }
    return end;
}

static void write_text(const char *name, int fd, const char *text)
{
    say("write(%s, \"%s\") ...", name, text);
    CHECK(write(fd, text, strlen(text)));
}

static void read_text(const char *name, int fd)
{
    char buf[ROOM];
    int n = CHECK(read(fd, buf, sizeof(buf)));

    say("read(%s) = %d \"%.*s\"", name, n, n, buf);
}

/* Her first read() returns when the server has closed its end of her
 * connection, which it does last. Her last read() returns when bob is gone. */
static void ann_asks(int to_server)
{
    int end = receive_end(to_server);

    read_text("to_server", to_server);
    write_text("end", end, "hello, bob");
    read_text("end", end);
    read_text("end", end);
}

static void bob_answers(int to_server)
{
    int end = receive_end(to_server);

    read_text("end", end);
    write_text("end", end, "hi, ann");
}

/* Both clients are there before there is a pair. Afterwards the server closes
 * all that it has. */
static void introduce(void)
{
    int sv[2];

    role("server");
    int listener = open_server();
    pid_t ann = start_first("ann", listener, ann_asks);
    int to_ann = CHECK(accept(listener, NULL, NULL));
    pid_t bob = start_second("bob", listener, to_ann, bob_answers);
    int to_bob = CHECK(accept(listener, NULL, NULL));

    int result = CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    say("socketpair(sv) = %d", result);
    say("sendmsg(to_ann, [sv[0]]), sendmsg(to_bob, [sv[1]]), close all ...");
    send_end(to_ann, sv[0]);
    send_end(to_bob, sv[1]);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
    CHECK(close(to_bob));
    close_server(listener);
    CHECK(close(to_ann));    // last: ann takes it for the end of the server

    reap(ann);
    reap(bob);
}

static void ann_writes(int to_server)
{
    int end = receive_end(to_server);

    write_text("end", end, "one two ");
}

static void bob_reads(int to_server)
{
    int end = receive_end(to_server);

    read_text("end", end);
    read_text("end", end);
}

/* ann writes at once, but bob gets his end only when the server has read the
 * first word, and when ann is gone. */
static void read_first(void)
{
    int sv[2];
    char word[4];

    role("server");
    int listener = open_server();
    pid_t ann = start_first("ann", listener, ann_writes);
    int to_ann = CHECK(accept(listener, NULL, NULL));
    pid_t bob = start_second("bob", listener, to_ann, bob_reads);
    int to_bob = CHECK(accept(listener, NULL, NULL));

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    say("sendmsg(to_ann, [sv[0]]) ...");
    send_end(to_ann, sv[0]);
    CHECK(close(sv[0]));
    reap(ann);

    int n = CHECK(recv(sv[1], word, sizeof(word), 0));
    say("recv(sv[1]) = %d \"%.*s\"", n, n, word);
    say("sendmsg(to_bob, [sv[1]]) ...");
    send_end(to_bob, sv[1]);
    CHECK(close(sv[1]));
    reap(bob);

    CHECK(close(to_bob));
    CHECK(close(to_ann));
    close_server(listener);
}

/* Two errors are answers here, and not the end of the lab. */
static void try_to_receive(int fd)
{
    char buf[ROOM];

    ssize_t result = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (result == -1 && (errno == EAGAIN || errno == ECONNRESET)) {
        say("recv(sv[0], MSG_DONTWAIT) = -1 %s", error_name(errno));
        return;
    }
    int n = check(result, "recv()", __FILE__, __LINE__);
    say("recv(sv[0], MSG_DONTWAIT) = %d \"%.*s\"", n, n, buf);
}

/* For comparison: sv[1] is closed, and was not sent. */
static void close_unsent(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    role("server");
    int closed = CHECK(close(sv[1]));
    say("close(sv[1]) = %d", closed);
    role("ann");
    try_to_receive(sv[0]);
    CHECK(close(sv[0]));
}

/* One process plays all three, and to_bob is both ends of bob's connection: the
 * server sends at to_bob[0], and bob does not receive at to_bob[1]. */
static void close_sent(void)
{
    int sv[2];
    int to_bob[2];
    const char *text = "hello";

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, to_bob));
    role("server");
    say("sendmsg(to_bob, [sv[1]]) ...");
    send_end(to_bob[0], sv[1]);
    int closed = CHECK(close(sv[1]));
    say("close(sv[1]) = %d", closed);

    role("ann");
    try_to_receive(sv[0]);
    int n = CHECK(write(sv[0], text, strlen(text)));
    say("write(sv[0], \"%s\") = %d", text, n);

    role("bob");
    closed = CHECK(close(to_bob[1]));
    say("close(to_server) = %d", closed);

    role("ann");
    try_to_receive(sv[0]);
    try_to_receive(sv[0]);

    CHECK(close(to_bob[0]));
    CHECK(close(sv[0]));
}

/* ann's parent is the server. Any other process is shown as its number. */
static const char *name_of_process(pid_t pid)
{
    static char number[16];

    if (pid == getppid())
        return "the server's";
    snprintf(number, sizeof(number), "%d", (int)pid);
    return number;
}

/* She has connected to the server, and never received an end. */
static void ann_is_answered(int to_server)
{
    struct ucred who;
    socklen_t length = sizeof(who);

    write_text("to_server", to_server, "name, please");
    read_text("to_server", to_server);
    CHECK(getsockopt(to_server, SOL_SOCKET, SO_PEERCRED, &who, &length));
    say("getsockopt(to_server, SO_PEERCRED) -> pid: %s",
        name_of_process(who.pid));
}

static void bob_answers_for_server(int to_server)
{
    int to_ann = receive_end(to_server);

    read_text("to_ann", to_ann);
    write_text("to_ann", to_ann, "I am bob");
}

/* The server waits until ann has written, but leaves in the queue what she has
 * written. What it sends to bob is its own end of ann's connection. bob is the
 * first client, so he has not inherited it. */
static void pass_on(void)
{
    char byte;

    role("server");
    int listener = open_server();
    pid_t bob = start_first("bob", listener, bob_answers_for_server);
    int to_bob = CHECK(accept(listener, NULL, NULL));
    pid_t ann = start_second("ann", listener, to_bob, ann_is_answered);
    int to_ann = CHECK(accept(listener, NULL, NULL));
    int n = CHECK(recv(to_ann, &byte, 1, MSG_PEEK));
    say("recv(to_ann, 1 byte, MSG_PEEK) = %d \"%.*s\"", n, n, &byte);

    say("sendmsg(to_bob, [to_ann]), close all ...");
    send_end(to_bob, to_ann);
    CHECK(close(to_ann));
    CHECK(close(to_bob));
    close_server(listener);

    reap(ann);
    reap(bob);
}

/* When bob has the listener, he closes to_server: the server waits for this. */
static void bob_accepts(int to_server)
{
    int listener = receive_end(to_server);

    say("accept(listener) ...");
    CHECK(close(to_server));
    int to_ann = CHECK(accept(listener, NULL, NULL));
    read_text("to_ann", to_ann);
    write_text("to_ann", to_ann, "I am bob");
}

/* bob gets one end of a pair. There is no listener yet to which he could
 * connect, and none that he could inherit. */
static pid_t start_bob(int *to_bob)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t bob = CHECK(fork());
    if (bob == 0) {
        role("bob");
        CHECK(close(sv[0]));
        bob_accepts(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));
    *to_bob = sv[0];
    return bob;
}

/* The server never accepts. ann is started when nobody but bob has the
 * listener. */
static void pass_on_listener(void)
{
    int to_bob;
    char byte;

    role("server");
    pid_t bob = start_bob(&to_bob);
    int listener = open_server();
    say("sendmsg(to_bob, [listener]), close(listener) ...");
    send_end(to_bob, listener);
    CHECK(close(listener));
    CHECK(read(to_bob, &byte, 1));    // 0, when bob has the listener
    CHECK(close(to_bob));

    pid_t ann = CHECK(fork());
    if (ann == 0) {
        role("ann");
        ann_is_answered(connect_to_server());
        _exit(EXIT_SUCCESS);
    }

    reap(ann);
    reap(bob);
    CHECK(unlink(server_address.sun_path));
}

int main(void)
{
    step("The server has closed everything. Can ann and bob talk?");
    introduce();

    step("The server reads before it sends the end. What does bob read?");
    read_first();

    step("sv[1] is sent, closed, and not received. What does ann see?");
    close_unsent();
    close_sent();

    step("bob answers instead of the server. Whom does the kernel name?");
    pass_on();
    pass_on_listener();
}
