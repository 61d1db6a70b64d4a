/*
 * 41-who-is-calling -- how does a server know who is calling?
 *
 * accept() makes a new socket for each client, and tells the name that the
 * client has bound. The owner of that file was once taken for the caller, but
 * a file can be swapped. SO_PEERCRED is what the kernel noted at connect().
 *
 *     ann  ann.sock ---- server.sock ----> listener  server
 *                   <====================> peer
 *     eve  eve.sock <====================> another peer
 *
 * See unix(7), accept(2), lstat(2), getsockopt(2).
 */
#define _GNU_SOURCE    // for struct ucred
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

static const struct sockaddr_un server_addr = {.sun_family = AF_UNIX,
                                               .sun_path = "server.sock"};
static const struct client {
    const char *name;
    struct sockaddr_un addr;    // its own: an empty path for none
} ann = {"ann", {.sun_family = AF_UNIX, .sun_path = "ann.sock"}},
  bob = {"bob", {.sun_family = AF_UNIX, .sun_path = "bob.sock"}},
  eve = {"eve", {.sun_family = AF_UNIX, .sun_path = "eve.sock"}},
  nameless = {"client", {.sun_family = AF_UNIX}};

struct call {
    pid_t caller;
    int peer;                   // leads to the caller and to nobody else
    struct sockaddr_un from;    // the name that the caller has bound
};

static int open_server(void)
{
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(bind(listener, (const void *)&server_addr, sizeof(server_addr)));
    CHECK(listen(listener, 1));
    return listener;
}

static void close_server(int listener)
{
    CHECK(close(listener));
    CHECK(unlink(server_addr.sun_path));
}

static int open_own(const struct sockaddr_un *own)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(bind(fd, (const void *)own, sizeof(*own)));
    CHECK(chmod(own->sun_path, 0700));
    say("bind(\"%s\"), chmod(0700)", own->sun_path);
    return fd;
}

static void receive(int fd)
{
    char buf[64];    // longer than anything that is sent here
    ssize_t n = CHECK(read(fd, buf, sizeof(buf)));
    say("read() = %zd \"%.*s\"", n, (int)n, buf);
}

/* It speaks before it writes: the peer's next line can only come after it. */
static void transmit(int fd, const char *text)
{
    say("write(\"%s\")", text);
    CHECK(write(fd, text, strlen(text)));
}

/* The server looks at the file when it has read the request. Until then, the
 * client may do with it what it likes. */
static _Noreturn void client(const struct client *self)
{
    const char *own = self->addr.sun_path;
    int swaps = self == &eve;

    role(self->name);
    int server =
        own[0] ? open_own(&self->addr) : CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    say("connect(\"server.sock\"), %swrite(\"hello\")",
        swaps ? "rename(\"ann.sock\", \"eve.sock\"), " : "");
    CHECK(connect(server, (const void *)&server_addr, sizeof(server_addr)));
    if (swaps)
        CHECK(rename(ann.addr.sun_path, own));
    CHECK(write(server, "hello", 5));
    receive(server);
    _exit(EXIT_SUCCESS);
}

static struct call accept_call(int listener, const struct client *who)
{
    struct call it = {.from = {0}};
    socklen_t len = sizeof(it.from) - 1;    // a path of 108 bytes has no NUL
    char request[64];

    it.caller = CHECK(fork());
    if (it.caller == 0) {
        CHECK(close(listener));
        client(who);
    }
    role("server");
    it.peer = CHECK(accept(listener, (void *)&it.from, &len));
    ssize_t n = CHECK(read(it.peer, request, sizeof(request)));
    say("accept() from \"%s\", read() = %zd \"%.*s\"", it.from.sun_path, n,
        (int)n, request);
    return it;
}

/* The client's file has done its duty. If it stayed, the same client could not
 * bind that name when it calls again. */
static void answer(const struct call *it, const char *text)
{
    const char *path = it->from.sun_path;

    if (path[0])
        say("unlink(\"%s\") = %d", path, CHECK(unlink(path)));
    transmit(it->peer, text);
    reap(it->caller);
    CHECK(close(it->peer));
}

/* Both wait at the same time, and the last is answered first. */
static void two_clients(void)
{
    int listener = open_server();
    struct call first = accept_call(listener, &ann);
    struct call second = accept_call(listener, &bob);

    answer(&second, "for bob");
    answer(&first, "for ann");
    close_server(listener);
}

/* The old way. It takes no symlink, no file that others may use, and none that
 * has been lying about since before this server. (ctime would say less:
 * rename() renews it. The clock would not do: another machine may have noted
 * the time of the file.) */
static void ask_file(const char *path)
{
    struct stat file, own;

    CHECK(lstat(path, &file));
    CHECK(lstat(server_addr.sun_path, &own));
    say("lstat(\"%s\"): a socket: %s, mode 0700: %s, new: %s", path,
        S_ISSOCK(file.st_mode) ? "yes" : "no",
        (file.st_mode & 0777) == 0700 ? "yes" : "no",
        file.st_mtime >= own.st_mtime ? "yes" : "no");
    say("so its owner is the caller; st_uid == own uid: %s",
        file.st_uid == geteuid() ? "yes" : "no");
}

static void old_way(void)
{
    int listener = open_server();
    struct call it = accept_call(listener, &ann);

    ask_file(it.from.sun_path);
    answer(&it, "hello, owner of ann.sock");
    close_server(listener);
}

/* She has a server of her own and calls nobody. */
static pid_t start_ann(int listener)
{
    role(ann.name);
    int own = open_own(&ann.addr);
    CHECK(listen(own, 1));    // before the fork, or it might be too late
    pid_t child = CHECK(fork());
    if (child == 0) {
        role(ann.name);
        CHECK(close(listener));    // it is the server's
        int peer = CHECK(accept(own, NULL, NULL));
        receive(peer);
        transmit(peer, "no");
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(own));
    return child;
}

static struct ucred ask_kernel(int peer)
{
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);

    CHECK(getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &cred, &len));
    return cred;
}

/* Behind the file there is a socket, and whoever made it can be asked. */
static void swapped(void)
{
    int listener = open_server();
    pid_t made_it = start_ann(listener);
    struct call it = accept_call(listener, &eve);
    ask_file(it.from.sun_path);

    int owner = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    say("connect(\"%s\")", it.from.sun_path);
    CHECK(connect(owner, (const void *)&it.from, sizeof(it.from)));
    transmit(owner, "did you call?");
    receive(owner);
    reap(made_it);
    CHECK(close(owner));

    say("SO_PEERCRED pid == eve's pid: %s",
        ask_kernel(it.peer).pid == it.caller ? "yes" : "no");
    answer(&it, "hello, eve");
    close_server(listener);
}

/* A mode does not stop root, but this comparison does. */
static void serve_only(const char *whom, uid_t above)
{
    int listener = open_server();
    struct call it = accept_call(listener, &nameless);
    int served = ask_kernel(it.peer).uid == geteuid() + above;

    say("SO_PEERCRED uid == %s: %s", whom, served ? "yes" : "no");
    answer(&it, served ? "welcome" : "not for you");
    close_server(listener);
}

int main(void)
{
    step("Two clients call one server. Which connection is whose?");
    two_clients();

    step("The client's name is a file. Does its owner tell who calls?");
    old_way();

    step("The client swaps the file. Who is not deceived?");
    swapped();

    step("A server for its own user only: is a client without a name served?");
    serve_only("own uid", 0);

    step("A server for another user only: is the same client served?");
    serve_only("own uid + 1", 1);
}
