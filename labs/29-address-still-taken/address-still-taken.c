/*
 * 29-address-still-taken -- why is the address still taken?
 *
 * A path is taken as long as there is a file. An abstract name is free when its
 * socket is closed. A port of TCP is taken as long as there is a connection
 * with this port, and the side that closes first keeps its connection for a
 * minute more: TIME_WAIT. With SO_REUSEADDR at the old server and at the new
 * one, such a connection does not count. Who listens always counts.
 *
 *     path        file ................................ until unlink()
 *     abstract    listener ..........
 *     port        listener .......... connection ...... TIME_WAIT
 *                                  close()           close()     a minute
 *
 * See unix(7), tcp(7), bind(2), socket(7) for SO_REUSEADDR and SO_LINGER.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

/* The first byte of the name stays 0. The length says where the name ends. */
static struct address abstract_address(void)
{
    struct address name = {.un = {.sun_family = AF_UNIX}};
    size_t room = sizeof(name.un.sun_path) - 1;

    int letters = snprintf(name.un.sun_path + 1, room, "lab-%d", getpid());
    name.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) +
                  (socklen_t)letters;
    return name;
}

/* Of the first server. bind_first() chooses the port. */
static struct address loopback_address(void)
{
    const struct address loopback = {
        .length = sizeof(struct sockaddr_in),
        .in = {.sin_family = AF_INET,
               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
    };

    return loopback;
}

/* Ports differ on each run: P is the server's port, Q the client's. */
static in_port_t server_port;
static in_port_t client_port;

static const char *port_text(in_port_t port)
{
    static char number[8];    // good until the next call

    if (port == server_port)
        return "P";
    if (port == client_port)
        return "Q";
    snprintf(number, sizeof(number), "%d", ntohs(port));
    return number;
}

/* The number of the process differs on each run, so the lab prints PID. */
static const char *masked(const char *name)
{
    static char text[160];    // good until the next call
    char digits[16];

    snprintf(digits, sizeof(digits), "%d", getpid());
    const char *pid = strstr(name, digits);
    if (!pid)
        return name;
    snprintf(text, sizeof(text), "%.*sPID%s", (int)(pid - name), name,
             pid + strlen(digits));
    return text;
}

/* An address as text, good until the next call. */
static const char *text_of(const struct address *address)
{
    static char text[200];
    char dotted[INET_ADDRSTRLEN];

    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->in.sin_addr, dotted, sizeof(dotted));
        snprintf(text, sizeof(text), "%s port %s", dotted,
                 port_text(address->in.sin_port));
    } else if (address->un.sun_path[0] == '\0') {
        snprintf(text, sizeof(text), "@%s", masked(address->un.sun_path + 1));
    } else {
        snprintf(text, sizeof(text), "\"%s\"", address->un.sun_path);
    }
    return text;
}

static int new_socket(const struct address *address)
{
    return CHECK(socket(address->any.sa_family, SOCK_STREAM, 0));
}

static void set_option(int listener, int option, const char *name)
{
    int on = 1;

    say("setsockopt(listener, %s) ...", name);
    CHECK(setsockopt(listener, SOL_SOCKET, option, &on, sizeof(on)));
}

/* The port to try next, in the order of this machine's bytes. */
static in_port_t next_port;

/* With port 0 the kernel would choose a port, mostly from 32768 and up: see
 * ip(7). It could choose the same one for another process, as soon as the first
 * server has closed it. So the lab takes smaller ports. Two runs at the same
 * time mostly begin at different ones. */
static void choose_first_port(void)
{
    next_port = (in_port_t)(10000 + getpid() % 1000 * 20);
}

/* Tries one port after the other: another program may have this one. */
static void bind_to_free_port(int listener, struct address *server)
{
    int bound;

    do {
        server->in.sin_port = htons(next_port);
        bound = bind(listener, &server->any, server->length);
        next_port++;
    } while (bound == -1 && errno == EADDRINUSE);
    check(bound, "bind(listener)", __FILE__, __LINE__);
}

/* The first server, which must get the address. Afterwards *server is what it
 * has got. Whichever port that is, it is printed as P. */
static void bind_first(int listener, struct address *server)
{
    if (server->any.sa_family == AF_INET) {
        say("bind(127.0.0.1 port P) ...");
        bind_to_free_port(listener, server);
        server_port = server->in.sin_port;
    } else {
        say("bind(%s) ...", text_of(server));
        CHECK(bind(listener, &server->any, server->length));
    }
}

static void try_to_bind(int listener, const struct address *server)
{
    const char *result =
        RESULT(bind(listener, &server->any, server->length), EADDRINUSE);

    say("bind(%s) = %s", text_of(server), result);
}

static void try_to_listen(int listener)
{
    const char *result = RESULT(listen(listener, 1), EADDRINUSE);

    say("listen(listener) = %s", result);
}

static void close_listener(int listener)
{
    int closed = CHECK(close(listener));

    say("close(listener) = %d", closed);
}

static void remove_file(const struct address *server)
{
    if (server->any.sa_family == AF_UNIX && server->un.sun_path[0] != '\0')
        CHECK(unlink(server->un.sun_path));
}

/* The two ends of one connection. */
struct connection {
    int client;
    int server;
};

static struct connection connect_through(int listener,
                                         const struct address *server)
{
    struct connection connection;
    struct address own = {.length = sizeof(struct sockaddr_un)};

    connection.client = new_socket(server);
    CHECK(connect(connection.client, &server->any, server->length));
    CHECK(getsockname(connection.client, &own.any, &own.length));
    if (own.any.sa_family == AF_INET)
        client_port = own.in.sin_port;
    connection.server = CHECK(accept(listener, NULL, NULL));
    return connection;
}

/* With SO_LINGER, close() returns when the other side has answered. So no
 * packet of this call is still on its way after it, and what comes next does
 * not depend on time. (The answer takes no five seconds.) */
static int close_and_wait(int end)
{
    struct linger until_answered = {.l_onoff = 1, .l_linger = 5};

    CHECK(setsockopt(end, SOL_SOCKET, SO_LINGER, &until_answered,
                     sizeof(until_answered)));
    return CHECK(close(end));
}

/* The other side has closed its end, so recv() is 0. (It is -1
 * ECONNRESET if the other side breaks the connection off. No step does this.)
 * The text is good until the next RESULT. */
static const char *read_end(int end)
{
    char byte;

    return RESULT(recv(end, &byte, 1, 0), ECONNRESET);
}

/* `first_role` closes its end first. Then the other one reads end of file, and
 * closes its own end. */
static void close_both(const char *first_role, int first_end,
                       const char *other_role, int other_end)
{
    role(first_role);
    int closed = close_and_wait(first_end);
    say("close(connection) = %d", closed);

    role(other_role);
    const char *result = read_end(other_end);
    say("recv(connection) = %s", result);
    closed = close_and_wait(other_end);
    say("close(connection) = %d", closed);
}

enum { NOT_LISTED = 0 };    // no state has this number

struct states {
    int of_server;
    int of_client;
};

/* One line of the list is one socket: first its own address and port, then its
 * peer's, then its state. All are hexadecimal numbers. The address is not
 * turned into the order of this machine's bytes, and the port is. See proc(5).
 */
static void look_at_line(const char *line, struct states *states)
{
    uint32_t loopback = htonl(INADDR_LOOPBACK);
    unsigned own, own_port, peer, peer_port, state;

    int fields = sscanf(line, " %*d: %x:%x %x:%x %x", &own, &own_port, &peer,
                        &peer_port, &state);
    if (fields != 5 || own != loopback || peer != loopback)
        return;
    if (own_port == ntohs(server_port) && peer_port == ntohs(client_port))
        states->of_server = (int)state;
    if (own_port == ntohs(client_port) && peer_port == ntohs(server_port))
        states->of_client = (int)state;
}

/* The list may be long on a busy machine, so it is read in large pieces. */
static struct states find_states(void)
{
    struct states states = {.of_server = NOT_LISTED, .of_client = NOT_LISTED};
    char piece[4096];
    char line[256];

    FILE *list = fopen("/proc/net/tcp", "r");
    if (!list)
        fail("fopen(\"/proc/net/tcp\")", __FILE__, __LINE__);
    setvbuf(list, piece, _IOFBF, sizeof(piece));
    while (fgets(line, sizeof(line), list))
        look_at_line(line, &states);
    if (ferror(list))
        fail("fgets()", __FILE__, __LINE__);
    CHECK(fclose(list));
    return states;
}

/* The states that this lab meets. */
static const char *state_name(int state)
{
    static char number[16];    // good until the next call

    if (state == TCP_ESTABLISHED)
        return "ESTABLISHED";
    if (state == TCP_TIME_WAIT)
        return "TIME_WAIT";
    snprintf(number, sizeof(number), "state %d", state);
    return number;
}

/* AF_UNIX has no such states. */
static void say_connections(const struct address *server)
{
    if (server->any.sa_family != AF_INET)
        return;

    struct states states = find_states();
    if (states.of_server != NOT_LISTED)
        say("/proc/net/tcp has: own port P, peer's port Q, %s",
            state_name(states.of_server));
    if (states.of_client != NOT_LISTED)
        say("/proc/net/tcp has: own port Q, peer's port P, %s",
            state_name(states.of_client));
}

/* The second server tries while the first one listens, for comparison, and
 * again when the first one has closed its listener. */
static void nobody_came(struct address server)
{
    role("first");
    int first = new_socket(&server);
    bind_first(first, &server);
    CHECK(listen(first, 1));
    role("second");
    int second = new_socket(&server);
    try_to_bind(second, &server);

    role("first");
    close_listener(first);
    role("second");
    try_to_bind(second, &server);

    CHECK(close(second));
    remove_file(&server);
}

enum order { CLIENT_FIRST, SERVER_FIRST };

/* One connection, which is closed on both sides before the second server tries.
 * `order` says who closes its end first. The listener is closed last, so the
 * connection is all that can be left. */
static void restart_after(struct address server, enum order order)
{
    role("first");
    int first = new_socket(&server);
    bind_first(first, &server);
    CHECK(listen(first, 1));
    struct connection connection = connect_through(first, &server);

    if (order == SERVER_FIRST)
        close_both("first", connection.server, "client", connection.client);
    else
        close_both("client", connection.client, "first", connection.server);
    role("first");
    close_listener(first);

    role("second");
    say_connections(&server);
    int second = new_socket(&server);
    try_to_bind(second, &server);
    CHECK(close(second));
}

/* Shows that the connection works: the client sends, the first server receives.
 */
static void send_and_receive(struct connection connection)
{
    const char *text = "more tea";
    char buf[64];

    role("client");
    int n = CHECK(send(connection.client, text, strlen(text), 0));
    say("send(connection, \"%s\") = %d", text, n);

    role("first");
    n = CHECK(recv(connection.server, buf, sizeof(buf), 0));
    say("recv(connection) = %d \"%.*s\"", n, n, buf);
}

/* The connection is open on both sides when the second server tries. The same
 * happens when a server ends while a child of it still talks with a client. */
static void connection_lives(struct address server)
{

    role("first");
    int first = new_socket(&server);
    bind_first(first, &server);
    CHECK(listen(first, 1));
    struct connection connection = connect_through(first, &server);
    close_listener(first);

    role("second");
    say_connections(&server);
    int second = new_socket(&server);
    try_to_bind(second, &server);

    send_and_receive(connection);

    CHECK(close(connection.client));
    CHECK(close(connection.server));
    CHECK(close(second));
}

/* Which of the two servers sets the option: one bit for each. */
enum who { FIRST = 1, SECOND = 2, BOTH = FIRST | SECOND };

static const char *who_sets(enum who who)
{
    static const char *const names[] = {
        [FIRST] = "only the first server sets",
        [SECOND] = "only the second server sets",
        [BOTH] = "both servers set",
    };

    return names[who];
}

/* The first server closes its end first, as in step 2. */
static void with_reuse(struct address server, enum who who)
{
    role("case");
    say("%s SO_REUSEADDR ...", who_sets(who));
    role("first");
    int first = new_socket(&server);
    if (who & FIRST)
        set_option(first, SO_REUSEADDR, "SO_REUSEADDR");
    bind_first(first, &server);
    CHECK(listen(first, 1));
    struct connection connection = connect_through(first, &server);

    say("its own end, the client's end and the listener are closed ...");
    close_and_wait(connection.server);
    read_end(connection.client);
    close_and_wait(connection.client);
    CHECK(close(first));

    role("second");
    say_connections(&server);
    int second = new_socket(&server);
    if (who & SECOND)
        set_option(second, SO_REUSEADDR, "SO_REUSEADDR");
    try_to_bind(second, &server);
    CHECK(close(second));
    remove_file(&server);
}

/* Both servers live, and both have set the option before bind(). */
static void first_listens(struct address server)
{
    role("first");
    int first = new_socket(&server);
    set_option(first, SO_REUSEADDR, "SO_REUSEADDR");
    bind_first(first, &server);
    CHECK(listen(first, 1));

    role("second");
    int second = new_socket(&server);
    set_option(second, SO_REUSEADDR, "SO_REUSEADDR");
    try_to_bind(second, &server);

    CHECK(close(first));
    CHECK(close(second));
}

/* The same, but the first server is slower: it has called bind(), and not yet
 * listen(), when the second one comes. */
static void first_is_starting(struct address server)
{
    role("first");
    int first = new_socket(&server);
    set_option(first, SO_REUSEADDR, "SO_REUSEADDR");
    bind_first(first, &server);

    role("second");
    int second = new_socket(&server);
    set_option(second, SO_REUSEADDR, "SO_REUSEADDR");
    try_to_bind(second, &server);
    try_to_listen(second);
    role("first");
    try_to_listen(first);

    CHECK(close(first));
    CHECK(close(second));
}

/* A kernel, or a container, need not have this list. */
static void need_list_of_connections(void)
{
    int found = access("/proc/net/tcp", R_OK);

    if (found == -1 && (errno == ENOENT || errno == EACCES))
        skip("this lab reads /proc/net/tcp: try another machine");
    CHECK(found);
}

/* Some machines are told to keep few connections in TIME_WAIT, or none. See
 * tcp(7). A container need not have the file. */
static void need_time_wait(void)
{
    enum { LEFT = 16 };    // more connections than the steps leave behind
    const char *path = "/proc/sys/net/ipv4/tcp_max_tw_buckets";
    int most;

    FILE *limit = fopen(path, "r");
    if (!limit && errno == ENOENT)
        return;
    if (!limit)
        fail("fopen(\"tcp_max_tw_buckets\")", __FILE__, __LINE__);
    int fields = fscanf(limit, "%d", &most);
    if (ferror(limit))
        fail("fscanf()", __FILE__, __LINE__);
    CHECK(fclose(limit));
    if (fields == 1 && most < LEFT)
        skip("this machine keeps too few connections in TIME_WAIT: "
             "sysctl net.ipv4.tcp_max_tw_buckets=1024");
}

int main(void)
{
    need_loopback();
    need_list_of_connections();
    need_time_wait();
    choose_first_port();

    step("Nobody came. When is the address of a server free again?");
    nobody_came(path_address());
    nobody_came(abstract_address());
    nobody_came(loopback_address());

    step("A client came, and all is closed. Does it matter who closed first?");
    restart_after(loopback_address(), SERVER_FIRST);
    restart_after(loopback_address(), CLIENT_FIRST);
    restart_after(abstract_address(), SERVER_FIRST);

    step("A client is still connected. Is the address free?");
    connection_lives(loopback_address());
    connection_lives(abstract_address());

    step("Which of the two servers must set SO_REUSEADDR?");
    with_reuse(loopback_address(), SECOND);
    with_reuse(loopback_address(), FIRST);
    with_reuse(loopback_address(), BOTH);
    with_reuse(path_address(), BOTH);

    step("The first server is alive. What does SO_REUSEADDR change?");
    first_listens(loopback_address());
    first_is_starting(loopback_address());
}
