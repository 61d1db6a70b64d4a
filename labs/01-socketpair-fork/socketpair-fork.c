/*
 * 01-socketpair-fork -- how do a parent and its child talk over one pair?
 *
 * A pair is two sockets, each connected to the other and to nothing else; each
 * reads and writes. fork() copies the descriptors, not the sockets: a socket
 * is closed when its last copy is, and only then does the peer see the end.
 *
 *     parent  sv[0] <================> sv[1]  child
 *
 * See socketpair(2), fork(2), shutdown(2), unix(7).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/lab.h"

static void receive(int end)
{
    char buf[64];    // longer than anything that is sent here
    ssize_t n = CHECK(read(end, buf, sizeof(buf)));

    if (n > 0)
        say("read() = %zd \"%.*s\"", n, (int)n, buf);
    else
        say("read() = 0, end of file");
}

/* It speaks before it writes: the peer's next line can only come after it. */
static void transmit(int end, const char *text)
{
    say("write(\"%s\")", text);
    CHECK(write(end, text, strlen(text)));
}

static void both_directions(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(sv[0]));    // or the child would keep the parent's end open
        role("child");
        receive(sv[1]);
        transmit(sv[1], "fine, thanks");
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));

    role("parent");
    transmit(sv[0], "how are you?");
    receive(sv[0]);
    reap(child);
    CHECK(close(sv[0]));
}

/* The parent writes before there is a child, and reads after it is gone. */
static void both_at_once(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    role("parent");
    transmit(sv[0], "from above");
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(sv[0]));
        role("child");
        transmit(sv[1], "from below");
        receive(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));

    reap(child);
    receive(sv[0]);
    CHECK(close(sv[0]));
}

static void no_name(void)
{
    struct sockaddr_storage name;
    socklen_t own = sizeof(name), peers = sizeof(name);
    socklen_t len = sizeof(int);
    int sv[2], domain, type;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK(getsockname(sv[0], (struct sockaddr *)&name, &own));
    CHECK(getpeername(sv[0], (struct sockaddr *)&name, &peers));
    CHECK(getsockopt(sv[0], SOL_SOCKET, SO_DOMAIN, &domain, &len));
    CHECK(getsockopt(sv[0], SOL_SOCKET, SO_TYPE, &type, &len));

    role("parent");
    say("getsockname(): %u bytes, the family alone", own);
    say("getpeername(): %u bytes, so it is connected", peers);
    say("SO_DOMAIN is AF_UNIX: %s", domain == AF_UNIX ? "yes" : "no");
    say("SO_TYPE is SOCK_STREAM: %s", type == SOCK_STREAM ? "yes" : "no");
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void last_copy(void)
{
    int sv[2], status;
    char byte;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(sv[0]));
        role("child");
        receive(sv[1]);
        _exit(7);    // and the kernel closes sv[1]
    }
    role("parent");
    say("close(sv[1]) = %d", CHECK(close(sv[1])));
    say("recv(MSG_DONTWAIT) = %s",
        RESULT(recv(sv[0], &byte, 1, MSG_DONTWAIT), EAGAIN));
    transmit(sv[0], "you may go");
    CHECK(waitpid(child, &status, 0));
    say("waitpid(): exited: %s, with status %d",
        WIFEXITED(status) ? "yes" : "no", WEXITSTATUS(status));
    receive(sv[0]);
    CHECK(close(sv[0]));
}

static void half_close(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(sv[0]));
        role("child");
        receive(sv[1]);
        receive(sv[1]);
        transmit(sv[1], "42");
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));

    role("parent");
    say("write(\"6 times 7\"), then shutdown(SHUT_WR)");
    CHECK(write(sv[0], "6 times 7", 9));
    CHECK(shutdown(sv[0], SHUT_WR));
    receive(sv[0]);
    receive(sv[0]);
    reap(child);
    CHECK(close(sv[0]));
}

static void elder(int end)
{
    role("elder");
    transmit(end, "is it you?");
    receive(end);
    _exit(EXIT_SUCCESS);
}

static void younger(int end)
{
    role("younger");
    receive(end);
    transmit(end, "yes");
    _exit(EXIT_SUCCESS);
}

static void two_children(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t first = CHECK(fork());
    if (first == 0) {
        CHECK(close(sv[1]));
        elder(sv[0]);
    }
    pid_t second = CHECK(fork());
    if (second == 0) {
        CHECK(close(sv[0]));
        younger(sv[1]);
    }
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));

    reap(first);
    reap(second);
}

static void other_family(void)
{
    int sv[2] = {-1, -1};

    role("parent");
    say("socketpair(AF_INET) = %s",
        RESULT(socketpair(AF_INET, SOCK_STREAM, 0, sv), EOPNOTSUPP));
    say("sv[] is as it was: %s", sv[0] == -1 && sv[1] == -1 ? "yes" : "no");
}

int main(void)
{
    step("Which end is for reading, and which for writing?");
    both_directions();

    step("May both sides send before either receives?");
    both_at_once();

    step("What are the names of the two ends?");
    no_name();

    step("When does end of file come?");
    last_copy();

    step("Can one direction end alone?");
    half_close();

    step("Must one of the two be the parent?");
    two_children();

    step("Are there pairs of other families?");
    other_family();
}
