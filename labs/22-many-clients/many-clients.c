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
static void take(struct client *c)
{
    ssize_t n = recv(c->fd, c->line + c->len, ROOM - c->len, 0);

    if (n == -1)
        failed(c, "recv()");
    if (n == 0 && c->len > 0)
        say("recv() = 0 inside a line");
    if (n == 0)
        drop(c);
    for (; n > 0; n--) {
        char *byte = &c->line[c->len++];
        *byte = (char)toupper((unsigned char)*byte);
        if (*byte == '\n' || c->len == ROOM)
            c->answer = c->len;
    }
}

/* send() may take a part. What is left moves to the front, and waits. */
static void give(struct client *c)
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

/* poll() ignores a descriptor of -1: a free place, or the listener when there
 * is none. After the last client, another server would wait for the next. */
static void serve(int listener)
{
    struct client clients[PLACES] = {{.fd = -1}, {.fd = -1}, {.fd = -1}};
    struct pollfd polled[PLACES + 1];
    int present = 0;

    do {
        struct client *place = NULL;
        for (int i = PLACES; i-- > 0;) {
            polled[i].fd = clients[i].fd;
            polled[i].events = clients[i].answer > 0 ? POLLOUT : POLLIN;
            if (clients[i].fd == -1)
                place = &clients[i];
        }
        polled[PLACES] =
            (struct pollfd){.fd = place ? listener : -1, .events = POLLIN};
        CHECK(poll(polled, PLACES + 1, -1));
        for (int i = 0; i < PLACES; i++) {
            if (polled[i].revents != 0 && clients[i].answer > 0)
                give(&clients[i]);
            else if (polled[i].revents != 0)
                take(&clients[i]);
            present -= clients[i].fd != polled[i].fd;    // 1 if it was dropped
        }
        if (polled[PLACES].revents != 0) {
            place->fd = CHECK(
                accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
            CHECK(setsockopt(place->fd, SOL_SOCKET, SO_SNDBUF, &(int){1},
                             sizeof(int)));    // the least: step 3 is short
            present++;
        }
    } while (present > 0);
}

struct person {
    const char *name;
    int fd;
};

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
    }
    play(&cast[0], &cast[1], &cast[2]);
    for (int i = 0; i < 3; i++)
        if (cast[i].fd != -1)
            CHECK(close(cast[i].fd));
    reap(server);
    CHECK(unlink(address.sun_path));
}

static void tell(const struct person *p, const char *text)
{
    role(p->name);
    CHECK(send(p->fd, text, strlen(text), MSG_NOSIGNAL));
}

/* What is sent is printed as it is written; and after the answer, if there is
 * to be one: by then the server has said what it has to. */
#define TELL(who, text) (tell(who, text), say("send(%s)", #text))
#define ASK(who, text) (tell(who, text), hear(who, #text))

static void hear(const struct person *p, const char *written)
{
    char line[64] = "";    // longer than any answer

    for (size_t n = 1, len = 0; n > 0 && !strchr(line, '\n'); len += n)
        n = (size_t)CHECK(recv(p->fd, &line[len], sizeof(line) - 1 - len, 0));
    say("send(%s), answer \"%.*s%s\"", written, (int)strcspn(line, "\n"), line,
        strchr(line, '\n') ? "\\n" : "");
}

static void hang_up(struct person *p)
{
    role(p->name);
    say("close()");
    CHECK(close(p->fd));
    p->fd = -1;
}

static void at_once(struct person *ann, struct person *bob, struct person *eve)
{
    role(ann->name);
    say("connect(), and not a word");
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
    const char *result;

    role(ann->name);
    CHECK(setsockopt(ann->fd, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)));
    do {
        tell(bob, "\n");
        CHECK(recv(bob->fd, &(char){0}, 1, 0));
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
    hang_up(ann);    // the server hears of it before it hears eve
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
