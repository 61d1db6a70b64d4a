/*
 * 02-sendto-recvfrom -- how do strangers talk without a connection?
 *
 * Each of them has a socket. bind() gives a socket a name. sendto() says to
 * which name a datagram goes, and recvfrom() says from which name it came: that
 * is where the answer goes. A socket without a name can send, but cannot be
 * answered. A datagram for which there is no room makes its sender wait.
 *
 *     ann.sock ----+    the queue of server.sock
 *                  |    +--------------------+--------------------+
 *                  +--> | "cake", bob.sock   | "tea", ann.sock    | --> server
 *                  |    +--------------------+--------------------+
 *     bob.sock ----+
 *
 * See unix(7), bind(2), sendto(2), recvfrom(2).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,              // longer than any text that is sent here
    SMALL_ROOM = 3,         // shorter than some
    NUMBERS = 100,          // that step 4 sends
    SMALL_BUFFER = 16384    // has room for fewer than NUMBERS
};

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};
static const struct sockaddr_un ann_address = {.sun_family = AF_UNIX,
                                               .sun_path = "ann.sock"};
static const struct sockaddr_un bob_address = {.sun_family = AF_UNIX,
                                               .sun_path = "bob.sock"};
static const struct sockaddr_un carol_address = {.sun_family = AF_UNIX,
                                                 .sun_path = "carol.sock"};

/* What recvfrom() tells of the sender: an address, and its length. */
struct sender {
    struct sockaddr_un address;
    socklen_t length;
};

/* The name becomes a file in the current directory. */
static int open_and_bind(const struct sockaddr_un *address)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    CHECK(bind(fd, (const struct sockaddr *)address, sizeof(*address)));
    return fd;
}

/* close() leaves the file there, and the next bind() to this name would fail.
 */
static void close_and_unlink(int fd, const struct sockaddr_un *address)
{
    CHECK(close(fd));
    CHECK(unlink(address->sun_path));
}

/* Print first, then send: afterwards the receiver may print at any time. */
static void send_text(int fd, const char *text, const struct sockaddr_un *to,
                      socklen_t length)
{
    say("sendto(\"%s\", \"%s\") ...", text, to->sun_path);
    CHECK(
        sendto(fd, text, strlen(text), 0, (const struct sockaddr *)to, length));
}

/* Before the call, the length says how much room there is for the address.
 * After the call, it says how long the sender's address is. 0 means that the
 * sender has none, and then nothing was stored. */
static struct sender receive(int fd, size_t room)
{
    struct sender from = {.length = sizeof(from.address)};
    char buf[ROOM];

    int n = CHECK(recvfrom(fd, buf, room, 0, (struct sockaddr *)&from.address,
                           &from.length));
    say("recvfrom(%zu bytes) = %d \"%.*s\" from \"%s\" (%u bytes)", room, n, n,
        buf, from.address.sun_path, from.length);
    return from;
}

/* A client that wants an answer. */
static _Noreturn void ask(const struct sockaddr_un *own, const char *request)
{
    int fd = open_and_bind(own);

    send_text(fd, request, &server_address, sizeof(server_address));
    receive(fd, ROOM);

    close_and_unlink(fd, own);
    _exit(EXIT_SUCCESS);
}

/* bob begins when ann's request is there, and both wait for their answers at
 * the same time. The server answers bob first. It has one socket for both. */
static void two_clients(void)
{
    role("server");
    int server = open_and_bind(&server_address);

    pid_t ann = CHECK(fork());
    if (ann == 0) {
        role("ann");
        CHECK(close(server));
        ask(&ann_address, "tea");
    }
    struct sender first = receive(server, ROOM);

    pid_t bob = CHECK(fork());
    if (bob == 0) {
        role("bob");
        CHECK(close(server));
        ask(&bob_address, "cake");
    }
    struct sender second = receive(server, ROOM);

    send_text(server, "4 euro", &second.address, second.length);
    reap(bob);
    send_text(server, "1 euro", &first.address, first.length);
    reap(ann);

    close_and_unlink(server, &server_address);
}

/* The server receives one request, and tries to answer its sender. */
static void try_to_answer(int server, const char *text)
{
    struct sender from = receive(server, ROOM);

    const char *result =
        RESULT(sendto(server, text, strlen(text), 0,
                      (struct sockaddr *)&from.address, from.length),
               ENOTCONN);
    say("sendto(\"%s\", \"%s\") = %s", text, from.address.sun_path, result);
}

/* The same request twice. Between the two, carol calls bind(). One process
 * plays both carol and the server: the kernel looks at sockets, not at
 * processes. */
static void client_without_name(void)
{
    int server = open_and_bind(&server_address);
    int carol = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("carol");
    send_text(carol, "soup", &server_address, sizeof(server_address));
    role("server");
    try_to_answer(server, "3 euro");

    role("carol");
    int bound = CHECK(bind(carol, (const struct sockaddr *)&carol_address,
                           sizeof(carol_address)));
    say("bind(\"%s\") = %d", carol_address.sun_path, bound);
    send_text(carol, "soup", &server_address, sizeof(server_address));
    role("server");
    try_to_answer(server, "3 euro");

    role("carol");
    receive(carol, ROOM);

    close_and_unlink(carol, &carol_address);
    close_and_unlink(server, &server_address);
}

/* A client that wants no answer. */
static _Noreturn void tell(const struct sockaddr_un *own, const char *text)
{
    int fd = open_and_bind(own);

    send_text(fd, text, &server_address, sizeof(server_address));

    close_and_unlink(fd, own);
    _exit(EXIT_SUCCESS);
}

/* Both clients have sent and exited before the server reads. So both datagrams
 * are in its queue. */
static void one_at_a_time(void)
{
    char buf[SMALL_ROOM];

    role("server");
    int server = open_and_bind(&server_address);

    pid_t ann = CHECK(fork());
    if (ann == 0) {
        role("ann");
        CHECK(close(server));
        tell(&ann_address, "red wine");
    }
    reap(ann);

    pid_t bob = CHECK(fork());
    if (bob == 0) {
        role("bob");
        CHECK(close(server));
        tell(&bob_address, "tea");
    }
    reap(bob);

    receive(server, SMALL_ROOM);
    receive(server, SMALL_ROOM);
    const char *result =
        RESULT(recv(server, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
    say("recv(%zu bytes, MSG_DONTWAIT) = %s", sizeof(buf), result);

    close_and_unlink(server, &server_address);
}

static ssize_t send_number(int fd, int number, int flags)
{
    return sendto(fd, &number, sizeof(number), flags,
                  (const struct sockaddr *)&server_address,
                  sizeof(server_address));
}

/* Sends 1, 2, 3 and so on. Returns the first number that has no room. */
static int send_until_full(int fd)
{
    int number = 1;

    for (;;) {
        ssize_t n = send_number(fd, number, MSG_DONTWAIT);
        if (n == -1 && errno == EAGAIN)
            return number;
        check(n, "sendto()", __FILE__, __LINE__);
        number++;
    }
}

/* recv() is recvfrom() for a program that does not ask who the sender is. */
static _Noreturn void read_numbers(int server)
{
    int received = 0;
    int out_of_order = 0;
    int last = 0;

    say("recv() until number %d has come ...", NUMBERS);
    while (last < NUMBERS) {
        int number = 0;
        int n = CHECK(recv(server, &number, sizeof(number), 0));
        if (n != (int)sizeof(number) || number <= last)
            out_of_order++;
        last = number;
        received++;
    }
    say("received: %d, missing: %d, out of order: %d", received,
        NUMBERS - received, out_of_order);
    _exit(EXIT_SUCCESS);
}

/* The socket of the server has its name, but there is no process that reads.
 * That process is born when the client has filled the queue. The client says
 * what it is about to do before that, so no line of the server can come first.
 * Its send buffer is small, because on some machines the queue takes many more
 * datagrams than are sent here. */
static void nobody_reads(void)
{
    const int size = SMALL_BUFFER;
    int server = open_and_bind(&server_address);
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    CHECK(setsockopt(client, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));

    role("client");
    int number = send_until_full(client);
    say_measured("sendto(number, MSG_DONTWAIT): %d numbers sent", number - 1);
    const char *result =
        RESULT(send_number(client, number, MSG_DONTWAIT), EAGAIN);
    say("sendto(next number, MSG_DONTWAIT) = %s", result);
    say("sendto(next number, 0) ...");

    pid_t child = CHECK(fork());
    if (child == 0) {
        role("server");
        CHECK(close(client));
        read_numbers(server);
    }
    CHECK(close(server));
    int n = CHECK(send_number(client, number, 0));
    say("sendto(next number, 0) = %d", n);
    for (number++; number <= NUMBERS; number++)
        CHECK(send_number(client, number, 0));

    reap(child);
    CHECK(close(client));
    CHECK(unlink(server_address.sun_path));
}

int main(void)
{
    step("Two clients ask one server. Who gets which answer?");
    two_clients();

    step("A client has no name. Where does the answer go?");
    client_without_name();

    step("The buffer is too short. What does the next recvfrom() bring?");
    one_at_a_time();

    step("Nobody reads. What becomes of 100 datagrams?");
    nobody_reads();
}
