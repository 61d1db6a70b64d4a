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
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,             // longer than any text that is sent here
    SMALL_ROOM = 3,        // shorter than "red wine", and than "milk"
    NUMBERS = 100,         // so many numbers are sent in step 5
    SMALL_BUFFER = 8192    // a send buffer that is full before all are sent
};

/* The size of sun_path. A path of 108 letters fills it: then no zero byte is
 * behind the path. A client of another program may have such a path. "%.*s"
 * with this size prints up to a zero byte, and never more. */
enum {
    PATH_ROOM =
        sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path)
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

/* close() leaves the file there. If it stayed, the next bind() would fail. */
static void close_and_unlink(int fd, const struct sockaddr_un *address)
{
    CHECK(close(fd));
    CHECK(unlink(address->sun_path));
}

/* Print before you send: when the text is sent, the receiver may print. */
static void send_text(int fd, const char *text, const struct sockaddr_un *to,
                      socklen_t length)
{
    const struct sockaddr *address = (const struct sockaddr *)to;

    say("sendto(\"%s\", \"%.*s\") ...", text, PATH_ROOM, to->sun_path);
    CHECK(sendto(fd, text, strlen(text), 0, address, length));
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
    say("recvfrom(%zu bytes) = %d \"%.*s\" from \"%.*s\", %u bytes", room, n, n,
        buf, PATH_ROOM, from.address.sun_path, from.length);
    return from;
}

/* A client that wants an answer. _Noreturn: this function ends in _exit(). */
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

/* Sends to where a request came from. Some of these calls fail: the step
 * decides which error it expects. */
static ssize_t send_answer(int server, const char *text,
                           const struct sender *to)
{
    return sendto(server, text, strlen(text), 0,
                  (const struct sockaddr *)&to->address, to->length);
}

static void say_answer(const char *text, const struct sender *to,
                       const char *result)
{
    say("sendto(\"%s\", \"%.*s\") = %s", text, PATH_ROOM, to->address.sun_path,
        result);
}

/* One process plays both carol and the server, because the kernel looks at
 * sockets, not at processes. carol sends the same request twice. Between the
 * two she calls bind(). */
static void client_without_name(void)
{
    const char *text = "3 euro";
    int server = open_and_bind(&server_address);
    int carol = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("carol");
    send_text(carol, "soup", &server_address, sizeof(server_address));
    role("server");
    struct sender from = receive(server, ROOM);
    const char *result = RESULT(send_answer(server, text, &from), ENOTCONN);
    say_answer(text, &from, result);

    role("carol");
    int bound = CHECK(bind(carol, (const struct sockaddr *)&carol_address,
                           sizeof(carol_address)));
    say("bind(\"%s\") = %d", carol_address.sun_path, bound);

    send_text(carol, "soup", &server_address, sizeof(server_address));
    role("server");
    from = receive(server, ROOM);
    result = RESULT(send_answer(server, text, &from), ENOTCONN);
    say_answer(text, &from, result);
    role("carol");
    receive(carol, ROOM);

    close_and_unlink(carol, &carol_address);
    close_and_unlink(server, &server_address);
}

/* ann exits before the server reads. The kernel closes her socket, and her file
 * stays until the server removes it. */
static void client_is_gone(void)
{
    const char *text = "1 euro";

    role("server");
    int server = open_and_bind(&server_address);

    pid_t ann = CHECK(fork());
    if (ann == 0) {
        role("ann");
        CHECK(close(server));
        int fd = open_and_bind(&ann_address);

        send_text(fd, "tea", &server_address, sizeof(server_address));
        say("exit ...");
        _exit(EXIT_SUCCESS);
    }
    reap(ann);

    struct sender from = receive(server, ROOM);
    const char *result = RESULT(send_answer(server, text, &from), ECONNREFUSED);
    say_answer(text, &from, result);

    int removed = CHECK(unlink(ann_address.sun_path));
    say("unlink(\"%s\") = %d", ann_address.sun_path, removed);
    result = RESULT(send_answer(server, text, &from), ENOENT);
    say_answer(text, &from, result);

    close_and_unlink(server, &server_address);
}

/* One process plays both dave and the server. Both datagrams have been sent
 * when the server begins to receive. */
static void short_buffer(void)
{
    int server = open_and_bind(&server_address);
    int dave = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("dave");
    send_text(dave, "red wine", &server_address, sizeof(server_address));
    send_text(dave, "milk", &server_address, sizeof(server_address));

    role("server");
    receive(server, SMALL_ROOM);
    receive(server, SMALL_ROOM);

    CHECK(close(dave));
    close_and_unlink(server, &server_address);
}

static ssize_t send_number(int fd, int number, int flags)
{
    return sendto(fd, &number, sizeof(number), flags,
                  (const struct sockaddr *)&server_address,
                  sizeof(server_address));
}

/* Returns 0 if there is no room for the number: in the loop below, this is no
 * failure. */
static ssize_t send_if_room(int fd, int number)
{
    ssize_t n = send_number(fd, number, MSG_DONTWAIT);

    if (n == -1 && errno == EAGAIN)
        return 0;
    return n;
}

/* Returns the first number for which there was no room. */
static int send_until_full(int client)
{
    int number = 0;
    int n;

    do {
        number++;
        n = CHECK(send_if_room(client, number));
    } while (n > 0);
    return number;
}

/* recv() is recvfrom() for a program that does not ask who the sender is. */
static void receive_numbers(int server)
{
    int count = 0;
    int bytes = 0;
    int out_of_sequence = 0;    // not the number before, plus 1
    int last = 0;

    say("recv() until number %d has come ...", NUMBERS);
    while (last < NUMBERS) {
        int number = 0;
        int n = CHECK(recv(server, &number, sizeof(number), 0));
        bytes += n;
        count++;
        if (number != last + 1)
            out_of_sequence++;
        last = number;
    }
    say("received: %d numbers, %d bytes, out of sequence: %d", count, bytes,
        out_of_sequence);
}

/* The child is the server. The client goes on, and closes its own descriptor of
 * the server's socket. */
static pid_t start_server(int server, int client)
{
    pid_t child = CHECK(fork());

    if (child == 0) {
        role("server");
        CHECK(close(client));
        receive_numbers(server);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(server));
    return child;
}

/* The server's socket has its name, but the process that reads from it is
 * started only when the queue is full, just before the client's sendto(k, 0).
 * The client first says what it is about to do, so that no line of the server
 * can come first.
 *
 * On some machines the queue takes more than NUMBERS datagrams. There the
 * client's send buffer, which setsockopt() makes small, is full before the
 * queue is: until a datagram is received, the kernel counts it, and several
 * hundred bytes more, in the buffer of its sender. */
static void nobody_reads(void)
{
    const int size = SMALL_BUFFER;
    int server = open_and_bind(&server_address);
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));
    CHECK(setsockopt(client, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));

    role("client");
    int k = send_until_full(client);
    say_measured("the first number without room: k = %d", k);

    /* send_until_full() has tried k already, and does not print the error. */
    const char *result = RESULT(send_number(client, k, MSG_DONTWAIT), EAGAIN);
    say("sendto(k, MSG_DONTWAIT) = %s", result);

    say("sendto(k, 0) ...");
    pid_t reader = start_server(server, client);
    int n = CHECK(send_number(client, k, 0));
    say("sendto(k, 0) = %d", n);
    for (int number = k + 1; number <= NUMBERS; number++)
        CHECK(send_number(client, number, 0));

    reap(reader);
    CHECK(close(client));
    CHECK(unlink(server_address.sun_path));
}

int main(void)
{
    step("Two clients ask one server. Who gets which answer?");
    two_clients();

    step("A client has no name. Where does the answer go?");
    client_without_name();

    step("A client has gone. Where does the answer go?");
    client_is_gone();

    step("The buffer is too short. What does the next recvfrom() bring?");
    short_buffer();

    step("Nobody reads. What becomes of the datagrams?");
    nobody_reads();
}
