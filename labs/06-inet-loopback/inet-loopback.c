/*
 * 06-inet-loopback -- what changes when the address is 127.0.0.1?
 *
 * The address does, and the calls do not. In AF_UNIX a client that did not call
 * bind() has no address. In AF_INET each socket that sends has a port, because
 * the answer comes in packets, and each packet says where it should go. If the
 * program chooses no port, the kernel does.
 *
 *     AF_UNIX    client (no address)           server.sock        server
 *     AF_INET    client 127.0.0.1 port Q       127.0.0.1 port P   server
 *
 * See unix(7), ip(7), tcp(7), udp(7), bind(2), accept(2), getsockname(2).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"
#include "../../common/loopback.h"

/* An address of either family: `any`, `un` and `in` are the same bytes. bind(),
 * connect(), accept() and the others take `any`, and the length beside it. The
 * largest is `un`: there is as much room for an address as `un` has. The union
 * has no name, so one writes address.un, as if `un` were in the structure. */
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

static in_port_t ports[8];
static size_t ports_met;

/* Ports differ on each run. So the first one that is met is printed as P, the
 * second as Q, and so on. open_server() begins again with P. */
static char letter_of(in_port_t port)
{
    size_t i = 0;

    if (port == 0)
        return '0';
    while (i < ports_met && ports[i] != port)
        i++;
    if (i == ports_met && i < ARRAY_LEN(ports))
        ports[ports_met++] = port;
    return (char)('P' + i);
}

/* An address as text, until the next call of this function. inet_ntop() writes
 * an IP address as text, such as 127.0.0.1. A path may fill all of
 * sun_path, and then there is no zero behind it. */
static const char *text_of(const struct address *address)
{
    static char text[160];
    char dotted[INET_ADDRSTRLEN];

    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->in.sin_addr, dotted, sizeof(dotted));
        snprintf(text, sizeof(text), "%s port %c, %u bytes", dotted,
                 letter_of(address->in.sin_port), address->length);
    } else {
        snprintf(text, sizeof(text), "\"%.*s\", %u bytes",
                 (int)sizeof(address->un.sun_path), address->un.sun_path,
                 address->length);
    }
    return text;
}

/* The address that the socket itself has. `name` is what fd is called in the
 * caller. */
static void say_address_of(const char *name, int fd)
{
    struct address own = {.length = sizeof(struct sockaddr_un)};

    CHECK(getsockname(fd, &own.any, &own.length));
    say("getsockname(%s) -> %s", name, text_of(&own));
}

/* Opens a server. Afterwards *server is the address that it has got. */
static int open_server(struct address *server, int type)
{
    role("server");
    ports_met = 0;
    int fd = CHECK(socket(server->any.sa_family, type, 0));
    say("bind(%s) ...", text_of(server));
    CHECK(bind(fd, &server->any, server->length));

    CHECK(getsockname(fd, &server->any, &server->length));
    if (type == SOCK_STREAM)
        CHECK(listen(fd, 2));    // room for two clients before accept()
    return fd;
}

/* The file of a path stays when its socket is closed. A port has no file. */
static void close_server(int fd, const struct address *server)
{
    CHECK(close(fd));
    if (server->any.sa_family == AF_UNIX)
        CHECK(unlink(server->un.sun_path));
}

static int connect_to(const struct address *server)
{
    int fd = CHECK(socket(server->any.sa_family, SOCK_STREAM, 0));

    say("connect(%s) ...", text_of(server));
    CHECK(connect(fd, &server->any, server->length));
    return fd;
}

static void read_text(const char *name, int fd)
{
    char buf[64];    // longer than anything that is sent here
    int n = CHECK(read(fd, buf, sizeof(buf)));

    say("read(%s) = %d \"%.*s\"", name, n, n, buf);
}

static _Noreturn void ask(const struct address *server, const char *question)
{
    role("client");
    int to_server = connect_to(server);

    say("write(\"%s\"), shutdown(SHUT_WR) ...", question);
    CHECK(write(to_server, question, strlen(question)));
    CHECK(shutdown(to_server, SHUT_WR));
    read_text("to_server", to_server);
    read_text("to_server", to_server);
    _exit(EXIT_SUCCESS);
}

static void answer(int listener, const char *text)
{
    int to_client = CHECK(accept(listener, NULL, NULL));

    read_text("to_client", to_client);
    read_text("to_client", to_client);
    say("write(\"%s\"), close() ...", text);
    CHECK(write(to_client, text, strlen(text)));
    CHECK(close(to_client));
}

/* ask() and answer() decide nothing by the family. ask() hands the address to
 * connect_to(), which hands its family to socket(). */
static void dialogue(struct address server)
{
    int listener = open_server(&server, SOCK_STREAM);

    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(listener));
        ask(&server, "6 times 7");
    }
    answer(listener, "42");
    reap(child);

    close_server(listener, &server);
}

/* Another server, while the first one has its address. */
static int try_to_bind(const char *who, const struct address *address)
{
    role(who);
    int fd = CHECK(socket(address->any.sa_family, SOCK_STREAM, 0));
    const char *result =
        RESULT(bind(fd, &address->any, address->length), EADDRINUSE);
    say("bind(%s) = %s", text_of(address), result);
    return fd;
}

static void second_server_and_a_path(void)
{
    struct address path = path_address();
    struct address server = path;

    int listener = open_server(&server, SOCK_STREAM);
    int second = try_to_bind("second", &path);

    CHECK(close(second));
    close_server(listener, &server);
}

/* The server asks for any port. The others ask for the port that it has got.
 * The third one closes its socket before the fourth one tries: then port P is
 * taken at 127.0.0.1 and nowhere else. */
static void other_servers_and_a_port(void)
{
    struct address server = loopback_address();

    int listener = open_server(&server, SOCK_STREAM);
    say_address_of("listener", listener);

    struct address wanted = server;
    int second = try_to_bind("second", &wanted);
    wanted.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);    // 127.0.0.2
    int third = try_to_bind("third", &wanted);
    int closed = CHECK(close(third));
    say("close(third) = %d", closed);
    wanted.in.sin_addr.s_addr = htonl(INADDR_ANY);    // 0.0.0.0
    int fourth = try_to_bind("fourth", &wanted);

    CHECK(close(fourth));
    CHECK(close(second));
    close_server(listener, &server);
}

/* One process plays both. Nobody calls accept(): connect() does not wait for
 * it. */
static void client_without_bind(struct address server)
{
    int listener = open_server(&server, SOCK_STREAM);

    role("client");
    int to_server = CHECK(socket(server.any.sa_family, SOCK_STREAM, 0));
    say_address_of("to_server", to_server);
    say("connect(%s) ...", text_of(&server));
    CHECK(connect(to_server, &server.any, server.length));
    say_address_of("to_server", to_server);

    CHECK(close(to_server));
    close_server(listener, &server);
}

static int accept_client(const char *name, int listener)
{
    struct address client = {.length = sizeof(struct sockaddr_un)};

    int fd = CHECK(accept(listener, &client.any, &client.length));
    say("accept() -> %s", text_of(&client));
    say_address_of(name, fd);
    return fd;
}

static void write_text(int fd, const char *text)
{
    say("write(\"%s\") ...", text);
    CHECK(write(fd, text, strlen(text)));
}

/* One process plays all three. ann connects first, and bob writes first: each
 * text is read from the socket of its own connection, whatever came before. */
static void two_clients(struct address server)
{
    int listener = open_server(&server, SOCK_STREAM);
    role("ann");
    int ann = connect_to(&server);
    role("bob");
    int bob = connect_to(&server);

    role("server");
    int first = accept_client("first", listener);
    int second = accept_client("second", listener);

    role("bob");
    write_text(bob, "I am bob");
    role("ann");
    write_text(ann, "I am ann");
    role("server");
    read_text("first", first);
    read_text("second", second);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(first));
    CHECK(close(second));
    close_server(listener, &server);
}

/* Datagrams: there is no connection by which an answer could go back. */
static void answer_a_datagram(struct address server)
{
    const char *question = "6 times 7";
    const char *text = "42";
    struct address from = {.length = sizeof(struct sockaddr_un)};
    char buf[64];

    int fd = open_server(&server, SOCK_DGRAM);

    role("client");
    int client = CHECK(socket(server.any.sa_family, SOCK_DGRAM, 0));
    say_address_of("client", client);
    say("sendto(\"%s\", %s) ...", question, text_of(&server));
    CHECK(sendto(client, question, strlen(question), 0, &server.any,
                 server.length));
    say_address_of("client", client);

    role("server");
    int n = CHECK(recvfrom(fd, buf, sizeof(buf), 0, &from.any, &from.length));
    say("recvfrom() = %d \"%.*s\" from %s", n, n, buf, text_of(&from));
    const char *result = RESULT(
        sendto(fd, text, strlen(text), 0, &from.any, from.length), ENOTCONN);
    say("sendto(\"%s\", from) = %s", text, result);

    if (from.length > 0) {    // 0 over AF_UNIX: no answer was sent
        role("client");
        read_text("client", client);
    }

    CHECK(close(client));
    close_server(fd, &server);
}

/* Step 2 needs a second address of this machine. */
static void need_second_address(void)
{
    struct address second = loopback_address();
    int fd = CHECK(socket(AF_INET, SOCK_DGRAM, 0));

    second.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);    // 127.0.0.2
    int result = bind(fd, &second.any, second.length);
    if (result == -1 && errno == EADDRNOTAVAIL)
        skip("127.0.0.2 is no address of this machine: "
             "ip addr add 127.0.0.2/8 dev lo");
    CHECK(result);
    CHECK(close(fd));
}

int main(void)
{
    need_loopback();
    need_second_address();

    step("Which lines of a dialogue change?");
    dialogue(path_address());
    dialogue(loopback_address());

    step("Who else can have the address of a server?");
    second_server_and_a_path();
    other_servers_and_a_port();

    step("Which address does a client have that did not ask for one?");
    client_without_bind(path_address());
    client_without_bind(loopback_address());

    step("Two clients: by what can the server tell them apart?");
    two_clients(path_address());
    two_clients(loopback_address());

    step("Can a client that did not bind be answered?");
    answer_a_datagram(path_address());
    answer_a_datagram(loopback_address());
}
