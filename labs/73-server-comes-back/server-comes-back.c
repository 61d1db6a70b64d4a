/*
 * 73-server-comes-back -- what does a client see when its server comes back?
 *
 * The client sends datagrams. If the server comes back with a new socket, a
 * client that gives the path each time reaches it. A client that is connected
 * stays connected to the old socket, which is closed: it gets ECONNREFUSED
 * once, and then ENOTCONN, until it connects again. If somebody keeps the old
 * socket open meanwhile, no client is disconnected, and the queue is kept. But
 * the queue may become full, and poll() tells this to connected clients only.
 *
 *     ann   connect(), send() -------------> [old socket], closed
 *     bob   sendto("server.sock") ---------> [new socket]  "server.sock"
 *
 * See unix(7), connect(2), sendto(2), poll(2), socket(7), syslog(3).
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,           // longer than any text that is sent here
    MILLISECONDS = 20    // how long bob waits for room in step 5
};

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};

static int new_socket(void)
{
    return CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));
}

static int bind_to(int fd, const struct sockaddr_un *address)
{
    return bind(fd, (const struct sockaddr *)address, sizeof(*address));
}

static int connect_to(int fd, const struct sockaddr_un *address)
{
    return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

static int open_server(void)
{
    int server = new_socket();

    say("bind(\"%s\") ...", server_address.sun_path);
    CHECK(bind_to(server, &server_address));
    return server;
}

/* A client that is connected to the socket that has the path now. */
static int open_connected_client(void)
{
    int client = new_socket();

    say("connect(\"%s\") ...", server_address.sun_path);
    CHECK(connect_to(client, &server_address));
    return client;
}

static void close_server(int server)
{
    int closed = CHECK(close(server));

    say("close() = %d", closed);
}

static void remove_socket_file(void)
{
    int removed = CHECK(unlink(server_address.sun_path));

    say("unlink(\"%s\") = %d", server_address.sun_path, removed);
}

static ssize_t send_text(int fd, const char *text, int flags)
{
    return send(fd, text, strlen(text), flags);
}

static ssize_t send_text_to(int fd, const char *text, int flags)
{
    return sendto(fd, text, strlen(text), flags,
                  (const struct sockaddr *)&server_address,
                  sizeof(server_address));
}

/* For a send() and a sendto() that must succeed. */
static void send_well(int fd, const char *text)
{
    int n = CHECK(send_text(fd, text, 0));

    say("send(\"%s\") = %d", text, n);
}

static void sendto_well(int fd, const char *text)
{
    int n = CHECK(send_text_to(fd, text, 0));

    say("sendto(\"%s\", \"%s\") = %d", text, server_address.sun_path, n);
}

/* For a send() to which this error is an answer, and not the end of the lab. */
static void try_to_send(int fd, const char *text, int error)
{
    ssize_t result = send_text(fd, text, 0);

    if (result == -1 && errno == error) {
        say("send(\"%s\") = -1 %s", text, error_name(error));
        return;
    }
    int n = check(result, "send()", __FILE__, __LINE__);
    say("send(\"%s\") = %d", text, n);
}

static void receive(int server)
{
    char buf[ROOM];

    int n = CHECK(recv(server, buf, sizeof(buf), 0));
    say("recv() = %d \"%.*s\"", n, n, buf);
}

static void find_queue_empty(int server)
{
    char byte;

    const char *result = RESULT(recv(server, &byte, 1, MSG_DONTWAIT), EAGAIN);
    say("recv(MSG_DONTWAIT) = %s", result);
}

static const char *word_if(int is_set, const char *word)
{
    if (is_set)
        return word;
    return "";
}

/* May this client send? poll() does not wait here. */
static void ask_for_room(int client)
{
    struct pollfd polled = {.fd = client, .events = POLLOUT};

    int n = CHECK(poll(&polled, 1, 0));
    say("poll() = %d%s%s%s", n, word_if(polled.revents & POLLOUT, " POLLOUT"),
        word_if(polled.revents & POLLERR, " POLLERR"),
        word_if(polled.revents & POLLHUP, " POLLHUP"));
}

static void ask_for_peer(int client)
{
    struct sockaddr_un peer = {0};
    socklen_t length = sizeof(peer);

    CHECK(getpeername(client, (struct sockaddr *)&peer, &length));
    say("getpeername() -> \"%s\"", peer.sun_path);
}

static void find_no_peer(int client)
{
    struct sockaddr_un peer = {0};
    socklen_t length = sizeof(peer);

    const char *result = RESULT(
        getpeername(client, (struct sockaddr *)&peer, &length), ENOTCONN);
    say("getpeername() = %s", result);
}

/* The second server takes the place of the first one before ann or bob sends
 * again. So ann learns of the restart from her own calls, or not at all. */
static void new_socket_same_path(void)
{
    role("server");
    int server = open_server();
    role("ann");
    int ann = open_connected_client();
    send_well(ann, "ann 1");
    role("server");
    receive(server);
    close_server(server);
    remove_socket_file();
    server = open_server();

    role("ann");
    ask_for_peer(ann);
    ask_for_room(ann);
    try_to_send(ann, "ann 2", ECONNREFUSED);
    try_to_send(ann, "ann 3", ENOTCONN);
    find_no_peer(ann);
    ask_for_room(ann);
    role("bob");
    int bob = new_socket();
    sendto_well(bob, "bob 1");
    role("server");
    receive(server);
    find_queue_empty(server);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(server));
    CHECK(unlink(server_address.sun_path));
}

/* The first server ends, and has not read "one". Its file stays until the
 * second one comes. */
static void connect_again(void)
{
    const char *text = "two";

    role("server");
    int server = open_server();
    role("ann");
    int ann = open_connected_client();
    send_well(ann, "one");
    role("server");
    close_server(server);

    role("ann");
    try_to_send(ann, text, ECONNREFUSED);
    const char *result = RESULT(connect_to(ann, &server_address), ECONNREFUSED);
    say("connect(\"%s\") = %s", server_address.sun_path, result);
    role("server");
    remove_socket_file();
    server = open_server();
    role("ann");
    try_to_send(ann, text, ENOTCONN);
    int connected = CHECK(connect_to(ann, &server_address));
    say("connect(\"%s\") = %d", server_address.sun_path, connected);
    send_well(ann, text);
    role("server");
    receive(server);
    find_queue_empty(server);

    CHECK(close(ann));
    CHECK(close(server));
    CHECK(unlink(server_address.sun_path));
}

/* The server is a child, which has its socket from the manager. By fork() it
 * has ann's and bob's sockets, too, and closes them. It receives as many
 * datagrams as it is told, and exits. */
static pid_t start_server(int server, int ann, int bob, int count)
{
    role("manager");
    say("fork() ...");
    pid_t child = CHECK(fork());

    if (child == 0) {
        role("server");
        CHECK(close(ann));
        CHECK(close(bob));
        for (int i = 0; i < count; i++)
            receive(server);
        say("exit ...");
        _exit(EXIT_SUCCESS);
    }
    return child;
}

/* The manager keeps its descriptor of the socket. So the socket stays open when
 * the first server exits, and the second server gets the same socket. */
static void same_socket(void)
{
    role("manager");
    int server = open_server();
    role("ann");
    int ann = open_connected_client();
    send_well(ann, "ann 1");
    int bob = new_socket();
    pid_t first = start_server(server, ann, bob, 1);
    reap(first);

    role("ann");
    send_well(ann, "ann 2");
    role("bob");
    sendto_well(bob, "bob 1");
    pid_t second = start_server(server, ann, bob, 2);
    reap(second);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(server));
    CHECK(unlink(server_address.sun_path));
}

/* As many as this one client can send. Its SO_SNDBUF may be a limit, too: on
 * some machines it is reached before the queue is full (lab 2, step 5). */
static int send_until_eagain(int client)
{
    int count = 0;
    ssize_t n = send_text_to(client, ".", MSG_DONTWAIT);

    while (n != -1) {
        count++;
        n = send_text_to(client, ".", MSG_DONTWAIT);
    }
    if (errno != EAGAIN)
        fail("sendto()", __FILE__, __LINE__);
    return count;
}

/* One client after the other, until one of them cannot send at all: then it is
 * the queue that is full. What a client has sent stays there when it closes its
 * socket. */
static void fill_queue(void)
{
    int all = 0;
    int count = 1;

    role("others");
    while (count > 0) {
        int client = new_socket();
        count = send_until_eagain(client);
        all += count;
        CHECK(close(client));
    }
    say_measured("sendto(\".\", MSG_DONTWAIT), %d times", all);
}

/* ann and bob have sent nothing yet. bob asks and tries twice, as a program
 * does that sends whenever poll() says that it can. */
static void queue_is_full(void)
{
    const char *from_ann = "ann 1";
    const char *from_bob = "bob 1";

    role("server");
    int server = open_server();
    role("ann");
    int ann = open_connected_client();
    int bob = new_socket();
    ask_for_room(ann);
    role("bob");
    ask_for_room(bob);
    fill_queue();

    role("ann");
    ask_for_room(ann);
    const char *result = RESULT(send_text(ann, from_ann, MSG_DONTWAIT), EAGAIN);
    say("send(\"%s\", MSG_DONTWAIT) = %s", from_ann, result);
    role("bob");
    for (int i = 0; i < 2; i++) {
        ask_for_room(bob);
        result = RESULT(send_text_to(bob, from_bob, MSG_DONTWAIT), EAGAIN);
        say("sendto(\"%s\", MSG_DONTWAIT) = %s", from_bob, result);
    }
    role("server");
    receive(server);
    role("ann");
    ask_for_room(ann);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(server));
    CHECK(unlink(server_address.sun_path));
}

/* From now on a send() or a sendto() waits so long for room, and no longer. */
static void limit_waiting(int client)
{
    const struct timeval limit = {.tv_usec = MILLISECONDS * 1000L};

    say("setsockopt(SO_SNDTIMEO, %d ms) ...", MILLISECONDS);
    CHECK(setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)));
}

static long milliseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now));
    return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

/* For a sendto() that waits until its time is over. */
static void sendto_in_vain(int client, const char *text)
{
    long start = milliseconds();
    const char *result = RESULT(send_text_to(client, text, 0), EAGAIN);
    long took = milliseconds() - start;

    say("sendto(\"%s\", \"%s\") = %s", text, server_address.sun_path, result);
    say_measured("sendto() took: %ld ms", took);
}

/* Nobody reads while bob's first sendto() waits. So however long the machine
 * takes, there is no room when the time is over. */
static void wait_for_room(void)
{
    const char *text = "bob 1";

    role("server");
    int server = open_server();
    int bob = new_socket();
    fill_queue();

    role("bob");
    limit_waiting(bob);
    sendto_in_vain(bob, text);
    ask_for_room(bob);
    int connected = CHECK(connect_to(bob, &server_address));
    say("connect(\"%s\") = %d", server_address.sun_path, connected);
    ask_for_room(bob);
    role("server");
    receive(server);
    role("bob");
    ask_for_room(bob);
    send_well(bob, text);

    CHECK(close(bob));
    CHECK(close(server));
    CHECK(unlink(server_address.sun_path));
}

int main(void)
{
    step("The server comes back with a new socket. Whom does it hear?");
    new_socket_same_path();

    step("What does ann have to do, and what is lost?");
    connect_again();

    step("The server comes back, and its socket was never closed. And now?");
    same_socket();

    step("The server is not back yet, and the queue is full. Who is told?");
    queue_is_full();

    step("How can bob wait for room?");
    wait_for_room();
}
