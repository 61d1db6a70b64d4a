/*
 * 22-many-clients -- how does one process serve many clients?
 *
 * It waits for all of them in one poll(), and for nobody alone. For each client
 * it keeps what has come of a request and what is left of an answer, because
 * both may take several calls. It does not read from a client that does not
 * read. An error on a client's socket is the end of this client only.
 *
 *     client              kernel               server
 *
 *     send()  ---> [ queue: requests ] ---> recv()  request[8]
 *     recv()  <--- [ queue: stars    ] <--- send()  to_send
 *
 *     poll()       POLLIN,  while nothing is left to send
 *                  POLLOUT, while something is
 *
 * A client sends a number and a semicolon, and gets that many stars: "3;" is
 * answered by "***".
 *
 * See unix(7), poll(2), accept(2), recv(2), send(2).
 */
#define _GNU_SOURCE    // for accept4()
#include <ctype.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    PLACES = 3,              // that many clients at a time
    ROOM = 8,                // for a request, with its semicolon
    MANY = 100000,           // more stars than there is ever room for
    ROOM_FOR_ANSWER = 64,    // more than the answers that are shown
    SMALL_BUFFER = 4096,     // so that the queues are soon full
    BACKLOG = 4
};

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};
static const struct sockaddr_un ann_address = {.sun_family = AF_UNIX,
                                               .sun_path = "ann.sock"};
static const struct sockaddr_un bob_address = {.sun_family = AF_UNIX,
                                               .sun_path = "bob.sock"};
static const struct sockaddr_un eve_address = {.sun_family = AF_UNIX,
                                               .sun_path = "eve.sock"};
static const struct sockaddr_un dave_address = {.sun_family = AF_UNIX,
                                                .sun_path = "dave.sock"};

static char stars[MANY];    // main() fills it

/* What the server keeps for a client. */
struct client {
    int fd;                        // -1: this place is free
    struct sockaddr_un address;    // for the lines of the lab,
    socklen_t address_length;      // and how long it is
    char request[ROOM];            // what has come and is not answered yet,
    size_t length;                 // and how much of it there is
    size_t to_send;                // how many stars of the answer are left
};

struct server {
    int listener;
    struct client clients[PLACES];
};

static void set_small_buffer(int fd)
{
    const int size = SMALL_BUFFER;

    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
}

static void open_server(struct server *server)
{
    memset(server, 0, sizeof(*server));
    server->listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(bind(server->listener, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    CHECK(listen(server->listener, BACKLOG));

    for (int i = 0; i < PLACES; i++)
        server->clients[i].fd = -1;
}

static struct client *free_place(struct server *server)
{
    for (int i = 0; i < PLACES; i++)
        if (server->clients[i].fd == -1)
            return &server->clients[i];
    return NULL;
}

/* accept4() is accept() with flags for the new socket, which has no O_NONBLOCK
 * from its listener (lab 21, step 3). */
static void accept_client(int listener, struct client *place)
{
    memset(place, 0, sizeof(*place));
    place->address_length = sizeof(place->address);
    place->fd = CHECK(accept4(listener, (struct sockaddr *)&place->address,
                              &place->address_length, SOCK_NONBLOCK));
    set_small_buffer(place->fd);
}

/* The name of a client is that of its address. */
static const char *name_of(const struct client *client)
{
    return client->address.sun_path;
}

static void drop(struct client *client)
{
    int result = CHECK(close(client->fd));

    say("close(%s) = %d", name_of(client), result);
    client->fd = -1;
}

/* recv() or send() on the client's socket has failed. EPIPE and ECONNRESET mean
 * that the client has gone: that is the end of this client, and of nobody else.
 * EAGAIN only means: not now. */
static void handle_error(struct client *client, const char *call)
{
    int error = errno;
    char text[160];

    snprintf(text, sizeof(text), "%s(%s)", call, name_of(client));
    if (error != EAGAIN && error != EPIPE && error != ECONNRESET) {
        errno = error;    // for fail(): snprintf() may have changed it
        fail(text, __FILE__, __LINE__);
    }
    say("%s = -1 %s", text, error_name(error));
    if (error != EAGAIN)
        drop(client);
}

/* The server says why, if there is room for that. It does not wait for room. */
static void refuse(struct client *client)
{
    const char *answer = "bad request";
    ssize_t n = send(client->fd, answer, strlen(answer), MSG_NOSIGNAL);

    if (n == -1)
        handle_error(client, "send");
    else
        say("send(%s, \"%s\") = %zd", name_of(client), answer, n);
    if (client->fd != -1)    // handle_error() may have dropped it already
        drop(client);
}

/* Returns 0 if the text is no number. The number 0 is no request either. */
static size_t number_in(const char *text, size_t length)
{
    size_t number = 0;

    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]))
            return 0;
        number = 10 * number + (size_t)(text[i] - '0');
    }
    return number;
}

/* If a whole request is there, its answer begins. What stands behind the
 * semicolon belongs to the next request, and moves to the front. */
static void begin_answer(struct client *client)
{
    const char *end = memchr(client->request, ';', client->length);

    if (!end) {
        if (client->length == ROOM)
            refuse(client);    // and there is no room for the rest
        return;
    }

    size_t digits = (size_t)(end - client->request);
    client->to_send = number_in(client->request, digits);
    if (client->to_send == 0) {
        refuse(client);
        return;
    }
    client->length -= digits + 1;
    memmove(client->request, end + 1, client->length);
}

/* One recv() for a client that poll() has reported. */
static void receive_request(struct client *client)
{
    char *end = client->request + client->length;
    size_t room = ROOM - client->length;
    ssize_t n = recv(client->fd, end, room, 0);

    if (n == -1) {
        handle_error(client, "recv");
        return;
    }
    say("recv(%s) = %zd \"%.*s\"", name_of(client), n, (int)n, end);
    if (n == 0) {
        drop(client);
        return;
    }
    client->length += (size_t)n;
    begin_answer(client);
}

/* One send() for a client that poll() has reported. It sends as many stars as
 * fit, and kernels differ in that. */
static void send_stars(struct client *client)
{
    size_t wanted = client->to_send;

    if (wanted > MANY)    // stars[] has no more
        wanted = MANY;
    ssize_t n = send(client->fd, stars, wanted, MSG_NOSIGNAL);
    if (n == -1) {
        handle_error(client, "send");
        return;
    }
    if ((size_t)n == wanted)
        say("send(%s) = %zd", name_of(client), n);
    else
        say_measured("send(%s, %zu stars) = %zd", name_of(client), wanted, n);

    client->to_send -= (size_t)n;
    if (client->to_send == 0)
        begin_answer(client);    // perhaps the next request has come already
}

/* What to wait for. poll() passes over a descriptor of -1: that of a free
 * place, or of the listener while there is no free place. */
static void fill_polled(struct pollfd polled[PLACES + 1], struct server *server)
{
    for (int i = 0; i < PLACES; i++) {
        polled[i].fd = server->clients[i].fd;
        polled[i].events = POLLIN;
        if (server->clients[i].to_send > 0)
            polled[i].events = POLLOUT;
    }
    polled[PLACES].fd = -1;
    polled[PLACES].events = POLLIN;
    if (free_place(server))
        polled[PLACES].fd = server->listener;
}

/* One accept4() for the listener that poll() has reported. poll() was asked
 * about it only because there was a free place. */
static void accept_next(struct server *server)
{
    struct client *place = free_place(server);

    accept_client(server->listener, place);
    say("accept4(listener) -> \"%s\", %u bytes", name_of(place),
        place->address_length);
}

/* One round of the server: one poll(), and then one call for each socket that
 * poll() has reported. If the server refuses a request, its "bad request" and
 * close() follow at once; so does the close() for a client that has gone. In
 * another server this stands in a loop without end. */
static void serve_round(struct server *server)
{
    struct pollfd polled[PLACES + 1];

    role("server");
    fill_polled(polled, server);
    int n = CHECK(poll(polled, PLACES + 1, -1));    // waits, without limit
    say("poll() = %d", n);

    for (int i = 0; i < PLACES; i++) {
        struct client *client = &server->clients[i];

        /* .revents may also hold POLLHUP or POLLERR, for which nobody has
         * asked. The next call on the socket says what has happened. */
        if (polled[i].revents == 0)
            continue;
        if (client->to_send > 0)
            send_stars(client);
        else
            receive_request(client);
    }

    if (polled[PLACES].revents != 0)
        accept_next(server);
}

static void close_server(struct server *server)
{
    for (int i = 0; i < PLACES; i++)
        if (server->clients[i].fd != -1)
            CHECK(close(server->clients[i].fd));
    CHECK(close(server->listener));
    CHECK(unlink(server_address.sun_path));
}

/* From here on: the clients. Each binds a name, so that the server's lines can
 * say who it is; other clients need none. The file can go at once, because
 * nobody connects to it. */
static int new_socket(const struct sockaddr_un *own)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(bind(fd, (const struct sockaddr *)own, sizeof(*own)));
    CHECK(unlink(own->sun_path));
    return fd;
}

static int connect_to(int fd, const struct sockaddr_un *address)
{
    return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

/* A client that connects during the experiment. */
static int arrive(const char *who, const struct sockaddr_un *own)
{
    role(who);
    int fd = new_socket(own);
    int result = CHECK(connect_to(fd, &server_address));
    say("connect(\"%s\") = %d", server_address.sun_path, result);
    return fd;
}

/* A client that has been accepted when the experiment begins. */
static int open_client(struct server *server, const struct sockaddr_un *own)
{
    int fd = new_socket(own);

    CHECK(connect_to(fd, &server_address));
    accept_client(server->listener, free_place(server));
    return fd;
}

static void send_request(const char *who, int fd, const char *text)
{
    role(who);
    int n = CHECK(send(fd, text, strlen(text), 0));
    say("send(\"%s\") = %d", text, n);
}

/* One error is an answer here, and not the end of the lab. */
static void receive_answer(const char *who, int fd)
{
    char buf[ROOM_FOR_ANSWER];

    role(who);
    ssize_t n = recv(fd, buf, sizeof(buf), 0);
    if (n == -1 && errno == ECONNRESET) {
        say("recv() = -1 %s", error_name(errno));
        return;
    }
    check(n, "recv()", __FILE__, __LINE__);
    say("recv() = %zd \"%.*s\"", n, (int)n, buf);
}

/* As many rounds as it takes until the client has something to read. */
static void serve_until_readable(struct server *server, int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    while (CHECK(poll(&polled, 1, 0)) == 0)
        serve_round(server);
}

/* ann connects first, and says nothing. Nobody has been accepted yet when bob's
 * request is there. */
static void one_is_silent(void)
{
    struct server server;

    open_server(&server);
    int ann = arrive("ann", &ann_address);
    int bob = arrive("bob", &bob_address);
    send_request("bob", bob, "5;");

    serve_until_readable(&server, bob);
    receive_answer("bob", bob);

    CHECK(close(ann));
    CHECK(close(bob));
    close_server(&server);
}

/* ann's first request comes in two pieces, and with the second piece comes
 * another request. */
static void in_pieces(void)
{
    struct server server;

    open_server(&server);
    int ann = open_client(&server, &ann_address);
    int bob = open_client(&server, &bob_address);

    send_request("ann", ann, "1");
    send_request("bob", bob, "2;");
    serve_until_readable(&server, bob);
    receive_answer("bob", bob);

    send_request("ann", ann, "0;3;");
    serve_until_readable(&server, ann);
    receive_answer("ann", ann);
    serve_until_readable(&server, ann);
    receive_answer("ann", ann);

    CHECK(close(ann));
    CHECK(close(bob));
    close_server(&server);
}

/* The first request just fits. The second one would be the number 12, too. */
static void too_long(void)
{
    struct server server;

    open_server(&server);
    int eve = open_client(&server, &eve_address);

    send_request("eve", eve, "0000012;");
    serve_until_readable(&server, eve);
    receive_answer("eve", eve);

    send_request("eve", eve, "0000000012;");
    serve_until_readable(&server, eve);
    receive_answer("eve", eve);
    receive_answer("eve", eve);
    receive_answer("eve", eve);

    CHECK(close(eve));
    close_server(&server);
}

/* Returns 0, which is no error, if there is no room. */
static int send_if_room(int fd, const char *text)
{
    ssize_t n = send(fd, text, strlen(text), MSG_DONTWAIT);

    if (n == -1 && errno == EAGAIN)
        return 0;
    return check(n, "send()", __FILE__, __LINE__);
}

static void send_until_full(const char *who, int fd, const char *text)
{
    int times = 0;

    role(who);
    while (send_if_room(fd, text) > 0)
        times++;
    say_measured("send(\"%s\", MSG_DONTWAIT), %d times", text, times);
    const char *result =
        RESULT(send(fd, text, strlen(text), MSG_DONTWAIT), EAGAIN);
    say("send(\"%s\", MSG_DONTWAIT) = %s", text, result);
}

static void receive_part(const char *who, int fd)
{
    static char buf[MANY];

    role(who);
    int n = CHECK(recv(fd, buf, sizeof(buf), 0));
    say_measured("recv() = %d", n);
}

/* ann wants more stars than there is room for, and does not read them. She only
 * sends, as long as there is room for that. Her own buffer is made small, too,
 * so that there is soon no room. */
static void one_does_not_read(void)
{
    struct server server;

    open_server(&server);
    int ann = open_client(&server, &ann_address);
    int bob = open_client(&server, &bob_address);
    set_small_buffer(ann);

    send_request("ann", ann, "100000;");
    serve_until_readable(&server, ann);
    send_until_full("ann", ann, "3;");

    send_request("bob", bob, "5;");
    serve_until_readable(&server, bob);
    receive_answer("bob", bob);

    receive_part("ann", ann);
    serve_round(&server);

    CHECK(close(ann));
    CHECK(close(bob));
    close_server(&server);
}

/* A client that goes during the experiment. */
static void leave(const char *who, int fd)
{
    role(who);
    int result = CHECK(close(fd));
    say("close() = %d", result);
}

/* In the first two rounds the server receives all requests, and sends what it
 * can. After that, the server has half a request of ann, bob has not read his
 * answer, and eve's answer is not complete. dave comes while all places are
 * taken. Then the three others go. */
static void clients_go(void)
{
    struct server server;

    open_server(&server);
    int ann = open_client(&server, &ann_address);
    int bob = open_client(&server, &bob_address);
    int eve = open_client(&server, &eve_address);

    send_request("ann", ann, "1");
    send_request("bob", bob, "5;");
    send_request("eve", eve, "100000;");
    serve_round(&server);
    serve_round(&server);

    int dave = arrive("dave", &dave_address);
    send_request("dave", dave, "2;");
    leave("ann", ann);
    leave("bob", bob);
    leave("eve", eve);
    serve_round(&server);

    serve_until_readable(&server, dave);
    receive_answer("dave", dave);

    CHECK(close(dave));
    close_server(&server);
}

int main(void)
{
    memset(stars, '*', sizeof(stars));

    step("ann came first, and says nothing. How long does bob wait?");
    one_is_silent();

    step("What if a request comes in pieces, or together with the next?");
    in_pieces();

    step("What if a request is too long?");
    too_long();

    step("ann does not read what she asked for. Who has to wait?");
    one_does_not_read();

    step("What does the server see of clients that go away?");
    clients_go();
}
