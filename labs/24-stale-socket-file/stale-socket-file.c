/*
 * 24-stale-socket-file -- what if the file is already there?
 *
 * bind() makes a file, and only unlink() removes it. A file that is there may
 * be left by a server that is gone, or lead to one that lives. bind() does not
 * tell, connect() may be wrong, and who unlinks it may rob a living server.
 *
 *     client ----> "server.sock" ----> file - - - -> listener  server
 *                  until unlink()                    until close()
 *
 * See unix(7), bind(2), connect(2), unlink(2), link(2), rename(2).
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

/* An address, as bind() and connect() take it, and its length. */
#define AT(path)                                                               \
    ((const struct sockaddr *)&(const struct sockaddr_un){                     \
        .sun_family = AF_UNIX, .sun_path = {path}})
enum { LEN = sizeof(struct sockaddr_un) };

static int new_socket(void)
{
    return CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
}

/* Here one process plays all: the kernel looks at sockets, not at processes. */
static void bind_again(void)
{
    int old = new_socket(), new = new_socket(), on = 1;

    role("old");
    CHECK(setsockopt(old, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    say("with SO_REUSEADDR, bind(\"server.sock\") = %d",
        CHECK(bind(old, AT("server.sock"), LEN)));
    role("new");
    say("bind() = %s", RESULT(bind(new, AT("server.sock"), LEN), EADDRINUSE));
    role("old");
    say("close() = %d", CHECK(close(old)));
    role("new");
    say("bind() = %s", RESULT(bind(new, AT("server.sock"), LEN), EADDRINUSE));
    CHECK(setsockopt(new, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    say("with SO_REUSEADDR, bind() = %s",
        RESULT(bind(new, AT("server.sock"), LEN), EADDRINUSE));
    say("unlink() = %d", CHECK(unlink("server.sock")));
    say("bind() = %d", CHECK(bind(new, AT("server.sock"), LEN)));
    CHECK(close(new));
    CHECK(unlink("server.sock"));
}

/* Here a socket whose connect() has failed may try again. POSIX does not
 * promise that: a portable program takes a new one. */
static void nobody_listens(void)
{
    int client = new_socket(), server = new_socket();

    role("client");
    say("no file: connect() = %s",
        RESULT(connect(client, AT("server.sock"), LEN), ENOENT));
    CHECK(bind(server, AT("server.sock"), LEN));
    CHECK(close(server));
    say("the file of a closed socket: connect() = %s",
        RESULT(connect(client, AT("server.sock"), LEN), ECONNREFUSED));
    say("open() = %s", RESULT(open("server.sock", O_RDWR), ENXIO));
    CHECK(unlink("server.sock"));

    CHECK(close(CHECK(open("server.sock", O_WRONLY | O_CREAT, 0600))));
    say("a regular file: connect() = %s",
        RESULT(connect(client, AT("server.sock"), LEN), ECONNREFUSED));
    CHECK(unlink("server.sock"));
    CHECK(close(client));
}

static int listening(void)
{
    int listener = new_socket();

    int bound = CHECK(bind(listener, AT("server.sock"), LEN));
    int result = CHECK(listen(listener, 8));    // so many may wait
    say("bind(\"server.sock\") = %d, listen() = %d", bound, result);
    return listener;
}

static void reach(const char *call, const struct sockaddr *addr)
{
    struct sockaddr_un name = {0};
    socklen_t len = sizeof(name);
    int client = new_socket();

    int result = CHECK(connect(client, addr, LEN));
    CHECK(getpeername(client, (struct sockaddr *)&name, &len));
    say("%s = %d, getpeername() \"%s\"", call, result, name.sun_path);
    CHECK(close(client));
}

/* A hard link is one more name of the file, a symbolic link one of a name. */
static void other_names(void)
{
    role("server");
    int listener = listening();
    role("client");
    int client = new_socket(), new = new_socket();
    say("open(\"server.sock\") = %s",
        RESULT(open("server.sock", O_RDWR), ENXIO));
    CHECK(link("server.sock", "hard.sock"));
    reach("link(), connect(\"hard.sock\")", AT("hard.sock"));
    CHECK(symlink("server.sock", "soft.sock"));
    reach("symlink(), connect(\"soft.sock\")", AT("soft.sock"));
    CHECK(rename("server.sock", "moved.sock"));
    reach("rename(), connect(\"moved.sock\")", AT("moved.sock"));
    say("connect(\"soft.sock\") = %s",
        RESULT(connect(client, AT("soft.sock"), LEN), ENOENT));
    role("new");
    say("bind(\"soft.sock\") = %s",
        RESULT(bind(new, AT("soft.sock"), LEN), EADDRINUSE));
    CHECK(close(client));
    CHECK(close(new));
    CHECK(close(listener));
    CHECK(unlink("hard.sock"));
    CHECK(unlink("soft.sock"));
    CHECK(unlink("moved.sock"));
}

/* It leaves its name in the queue, so that a server can say whom it has got. */
static void call(const char *name)
{
    int client = new_socket();

    role(name);
    say("connect() = %d", CHECK(connect(client, AT("server.sock"), LEN)));
    CHECK(write(client, name, strlen(name)));
    CHECK(close(client));
}

static void answer(const char *who, int listener)
{
    char name[16];

    role(who);
    int peer = CHECK(accept(listener, NULL, NULL));
    ssize_t n = CHECK(read(peer, name, sizeof(name)));
    say("accept(), read() = %zd \"%.*s\"", n, (int)n, name);
    CHECK(close(peer));
}

static void wait_in_vain(const char *who, int listener)
{
    role(who);
    CHECK(fcntl(listener, F_SETFL, O_NONBLOCK));    // or accept() would wait
    say("accept() = %s", RESULT(accept(listener, NULL, NULL), EAGAIN));
}

static void unlink_first(void)
{
    role("old");
    int old = listening();
    call("ann");
    role("new");
    say("unlink() = %d", CHECK(unlink("server.sock")));
    int new = listening();
    call("bob");
    answer("old", old);
    wait_in_vain("old", old);
    answer("new", new);

    /* The old server ends, and tidies up. But that is not its file. */
    role("old");
    say("close() = %d", CHECK(close(old)));
    say("unlink() = %d", CHECK(unlink("server.sock")));
    int client = new_socket();
    role("eve");
    say("connect() = %s",
        RESULT(connect(client, AT("server.sock"), LEN), ENOENT));
    wait_in_vain("new", new);
    CHECK(close(client));
    CHECK(close(new));
}

/* It takes two calls to start. Between them, a living server looks dead. */
static void ask_first(void)
{
    int old = new_socket(), probe = new_socket();

    role("old");
    say("bind() = %d", CHECK(bind(old, AT("server.sock"), LEN)));
    role("new");
    say("connect() = %s",
        RESULT(connect(probe, AT("server.sock"), LEN), ECONNREFUSED));
    say("unlink() = %d", CHECK(unlink("server.sock")));
    int new = listening();
    role("old");
    say("listen() = %d", CHECK(listen(old, 8)));
    call("ann");
    wait_in_vain("old", old);
    answer("new", new);
    CHECK(close(probe));
    CHECK(close(old));
    CHECK(close(new));
    CHECK(unlink("server.sock"));
}

int main(void)
{
    step("When may a server bind again?");
    bind_again();

    step("What does a client meet where nobody listens?");
    nobody_listens();

    step("Which other names lead to a server?");
    other_names();

    step("unlink() before bind(): who gets the next client?");
    unlink_first();

    step("Does connect() tell whether a server is gone?");
    ask_first();
}
