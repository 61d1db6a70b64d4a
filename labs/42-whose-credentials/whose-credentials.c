/*
 * 42-whose-credentials -- whose credentials does SO_PEERCRED show?
 *
 * The kernel notes who makes one of three calls, and keeps the note with the
 * socket. Only another listen() changes it, for the connections that are made
 * after that.
 *
 *     call             who reads its note, and where
 *
 *     connect()        the server, at what accept() returns
 *     listen()         the client, at what it has connected
 *     socketpair()     whoever has one of the two ends
 *
 * So the note need not be about the process that has the other end now. Where
 * none of these calls was made, there is no note: pid 0 and uid -1. A datagram
 * socket that has called connect() has none, either.
 *
 * See unix(7), getsockopt(2), listen(2), socketpair(2), credentials(7).
 */
#define _GNU_SOURCE    // for struct ucred
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

enum { ROOM = 64 };    // longer than anything that is sent or named here

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};
static const struct sockaddr_un dgram_address = {.sun_family = AF_UNIX,
                                                 .sun_path = "dgram.sock"};

/* Who plays in this lab. */
enum who { PARENT, CHILD, SERVER, ANN, BOB, CLIENT, PEOPLE };
static const struct {
    const char *name;
    const char *whose;
} people[PEOPLE] = {
    [PARENT] = {.name = "parent", .whose = "the parent's"},
    [CHILD] = {.name = "child", .whose = "the child's"},
    [SERVER] = {.name = "server", .whose = "the server's"},
    [ANN] = {.name = "ann", .whose = "ann's"},
    [BOB] = {.name = "bob", .whose = "bob's"},
    [CLIENT] = {.name = "client", .whose = "the client's"},
};

/* The pids of the processes of a step, to compare with what SO_PEERCRED shows.
 * All processes share this memory, and each writes its own pid there before it
 * does anything else. */
static pid_t *known;

static void share_known_pids(void)
{
    void *memory = mmap(NULL, PEOPLE * sizeof(*known), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        fail("mmap()", __FILE__, __LINE__);
    known = memory;
}

static void become(enum who who)
{
    known[who] = getpid();
    role(people[who].name);
}

/* The first process begins a step, and nobody else is there. */
static void begin_as(enum who who)
{
    memset(known, 0, PEOPLE * sizeof(*known));
    become(who);
}

/* The known process that has this pid, or else the number itself. */
static const char *whose_pid(pid_t pid, char text[ROOM])
{
    snprintf(text, ROOM, "%d", pid);
    for (int who = 0; who < PEOPLE; who++) {
        if (known[who] != 0 && known[who] == pid)
            snprintf(text, ROOM, "%s", people[who].whose);
    }
    return text;
}

/* uid_t has no sign, so -1 is its largest number. */
static const char *whose_uid(uid_t uid, char text[ROOM])
{
    snprintf(text, ROOM, "%u", uid);
    if (uid == geteuid())
        snprintf(text, ROOM, "own");
    if (uid == (uid_t)-1)
        snprintf(text, ROOM, "-1");
    return text;
}

static void ask_kernel(const char *name, int fd)
{
    struct ucred peer = {0};
    socklen_t length = sizeof(peer);
    char pid[ROOM];
    char uid[ROOM];

    CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length));
    say("getsockopt(%s, SO_PEERCRED) -> pid: %s, uid: %s", name,
        whose_pid(peer.pid, pid), whose_uid(peer.uid, uid));
}

static int bind_to(const struct sockaddr_un *address, int type)
{
    int fd = CHECK(socket(AF_UNIX, type, 0));

    CHECK(bind(fd, (const struct sockaddr *)address, sizeof(*address)));
    return fd;
}

static int open_server(void)
{
    int listener = bind_to(&server_address, SOCK_STREAM);

    CHECK(listen(listener, 2));    // two clients may wait for accept()
    return listener;
}

static void close_and_remove(int fd, const struct sockaddr_un *address)
{
    CHECK(close(fd));
    CHECK(unlink(address->sun_path));
}

/* The line is printed before the call, because other processes may go on as
 * soon as the call is made. */
static void connect_to(const char *name, int fd,
                       const struct sockaddr_un *address)
{
    say("connect(%s, \"%s\") ...", name, address->sun_path);
    CHECK(connect(fd, (const struct sockaddr *)address, sizeof(*address)));
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

/* For a process that is gone before the next line of another one. */
static _Noreturn void end_process(void)
{
    say("exit ...");
    _exit(EXIT_SUCCESS);
}

/* A byte says: "I have done what I had to do, it is your turn." */
static void give_turn(int fd)
{
    CHECK(send(fd, ".", 1, 0));
}

static void wait_for_turn(int fd)
{
    char byte;
    int n = CHECK(recv(fd, &byte, 1, 0));

    if (n == 0)
        _exit(EXIT_FAILURE);    // the other process has failed
}

/* The server of step 1 says by a byte on its gate that it listens. */
static _Noreturn void run_server(int gate)
{
    become(SERVER);
    int listener = open_server();
    give_turn(gate);

    int to_client = CHECK(accept(listener, NULL, NULL));
    read_text("to_client", to_client);
    ask_kernel("to_client", to_client);

    CHECK(close(to_client));
    close_and_remove(listener, &server_address);
    _exit(EXIT_SUCCESS);
}

/* Returns when the server listens. The server is a process of its own, so the
 * process that listens is neither the parent nor the child. */
static pid_t start_server(void)
{
    int gate[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, gate));
    pid_t server = CHECK(fork());
    if (server == 0) {
        CHECK(close(gate[0]));
        run_server(gate[1]);
    }
    CHECK(close(gate[1]));
    wait_for_turn(gate[0]);
    CHECK(close(gate[0]));
    return server;
}

/* The parent connects, and the child writes. */
static void child_writes(void)
{
    begin_as(PARENT);
    pid_t server = start_server();
    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    connect_to("to_server", to_server, &server_address);

    pid_t child = CHECK(fork());
    if (child == 0) {
        become(CHILD);
        write_text("to_server", to_server, "from the child");
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(to_server));
    reap(child);
    reap(server);
}

/* The parent makes the socket, and the child connects it. When the child is
 * gone, the parent writes. */
static void child_connects(void)
{
    begin_as(PARENT);
    pid_t server = start_server();
    say("socket() ...");
    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    pid_t child = CHECK(fork());
    if (child == 0) {
        become(CHILD);
        connect_to("to_server", to_server, &server_address);
        end_process();
    }
    reap(child);
    write_text("to_server", to_server, "from the parent");
    CHECK(close(to_server));
    reap(server);
}

static _Noreturn void run_ann(int to_bob)
{
    become(ANN);
    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    connect_to("to_server", to_server, &server_address);
    say("sendmsg(to_bob, [to_server]) ...");
    send_descriptor(to_bob, "x", 1, to_server);
    end_process();
}

static _Noreturn void run_bob(int to_ann)
{
    char byte;
    int end;

    become(BOB);
    int n = receive_descriptor(to_ann, &byte, 1, &end);
    if (n == 0 || end == -1)
        _exit(EXIT_FAILURE);    // ann has failed, or sent no descriptor
    write_text("end", end, "from bob");
    _exit(EXIT_SUCCESS);
}

/* ann is gone before bob starts, and what she has sent waits in the pair. */
static void send_connection(void)
{
    int sv[2];

    begin_as(SERVER);
    int listener = open_server();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));

    pid_t ann = CHECK(fork());
    if (ann == 0) {
        CHECK(close(listener));    // a client needs only the name
        CHECK(close(sv[1]));
        run_ann(sv[0]);
    }
    CHECK(close(sv[0]));    // only ann had to have this end
    reap(ann);
    pid_t bob = CHECK(fork());
    if (bob == 0) {
        CHECK(close(listener));
        run_bob(sv[1]);
    }
    reap(bob);

    int to_client = CHECK(accept(listener, NULL, NULL));
    read_text("to_client", to_client);
    ask_kernel("to_client", to_client);

    CHECK(close(to_client));
    CHECK(close(sv[1]));
    close_and_remove(listener, &server_address);
}

static void start_listening(int listener)
{
    int result = CHECK(listen(listener, 2));

    say("listen(listener) = %d", result);
}

/* Returns when a client is in the queue. So bob's line always comes after the
 * client's line. */
static void wait_for_client(int listener)
{
    struct pollfd polled = {.fd = listener, .events = POLLIN};

    CHECK(poll(&polled, 1, -1));
}

/* bob accepts the first client, and waits until this client has asked the
 * kernel. Then bob calls listen() once more. The two wait for each other by
 * bytes on the connection itself. */
static _Noreturn void run_accepting_bob(int listener)
{
    become(BOB);
    wait_for_client(listener);
    say("accept(listener) ...");
    int to_client = CHECK(accept(listener, NULL, NULL));
    give_turn(to_client);

    wait_for_turn(to_client);
    start_listening(listener);
    give_turn(to_client);
    _exit(EXIT_SUCCESS);
}

static _Noreturn void run_client(int listener)
{
    become(CLIENT);
    CHECK(close(listener));    // a client needs only the name

    int first = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    connect_to("first", first, &server_address);
    wait_for_turn(first);    // until bob has accepted
    ask_kernel("first", first);
    give_turn(first);

    wait_for_turn(first);    // until bob has called listen()
    int second = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    connect_to("second", second, &server_address);
    ask_kernel("second", second);
    ask_kernel("first", first);
    _exit(EXIT_SUCCESS);
}

/* Each call on the listener is made by another process. All of them have it
 * from the parent. */
static void listen_and_accept(void)
{
    begin_as(PARENT);
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    say("bind(listener, \"%s\") ...", server_address.sun_path);
    CHECK(bind(listener, (const struct sockaddr *)&server_address,
               sizeof(server_address)));

    pid_t ann = CHECK(fork());
    if (ann == 0) {
        become(ANN);
        start_listening(listener);
        end_process();
    }
    reap(ann);

    pid_t client = CHECK(fork());
    if (client == 0)
        run_client(listener);
    pid_t bob = CHECK(fork());
    if (bob == 0)
        run_accepting_bob(listener);
    reap(client);
    reap(bob);
    close_and_remove(listener, &server_address);
}

static void make_pair(const char *name, int type, int sv[2])
{
    int result = CHECK(socketpair(AF_UNIX, type, 0, sv));

    say("socketpair(%s) = %d", name, result);
}

/* The child asks at its end of its parent's pair. Then it makes a pair of its
 * own, and sends one end of it to the parent. */
static _Noreturn void run_child(int to_parent)
{
    int own[2];

    become(CHILD);
    ask_kernel("sv[1]", to_parent);
    make_pair("own", SOCK_STREAM, own);
    say("sendmsg(sv[1], [own[0]]) ...");
    send_descriptor(to_parent, "x", 1, own[0]);
    _exit(EXIT_SUCCESS);
}

static void ask_at_pairs(void)
{
    int sv[2];
    char byte;
    int end;

    begin_as(PARENT);
    make_pair("sv", SOCK_STREAM, sv);
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(sv[0]));
        run_child(sv[1]);
    }
    CHECK(close(sv[1]));    // only the child has this end now

    int n = receive_descriptor(sv[0], &byte, 1, &end);
    if (n == 0 || end == -1)
        _exit(EXIT_FAILURE);    // the child has failed, or sent no descriptor
    ask_kernel("sv[0]", sv[0]);
    ask_kernel("end", end);

    reap(child);
    CHECK(close(sv[0]));
    CHECK(close(end));
}

/* One process has all ends, so each pid that is known is its own. */
static void ask_five_times(void)
{
    int sv[2];

    begin_as(CLIENT);
    int listener = open_server();
    int receiver = bind_to(&dgram_address, SOCK_DGRAM);
    int stream = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    int dgram = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    ask_kernel("stream", stream);
    connect_to("stream", stream, &server_address);
    ask_kernel("stream", stream);
    connect_to("dgram", dgram, &dgram_address);
    ask_kernel("dgram", dgram);
    make_pair("sv", SOCK_DGRAM, sv);
    ask_kernel("sv[0]", sv[0]);
    ask_kernel("listener", listener);

    CHECK(close(stream));
    CHECK(close(dgram));
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
    close_and_remove(receiver, &dgram_address);
    close_and_remove(listener, &server_address);
}

int main(void)
{
    share_known_pids();

    step("One process connects, another one writes. Whom does the server see?");
    child_writes();
    child_connects();

    step("A connection is sent to somebody else. Whom does the server see?");
    send_connection();

    step("One process listens, another one accepts. Whom does a client see?");
    listen_and_accept();

    step("Who is at the other end of a pair?");
    ask_at_pairs();

    step("At which sockets is nothing known?");
    ask_five_times();
}
