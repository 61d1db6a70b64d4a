/*
 * 09-sent-or-arrived -- has a message arrived when send() has returned?
 *
 * Over AF_UNIX it has: when send() returns its number, the message is in the
 * queue of the server. TCP and UDP make packets. When send() returns its
 * number, the message may still be at the client, or on its way, or lost. The
 * client learns that from a later call, or never.
 *
 *     AF_UNIX     client  --------------------------> [message] server
 *     TCP, UDP    client  [message?] - [message?] - > [message?] server
 *
 * See unix(7), tcp(7), udp(7), send(2), connect(2), listen(2), poll(2).
 */
#define _GNU_SOURCE    // for sched_setaffinity()
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"
#include "../../common/loopback.h"

/* An address of either family, as in lab 6. */
struct address {
    socklen_t length;
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
    };
};

static struct address path_address(void)
{
    const struct address path = {
        .length = sizeof(struct sockaddr_un),
        .un = {.sun_family = AF_UNIX, .sun_path = "server.sock"},
    };

    return path;
}

/* Port 0 means: any port that is free. */
static struct address loopback_address(void)
{
    const struct address loopback = {
        .length = sizeof(struct sockaddr_in),
        .in = {.sin_family = AF_INET,
               .sin_port = htons(0),
               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
    };

    return loopback;
}

static int bind_server(struct address *server, int type)
{
    int fd = CHECK(socket(server->any.sa_family, type, 0));

    CHECK(bind(fd, &server->any, server->length));
    CHECK(getsockname(fd, &server->any, &server->length));
    return fd;
}

static void remove_address(const struct address *server)
{
    if (server->any.sa_family == AF_UNIX)
        CHECK(unlink(server->un.sun_path));
}

/* Two connected sockets. One process plays both ends, and its role is the kind
 * of these sockets. */
struct connection {
    int client;
    int server;
};

/* The two sockets are connected to each other. So they no longer need the
 * listener and its path, and these are removed here. */
static struct connection connect_through(int listener,
                                         const struct address *server)
{
    struct connection connection;

    CHECK(listen(listener, 1));
    connection.client = CHECK(socket(server->any.sa_family, SOCK_STREAM, 0));
    CHECK(connect(connection.client, &server->any, server->length));
    connection.server = CHECK(accept(listener, NULL, NULL));

    CHECK(close(listener));
    remove_address(server);
    return connection;
}

static struct connection open_stream(struct address address)
{
    int listener = bind_server(&address, SOCK_STREAM);

    return connect_through(listener, &address);
}

/* Over AF_UNIX the client is connected to the socket that has the path now, so
 * it does not need the path any more. */
static struct connection open_dgram(struct address address)
{
    struct connection connection;

    connection.server = bind_server(&address, SOCK_DGRAM);
    connection.client = CHECK(socket(address.any.sa_family, SOCK_DGRAM, 0));
    CHECK(connect(connection.client, &address.any, address.length));

    remove_address(&address);
    return connection;
}

static void close_connection(struct connection connection)
{
    CHECK(close(connection.client));
    CHECK(close(connection.server));
}

/* One message arrives, because the server is there, and reads. Then the server
 * closes its socket. */
static void greet_and_close(struct connection connection)
{
    const char *text = "hello";
    char buf[64];

    say("send(client, \"%s\"), recv(server) ...", text);
    CHECK(send(connection.client, text, strlen(text), 0));
    CHECK(recv(connection.server, buf, sizeof(buf), 0));

    int closed = CHECK(close(connection.server));
    say("close(server) = %d", closed);
}

/* For a send() of a client that may find nobody who can receive: there is only
 * an error, and no SIGPIPE. */
static const int no_sigpipe = MSG_NOSIGNAL;

/* When end of file has come, the client knows that the server sends no more. */
static void wait_for_end_of_file(int client)
{
    char byte;
    int n = CHECK(recv(client, &byte, 1, 0));

    say("recv(client) = %d", n);
}

static const char *word_if(int is_set, const char *word)
{
    if (is_set)
        return word;
    return "";
}

/* The result of poll(), and those of the four words that it has put into
 * revents. */
static void say_poll(const char *name, int n, int revents)
{
    say("poll(%s) = %d%s%s%s%s", name, n, word_if(revents & POLLIN, " POLLIN"),
        word_if(revents & POLLOUT, " POLLOUT"),
        word_if(revents & POLLERR, " POLLERR"),
        word_if(revents & POLLHUP, " POLLHUP"));
}

/* poll() reports POLLERR without being asked, so .events is 0: nothing else is
 * waited for. */
static void wait_for_error(int client)
{
    struct pollfd polled = {.fd = client, .events = 0};

    int n = CHECK(poll(&polled, 1, -1));    // -1: as long as it takes
    say_poll("client", n, polled.revents);
}

/* A send() that must succeed. */
static void send_text(int client, const char *text)
{
    int n = CHECK(send(client, text, strlen(text), no_sigpipe));

    say("send(client, \"%s\") = %d", text, n);
}

static void stream_gone_unix(void)
{
    role("AF_UNIX");
    struct connection connection = open_stream(path_address());
    int client = connection.client;
    const char *text = "one";

    greet_and_close(connection);
    wait_for_end_of_file(client);

    const char *result =
        RESULT(send(client, text, strlen(text), no_sigpipe), EPIPE);
    say("send(client, \"%s\") = %s", text, result);

    CHECK(close(client));
}

static void stream_gone_tcp(void)
{
    role("TCP");
    struct connection connection = open_stream(loopback_address());
    int client = connection.client;
    const char *next = "two";

    greet_and_close(connection);
    wait_for_end_of_file(client);

    send_text(client, "one");
    wait_for_error(client);
    const char *result =
        RESULT(send(client, next, strlen(next), no_sigpipe), EPIPE);
    say("send(client, \"%s\") = %s", next, result);

    CHECK(close(client));
}

static void dgram_gone_unix(void)
{
    role("AF_UNIX");
    struct connection connection = open_dgram(path_address());
    int client = connection.client;
    const char *text = "one";

    greet_and_close(connection);

    const char *result =
        RESULT(send(client, text, strlen(text), no_sigpipe), ECONNREFUSED);
    say("send(client, \"%s\") = %s", text, result);

    CHECK(close(client));
}

/* getpeername() tells to which address the client is connected. Another socket
 * gets this address. The first server is closed, so the address is free. */
static int open_new_server(int client)
{
    struct address server = loopback_address();
    int new_server = CHECK(socket(AF_INET, SOCK_DGRAM, 0));

    CHECK(getpeername(client, &server.any, &server.length));
    say("bind(new_server) ...");
    CHECK(bind(new_server, &server.any, server.length));
    return new_server;
}

/* The new server is there before the client sends "two". What the new server
 * receives first shows whether "two" was sent. */
static void dgram_gone_udp(void)
{
    role("UDP");
    struct connection connection = open_dgram(loopback_address());
    int client = connection.client;
    const char *next = "two";
    char buf[64];

    greet_and_close(connection);

    send_text(client, "one");
    wait_for_error(client);
    int new_server = open_new_server(client);
    const char *result =
        RESULT(send(client, next, strlen(next), no_sigpipe), ECONNREFUSED);
    say("send(client, \"%s\") = %s", next, result);
    send_text(client, "three");
    int n = CHECK(recv(new_server, buf, sizeof(buf), 0));
    say("recv(new_server) = %d \"%.*s\"", n, n, buf);

    CHECK(close(client));
    CHECK(close(new_server));
}

/* Two messages of this size. What follows the words are zeros. */
enum { MESSAGE = 8000 };
static const char one[MESSAGE] = "one";
static const char two[MESSAGE] = "two";

/* The kernel doubles this number. So the limit is 64 bytes more than the length
 * of one message. It must not be less: a message that is longer than SO_SNDBUF
 * is refused. The kernel also counts memory of its own for each message, so one
 * message alone is above the limit. When nothing waits, the kernel takes the
 * message all the same. When one message waits, the kernel takes no other. */
static void make_room_for_one(int fd, int option)
{
    int size = (MESSAGE + 64) / 2;

    CHECK(setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size)));
}

/* Over AF_UNIX the limit is the client's SO_SNDBUF, over UDP it is the server's
 * SO_RCVBUF. */
static struct connection open_small_dgram(struct address address)
{
    struct connection connection = open_dgram(address);

    make_room_for_one(connection.client, SO_SNDBUF);
    make_room_for_one(connection.server, SO_RCVBUF);
    return connection;
}

/* A send() that must succeed. */
static void send_message(int client, const char *message)
{
    int n = CHECK(send(client, message, MESSAGE, MSG_DONTWAIT));

    say("send(client, \"%s\", %d bytes) = %d", message, MESSAGE, n);
}

/* SO_MEMINFO fills in nine numbers. DROPPED is the place of the one that counts
 * dropped messages, SK_MEMINFO_DROPS in <linux/sock_diag.h>. */
enum { NUMBERS = 9, DROPPED = 8 };

/* EAGAIN is an answer here, so this call is not inside CHECK(). check() is the
 * function behind CHECK(), as in lab 3. */
static void receive_message(int server, int flags)
{
    char buf[MESSAGE];

    ssize_t result = recv(server, buf, sizeof(buf), flags);
    if (result == -1 && errno == EAGAIN) {
        say("recv(server) = -1 %s", error_name(errno));
        return;
    }
    int n = check(result, "recv()", __FILE__, __LINE__);
    say("recv(server) = %d \"%s\"", n, buf);
}

/* The first recv() waits, the second one does not. */
static void look_into_queue(int server)
{
    uint32_t numbers[NUMBERS] = {0};
    socklen_t length = sizeof(numbers);

    receive_message(server, 0);
    receive_message(server, MSG_DONTWAIT);

    CHECK(getsockopt(server, SOL_SOCKET, SO_MEMINFO, numbers, &length));
    say("getsockopt(server, SO_MEMINFO) -> number of dropped datagrams: %u",
        numbers[DROPPED]);
}

static void dgram_full_unix(void)
{
    role("AF_UNIX");
    struct connection connection = open_small_dgram(path_address());

    send_message(connection.client, one);
    const char *result =
        RESULT(send(connection.client, two, MESSAGE, MSG_DONTWAIT), EAGAIN);
    say("send(client, \"%s\", %d bytes) = %s", two, MESSAGE, result);

    look_into_queue(connection.server);

    close_connection(connection);
}

/* For wait_for_earlier_packets(): packets must be handled in the order in which
 * they were sent. Each processor has one queue for the packets that it sends to
 * its own machine, and handles them in their order. From here on, all packets
 * of this process go through the same queue, unless somebody has told the
 * kernel to give packets of the loopback network to other processors (receive
 * packet steering, which is off if nobody turns it on). See
 * sched_setaffinity(2). */
static void stay_on_one_processor(void)
{
    int processor = CHECK(sched_getcpu());
    cpu_set_t one_processor;

    CPU_ZERO(&one_processor);
    CPU_SET((size_t)processor, &one_processor);
    CHECK(sched_setaffinity(0, sizeof(one_processor), &one_processor));
}

/* A packet may cause an answer, which goes to the end of the same queue. Over
 * TCP an answer may let one more packet go. When the first packet sent here has
 * come, all earlier packets have been handled, and their answers are in the
 * queue. So the second packet comes behind these answers, and the third one
 * behind what the answers let go. When all three have come, all of these have
 * been handled. */
static void wait_for_earlier_packets(void)
{
    struct connection other = open_dgram(loopback_address());
    char byte = 'x';

    for (int i = 0; i < 3; i++) {
        CHECK(send(other.client, &byte, 1, 0));
        CHECK(recv(other.server, &byte, 1, 0));
    }
    close_connection(other);
}

static void dgram_full_udp(void)
{
    role("UDP");
    struct connection connection = open_small_dgram(loopback_address());

    send_message(connection.client, one);
    send_message(connection.client, two);
    wait_for_earlier_packets();

    look_into_queue(connection.server);

    close_connection(connection);
}

/* The kernel doubles this size, too. So in the receive buffer there is no room
 * for more than one message. The socket of the server gets the size from its
 * listener. */
static struct connection open_small_stream(struct address address)
{
    int size = MESSAGE / 2;
    int listener = bind_server(&address, SOCK_STREAM);

    CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
    return connect_through(listener, &address);
}

/* The evidence is what the last bytes are: "last", or dots. */
static void say_end(const char *call, const char *buf, int count)
{
    int shown = (int)strlen("last");

    if (shown > count)
        shown = count;
    say("%s, the last %d bytes: \"%.*s\"", call, shown, shown,
        buf + count - shown);
}

/* With MSG_PEEK, recv() copies what is in the queue, and leaves it there. */
static void look_at_queue(int server)
{
    char buf[2 * MESSAGE];

    int n = CHECK(recv(server, buf, sizeof(buf), MSG_PEEK));
    say_measured("recv(server, MSG_PEEK) = %d", n);
    say_end("recv(server, MSG_PEEK)", buf, n);
}

static void read_until_end(int server)
{
    char buf[2 * MESSAGE];
    int count = 0;
    int n = 1;

    while (n > 0) {
        n = CHECK(recv(server, buf + count, sizeof(buf) - (size_t)count, 0));
        count += n;
    }
    say("recv(server) until 0, number of bytes: %d", count);
    say_end("recv(server) until 0", buf, count);
}

/* Nobody reads until both texts have been sent. What is not in the queue after
 * the wait is not only late: it has not left the client. */
static void stream_not_read(struct address address)
{
    struct connection connection = open_small_stream(address);
    char dots[MESSAGE];

    memset(dots, '.', sizeof(dots));
    int n = CHECK(send(connection.client, dots, sizeof(dots), no_sigpipe));
    say("send(client, %zu dots) = %d", sizeof(dots), n);
    send_text(connection.client, "last");
    wait_for_earlier_packets();
    look_at_queue(connection.server);

    CHECK(shutdown(connection.client, SHUT_WR));
    read_until_end(connection.server);

    close_connection(connection);
}

/* A listener whose queue has room for one client: listen() is told one less. */
static int open_listener(struct address *server)
{
    int listener = bind_server(server, SOCK_STREAM);

    CHECK(listen(listener, 0));
    return listener;
}

/* A client that does not wait in connect(). */
static int open_client(const struct address *server)
{
    return CHECK(socket(server->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0));
}

static void listener_full_unix(void)
{
    role("AF_UNIX");
    struct address server = path_address();
    int listener = open_listener(&server);
    int first = open_client(&server);
    int second = open_client(&server);

    int connected = CHECK(connect(first, &server.any, server.length));
    say("connect(first) = %d", connected);
    const char *result =
        RESULT(connect(second, &server.any, server.length), EAGAIN);
    say("connect(second) = %s", result);

    CHECK(close(first));
    CHECK(close(second));
    CHECK(close(listener));
    remove_address(&server);
}

/* A client knows that it is connected before the listener does: the last packet
 * of connect() goes to the listener. Waits until it has come. */
static void wait_for_client(int listener)
{
    struct pollfd polled = {.fd = listener, .events = POLLIN};

    CHECK(poll(&polled, 1, -1));
}

/* A client has POLLOUT when it is connected. */
static void poll_client(const char *name, int client, int timeout)
{
    struct pollfd polled = {.fd = client, .events = POLLOUT};

    int n = CHECK(poll(&polled, 1, timeout));
    say_poll(name, n, polled.revents);
}

static void listener_full_tcp(void)
{
    role("TCP");
    struct address server = loopback_address();
    int listener = open_listener(&server);
    int first = open_client(&server);
    int second = open_client(&server);

    const char *result =
        RESULT(connect(first, &server.any, server.length), EINPROGRESS);
    say("connect(first) = %s", result);
    poll_client("first", first, -1);    // -1: as long as it takes
    wait_for_client(listener);

    result = RESULT(connect(second, &server.any, server.length), EINPROGRESS);
    say("connect(second) = %s", result);
    wait_for_earlier_packets();
    poll_client("second", second, 0);    // 0: does not wait

    CHECK(close(first));
    CHECK(close(second));
    CHECK(close(listener));
}

int main(void)
{
    need_loopback();
    stay_on_one_processor();

    step("A stream: when does send() fail after the server has closed?");
    stream_gone_unix();
    stream_gone_tcp();

    step("Datagrams: when does send() fail after the server has closed?");
    dgram_gone_unix();
    dgram_gone_udp();

    step("Datagrams: there is room for one. What becomes of the second?");
    dgram_full_unix();
    dgram_full_udp();

    step("A stream: nobody reads. Where is what was sent last?");
    role("AF_UNIX");
    stream_not_read(path_address());
    role("TCP");
    stream_not_read(loopback_address());

    step("A listener has room for one client. What do two clients learn?");
    listener_full_unix();
    listener_full_tcp();
}
