/*
 * 22-many-clients -- how does one process serve many clients?
 *
 * It waits for all of them in one poll(), and keeps a struct for each: what
 * has come of a line, what is still to be sent. It never waits for one alone,
 * and an error on a client's socket is the end of that client only.
 *
 *     ann  fd <=====================> clients[0].fd  server
 *     bob  fd <=====================> clients[1].fd
 *     eve  fd ---- server.sock ---->  listener
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

enum { PLACES = 3, ROOM = 16 };

static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                           .sun_path = "server.sock"};

struct client {
    int fd;           // -1: this place is free
    size_t len;       // so many bytes of line are in use,
    size_t answer;    // and the first so many of them are to be sent
    char line[ROOM];
};

static void drop(struct client *c)
{
    CHECK(close(c->fd));
    *c = (struct client){.fd = -1};
}

/* A client may vanish at any time. Any other error would be the server's. */
static void failed(struct client *c, const char *call)
{
    if (errno == EAGAIN)
        return;    // later, then: poll() will say when
    if (errno != EPIPE && errno != ECONNRESET)
        fail(call, __FILE__, __LINE__);
    say("%s = -1 %s", call, errno == EPIPE ? "EPIPE" : "ECONNRESET");
    drop(c);
}

/* A whole line is answered; so is what fills the room. It must not stay full:
 * a recv() without room returns 0, and would be taken for the end of file. */
static void receive(struct client *c)
{
    ssize_t n = recv(c->fd, c->line + c->len, ROOM - c->len, 0);

    if (n == -1) {
        failed(c, "recv()");
        return;
    }
    if (n == 0) {
        if (c->len > 0)
            say("recv() = %zd inside a line", n);
        drop(c);
        return;
    }

    for (ssize_t i = 0; i < n; i++) {
        char byte = (char)toupper((unsigned char)c->line[c->len]);

        c->line[c->len] = byte;
        c->len++;
        if (byte == '\n' || c->len == ROOM)
            c->answer = c->len;
    }
}

/* send() may take a part. What is left moves to the front, and waits. */
static void send_answer(struct client *c)
{
    ssize_t n = send(c->fd, c->line, c->answer, MSG_NOSIGNAL);

    if (n == -1) {
        failed(c, "send()");
        return;
    }
    c->answer -= (size_t)n;
    c->len -= (size_t)n;
    memmove(c->line, c->line + n, c->len);
}

static struct client *free_place(struct client clients[])
{
    for (int i = 0; i < PLACES; i++)
        if (clients[i].fd == -1)
            return &clients[i];
    return NULL;
}

static int count_clients(const struct client clients[])
{
    int count = 0;

    for (int i = 0; i < PLACES; i++)
        if (clients[i].fd != -1)
            count++;
    return count;
}

static void admit(int listener, struct client *place)
{
    int fd = CHECK(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    const int least = 1;    // less than the kernel allows: it takes that

    /* A small send buffer: step 3 is short. */
    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)));
    place->fd = fd;
}

/* What to wait for: of a client, either that its answer can be sent or that its
 * next line comes. poll() passes over a descriptor of -1: a free place, or the
 * listener while there is no free place. */
static void wait_for_all(int listener, const struct client clients[],
                         struct pollfd polled[])
{
    for (int i = 0; i < PLACES; i++) {
        polled[i].fd = clients[i].fd;
        polled[i].events = clients[i].answer > 0 ? POLLOUT : POLLIN;
    }
    polled[PLACES].fd = listener;
    polled[PLACES].events = POLLIN;

    CHECK(poll(polled, PLACES + 1, -1));
}

/* After the last client it returns; another server would wait for the next. */
static void serve(int listener)
{
    struct client clients[PLACES] = {{.fd = -1}, {.fd = -1}, {.fd = -1}};
    struct pollfd polled[PLACES + 1];

    do {
        struct client *place = free_place(clients);

        wait_for_all(place ? listener : -1, clients, polled);

        for (int i = 0; i < PLACES; i++) {
            if (polled[i].revents == 0)
                continue;
            if (clients[i].answer > 0)
                send_answer(&clients[i]);
            else
                receive(&clients[i]);
        }

        if (polled[PLACES].revents != 0)
            admit(listener, place);
    } while (count_clients(clients) > 0);
}

struct person {
    const char *name;
    int fd;
};

static void tell(const struct person *p, const char *text)
{
    role(p->name);
    CHECK(send(p->fd, text, strlen(text), MSG_NOSIGNAL));
}

/* What is sent is printed as it is written; and after the answer, if there is
 * to be one: by then the server has said what it has to. */
#define TELL(who, text) (tell(who, text), say("send(%s)", #text))
#define ASK(who, text) (tell(who, text), hear(who, #text))

/* Reads byte by byte, so that nothing of the next answer is taken. */
static void hear(const struct person *p, const char *written)
{
    char line[64];    // longer than any answer
    size_t len = 0;
    char byte = '\0';

    while (byte != '\n' && len < sizeof(line)) {
        if (CHECK(recv(p->fd, &byte, 1, 0)) == 0)
            break;
        line[len] = byte;
        len++;
    }
    if (byte == '\n')
        say("send(%s), answer \"%.*s\\n\"", written, (int)len - 1, line);
    else
        say("send(%s), answer \"%.*s\"", written, (int)len, line);
}

/* An empty line, and its answer, about which nothing is said. */
static void exchange(const struct person *p)
{
    char byte = '\0';

    tell(p, "\n");
    ssize_t n = CHECK(recv(p->fd, &byte, 1, 0));
    if (n != 1 || byte != '\n')
        say("recv() = %zd, and it is no empty line", n);
}

static void hang_up(struct person *p)
{
    role(p->name);
    say("close()");
    CHECK(close(p->fd));
    p->fd = -1;
}

/* Who has an answer has been accepted, and has its place: ann the first, bob
 * the second, eve the third. In this order the server looks at them. So when a
 * client is answered, those before it have been seen to, and what the server
 * said of them has been printed. */
static void scene(void (*play)(struct person *ann, struct person *bob,
                               struct person *eve))
{
    const struct sockaddr *name = (const struct sockaddr *)&address;
    struct person cast[] = {{"ann", -1}, {"bob", -1}, {"eve", -1}};
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(bind(listener, name, sizeof(address)));
    CHECK(listen(listener, 8));
    pid_t server = CHECK(fork());
    if (server == 0) {
        role("server");
        serve(listener);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(listener));

    for (int i = 0; i < 3; i++) {
        cast[i].fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
        CHECK(connect(cast[i].fd, name, sizeof(address)));
        exchange(&cast[i]);
    }
    play(&cast[0], &cast[1], &cast[2]);

    for (int i = 0; i < 3; i++)
        if (cast[i].fd != -1)
            CHECK(close(cast[i].fd));
    reap(server);
    CHECK(unlink(address.sun_path));
}

static void at_once(struct person *ann, struct person *bob, struct person *eve)
{
    role(ann->name);
    say("is connected, and says nothing ...");
    ASK(eve, "jam\n");
    ASK(bob, "cake\n");
    ASK(ann, "tea\n");
}

static void pieces(struct person *ann, struct person *bob, struct person *eve)
{
    TELL(ann, "he");
    ASK(bob, "now\n");
    role(ann->name);
    say("recv(MSG_DONTWAIT) = %s",
        RESULT(recv(ann->fd, &(char){0}, 1, MSG_DONTWAIT), EAGAIN));
    ASK(ann, "llo\nwho is");
    ASK(ann, " there\n");
    ASK(eve, "longer than sixteen\n");
}

/* Until bob is answered, the server has seen to ann, too. So what she sends
 * piles up only when the server no longer reads her. */
static void greedy(struct person *ann, struct person *bob, struct person *eve)
{
    const int least = 1;
    const char *result;

    role(ann->name);
    CHECK(setsockopt(ann->fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)));
    do {
        exchange(bob);
        role(ann->name);
        result = RESULT(send(ann->fd, "more\n", 5, MSG_DONTWAIT), EAGAIN);
    } while (result[0] != '-');
    say("send(\"more\\n\", MSG_DONTWAIT), again and again: %s", result);
    ASK(eve, "cake\n");
    hang_up(ann);
}

static void vanish(struct person *ann, struct person *bob, struct person *eve)
{
    TELL(ann, "te");
    hang_up(ann);    // the server looks at her before it answers eve
    ASK(eve, "jam\n");
    TELL(bob, "cake\n");
    ASK(eve, "tea\n");    // bob's answer has come before hers
    hang_up(bob);
    ASK(eve, "more jam\n");
}

int main(void)
{
    step("Three clients at once: who waits for whom?");
    scene(at_once);

    step("What if a line comes in pieces, or does not fit?");
    scene(pieces);

    step("What if a client does not read its answers?");
    scene(greedy);

    step("What if a client vanishes?");
    scene(vanish);
}
