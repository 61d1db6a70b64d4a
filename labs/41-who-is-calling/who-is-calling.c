/*
 * 41-who-is-calling -- how does a server know who is calling?
 *
 * The name that accept() tells is what the client has called itself. The file
 * of this name belongs to the client only as long as nobody has put another
 * file in its place. SO_PEERCRED is what the kernel knows: the process that has
 * called connect(), and its user. The server decides what to do with this.
 *
 *     eve   eve.sock ----- connect() ----> listener
 *              ^                               | accept()
 *              | rename()                      v
 *     ann   ann.sock                       to_client   server
 *
 *     lstat("eve.sock")                      ann's file
 *     getsockopt(to_client, SO_PEERCRED)     eve's process
 *
 * See unix(7), accept(2), lstat(2), getsockopt(2), kill(2).
 */
#define _GNU_SOURCE    // for struct ucred
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { ROOM = 64 };    // longer than anything that is sent or named here

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};

/* A client that is a process of its own. The server keeps here what it knows of
 * the client from the start, to compare with what it is told later. */
struct client {
    const char *name;
    struct sockaddr_un address;
    pid_t pid;
    ino_t file;    // the number of the file that the client has made
    int gate;      // the server's end of a pair with this client, or -1
};
static struct client ann = {
    .name = "ann",
    .address = {.sun_family = AF_UNIX, .sun_path = "ann.sock"},
    .gate = -1,
};
static struct client bob = {
    .name = "bob",
    .address = {.sun_family = AF_UNIX, .sun_path = "bob.sock"},
    .gate = -1,
};
static struct client eve = {
    .name = "eve",
    .address = {.sun_family = AF_UNIX, .sun_path = "eve.sock"},
    .gate = -1,
};
static const struct client *const clients[] = {&ann, &bob, &eve};

static int open_server(void)
{
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(bind(listener, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    CHECK(listen(listener, 2));    // two clients may wait for accept()
    return listener;
}

static void close_server(int listener)
{
    CHECK(close(listener));
    CHECK(unlink(server_address.sun_path));
}

static void bind_to(int fd, const struct sockaddr_un *address)
{
    int bound =
        CHECK(bind(fd, (const struct sockaddr *)address, sizeof(*address)));

    say("bind(\"%s\") = %d", address->sun_path, bound);
}

static void connect_to_server(int fd)
{
    int connected = CHECK(connect(fd, (const struct sockaddr *)&server_address,
                                  sizeof(server_address)));

    say("connect(\"%s\") = %d", server_address.sun_path, connected);
}

/* What is not stored stays 0, so a client without a name has an empty path. A
 * path of 108 bytes, all that there is room for, has no zero byte. */
static void say_name(const char *call, const struct sockaddr_un *from,
                     socklen_t length)
{
    say("%s -> \"%.*s\", %u bytes", call, (int)sizeof(from->sun_path),
        from->sun_path, length);
}

/* accept() stores the name of the client in from. */
static int accept_client(int listener, struct sockaddr_un *from)
{
    socklen_t length = sizeof(*from);

    *from = (struct sockaddr_un){0};
    int to_client = CHECK(accept(listener, (struct sockaddr *)from, &length));
    say_name("accept(listener)", from, length);
    return to_client;
}

/* The name that the socket of the client has now. */
static void ask_for_name(const char *name, int to_client)
{
    struct sockaddr_un peer = {0};
    socklen_t length = sizeof(peer);
    char call[ROOM];

    CHECK(getpeername(to_client, (struct sockaddr *)&peer, &length));
    snprintf(call, sizeof(call), "getpeername(%s)", name);
    say_name(call, &peer, length);
}

static void remove_file(const char *path)
{
    int removed = CHECK(unlink(path));

    say("unlink(\"%s\") = %d", path, removed);
}

/* ends[0] is the client's end of the connection, ends[1] is the server's. */
static void call_with_name(const char *client, int listener,
                           const struct sockaddr_un *address, int ends[2])
{
    struct sockaddr_un from;

    role(client);
    ends[0] = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    bind_to(ends[0], address);
    connect_to_server(ends[0]);

    role("server");
    ends[1] = accept_client(listener, &from);
}

/* The client has a name only after the server has accepted it. */
static void call_and_bind(const char *client, int listener,
                          const struct sockaddr_un *address, int ends[2])
{
    struct sockaddr_un from;

    role(client);
    ends[0] = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    connect_to_server(ends[0]);

    role("server");
    ends[1] = accept_client(listener, &from);

    role(client);
    bind_to(ends[0], address);
}

static void close_both(const int ends[2])
{
    CHECK(close(ends[0]));
    CHECK(close(ends[1]));
}

/* ann, then eve with ann's name, then bob, who takes a name when the server has
 * accepted him. One process plays all roles, because only names count here.
 * Each connection stays open until the end of the step. */
static void names(void)
{
    int anns[2];
    int eves[2];
    int bobs[2];
    int listener = open_server();

    call_with_name(ann.name, listener, &ann.address, anns);
    role(eve.name);
    remove_file(ann.address.sun_path);
    call_with_name(eve.name, listener, &ann.address, eves);
    role("server");
    ask_for_name("first", anns[1]);
    call_and_bind(bob.name, listener, &bob.address, bobs);
    role("server");
    ask_for_name("third", bobs[1]);

    close_both(anns);
    close_both(eves);
    close_both(bobs);
    CHECK(unlink(ann.address.sun_path));
    CHECK(unlink(bob.address.sun_path));
    close_server(listener);
}

/* A byte on the gate says: "I have done what I had to do", and, in the other
 * direction, "go on". */
static void pass_on(int gate)
{
    CHECK(send(gate, ".", 1, 0));
}

static void wait_at(int gate)
{
    char byte;
    int n = CHECK(recv(gate, &byte, 1, 0));

    if (n == 0)
        _exit(EXIT_FAILURE);    // the other process has failed
}

static void close_other_gates(void)
{
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        if (clients[i]->gate != -1)
            CHECK(close(clients[i]->gate));
    }
}

/* The client begins as a copy of the server. So it closes what belongs to the
 * server: the listener, the server's end of this gate, and the server's ends of
 * the gates of the clients that were started before. */
static void start(struct client *client, int listener,
                  void (*run)(int to_server, int gate))
{
    int gate[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, gate));
    client->pid = CHECK(fork());
    if (client->pid == 0) {
        role(client->name);
        CHECK(close(listener));
        CHECK(close(gate[0]));
        close_other_gates();
        int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
        run(to_server, gate[1]);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(gate[1]));
    client->gate = gate[0];
    wait_at(client->gate);    // the client has done its first call
}

/* The client ends, and its pid is free again. */
static void end(struct client *client)
{
    pass_on(client->gate);
    reap(client->pid);
    CHECK(close(client->gate));
    client->gate = -1;
}

/* Keeps the number of the file that the client has just made. */
static void remember_file(struct client *client)
{
    struct stat made;

    CHECK(lstat(client->address.sun_path, &made));
    client->file = made.st_ino;
}

/* The next three functions make a text of a number. It says whose the number
 * is, if that is known. Otherwise it is the number itself. */
static const char *whose_pid(pid_t pid, char text[ROOM])
{
    snprintf(text, ROOM, "%d", pid);
    if (pid == getpid())
        snprintf(text, ROOM, "the server's");
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        if (pid != 0 && pid == clients[i]->pid)    // 0: not started yet
            snprintf(text, ROOM, "%s's", clients[i]->name);
    }
    return text;
}

static const char *whose_file(ino_t file, char text[ROOM])
{
    snprintf(text, ROOM, "%llu", (unsigned long long)file);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        if (file != 0 && file == clients[i]->file)    // 0: no file yet
            snprintf(text, ROOM, "%s's", clients[i]->name);
    }
    return text;
}

static const char *whose_uid(uid_t uid, char text[ROOM])
{
    snprintf(text, ROOM, "%u", uid);
    if (uid == geteuid())
        snprintf(text, ROOM, "own");
    if (uid == geteuid() + 1)
        snprintf(text, ROOM, "own + 1");
    return text;
}

static const char *type_of(mode_t mode)
{
    if (S_ISSOCK(mode))
        return "socket";
    if (S_ISLNK(mode))
        return "symbolic link";
    return "other";
}

/* The old way: the file that has the name of the client. The path has one byte
 * more than sun_path, because a string ends with a zero byte. */
static void ask_file(const struct sockaddr_un *from)
{
    char path[sizeof(from->sun_path) + 1];
    struct stat file;
    char uid[ROOM];
    char whose[ROOM];

    snprintf(path, sizeof(path), "%.*s", (int)sizeof(from->sun_path),
             from->sun_path);
    CHECK(lstat(path, &file));
    say("lstat(\"%s\") -> type: %s, mode: %#o, uid: %s, file: %s", path,
        type_of(file.st_mode), file.st_mode & 0777, whose_uid(file.st_uid, uid),
        whose_file(file.st_ino, whose));
}

/* The kernel's note. */
static struct ucred get_peer(int to_client)
{
    struct ucred peer = {0};
    socklen_t length = sizeof(peer);

    CHECK(getsockopt(to_client, SOL_SOCKET, SO_PEERCRED, &peer, &length));
    return peer;
}

static pid_t ask_kernel(const char *name, int to_client)
{
    char pid[ROOM];
    char uid[ROOM];

    struct ucred peer = get_peer(to_client);
    say("getsockopt(%s, SO_PEERCRED) -> pid: %s, uid: %s", name,
        whose_pid(peer.pid, pid), whose_uid(peer.uid, uid));
    return peer.pid;
}

static void run_ann(int to_server, int gate)
{
    bind_to(to_server, &ann.address);
    pass_on(gate);

    wait_at(gate);
    connect_to_server(to_server);
    pass_on(gate);

    wait_at(gate);    // until the server has looked
}

/* ann has bound ann.sock, and it is ann who connects. */
static void honest_client(void)
{
    struct sockaddr_un from;
    int listener = open_server();

    start(&ann, listener, run_ann);
    remember_file(&ann);
    pass_on(ann.gate);
    wait_at(ann.gate);

    role("server");
    int to_client = accept_client(listener, &from);
    ask_file(&from);
    ask_kernel("to_client", to_client);

    end(&ann);
    CHECK(close(to_client));
    CHECK(unlink(ann.address.sun_path));
    close_server(listener);
}

/* This time ann has a file, but she does not connect. */
static void run_quiet_ann(int to_server, int gate)
{
    bind_to(to_server, &ann.address);
    pass_on(gate);

    wait_at(gate);
}

static void run_eve(int to_server, int gate)
{
    bind_to(to_server, &eve.address);
    pass_on(gate);

    wait_at(gate);
    connect_to_server(to_server);
    int renamed = CHECK(rename(ann.address.sun_path, eve.address.sun_path));
    say("rename(\"%s\", \"%s\") = %d", ann.address.sun_path,
        eve.address.sun_path, renamed);
    pass_on(gate);

    wait_at(gate);
}

/* eve has bound eve.sock, and it is eve who connects. Then she puts ann's file
 * in the place of her own. */
static void forger(void)
{
    struct sockaddr_un from;
    int listener = open_server();

    start(&ann, listener, run_quiet_ann);
    remember_file(&ann);
    start(&eve, listener, run_eve);
    remember_file(&eve);
    pass_on(eve.gate);
    wait_at(eve.gate);

    role("server");
    int to_client = accept_client(listener, &from);
    ask_file(&from);
    ask_kernel("to_client", to_client);

    end(&eve);
    end(&ann);
    CHECK(close(to_client));
    CHECK(unlink(eve.address.sun_path));
    close_server(listener);
}

/* ann is there as long as the step lasts. */
static void run_patient_ann(int to_server, int gate)
{
    connect_to_server(to_server);
    pass_on(gate);

    wait_at(gate);
}

static void run_bob(int to_server, int gate)
{
    connect_to_server(to_server);
    pass_on(gate);

    wait_at(gate);
    say("exit ...");
}

/* kill() with the signal 0 sends nothing: it only looks for the process. */
static void look_for(pid_t pid)
{
    const char *result = RESULT(kill(pid, 0), ESRCH);
    say("kill(pid, 0) = %s", result);
}

/* Both connections wait in the queue of the listener. bob is gone, and his pid
 * is free, before the server calls accept(). The server calls its ends first
 * and second, because it does not know yet whose they are. */
static void gone_client(void)
{
    struct sockaddr_un from;
    int listener = open_server();

    start(&ann, listener, run_patient_ann);
    start(&bob, listener, run_bob);
    end(&bob);

    role("server");
    int first = accept_client(listener, &from);
    pid_t first_pid = ask_kernel("first", first);
    look_for(first_pid);
    int second = accept_client(listener, &from);
    pid_t second_pid = ask_kernel("second", second);
    look_for(second_pid);

    end(&ann);
    CHECK(close(first));
    CHECK(close(second));
    close_server(listener);
}

static void write_text(const char *name, int fd, const char *text)
{
    int n = CHECK(write(fd, text, strlen(text)));

    say("write(%s, \"%s\") = %d", name, text, n);
}

static void read_text(const char *name, int fd)
{
    char buf[ROOM];

    ssize_t n = read(fd, buf, sizeof(buf));
    if (n == -1 && errno == ECONNRESET) {
        say("read(%s) = -1 %s", name, error_name(errno));
        return;
    }
    check(n, "read()", __FILE__, __LINE__);
    say("read(%s) = %zd \"%.*s\"", name, n, (int)n, buf);
}

/* The rule of the server is the comparison of two numbers. The server does not
 * even read what a client of another user has written. */
static void serve_only(uid_t wanted, int to_client)
{
    char uid[ROOM];
    char wanted_uid[ROOM];

    struct ucred peer = get_peer(to_client);
    say("getsockopt(to_client, SO_PEERCRED) -> uid: %s, wanted: %s",
        whose_uid(peer.uid, uid), whose_uid(wanted, wanted_uid));
    if (peer.uid == wanted) {
        read_text("to_client", to_client);
        write_text("to_client", to_client, "welcome");
    }
    int closed = CHECK(close(to_client));
    say("close(to_client) = %d", closed);
}

/* One process plays both roles, so they have the same user. */
static void call_server_for(uid_t wanted)
{
    int listener = open_server();
    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    role("client");
    connect_to_server(to_server);
    write_text("to_server", to_server, "hello");

    role("server");
    int to_client = CHECK(accept(listener, NULL, NULL));
    serve_only(wanted, to_client);

    role("client");
    read_text("to_server", to_server);
    CHECK(close(to_server));
    close_server(listener);
}

int main(void)
{
    umask(077);    // each socket file gets the mode 0700

    step("Three clients. Which names does the server learn?");
    names();

    step("ann calls. What do the file and the kernel say of the client?");
    honest_client();

    step("eve calls, and swaps the file. What do they say now?");
    forger();

    step("bob calls, and is gone. What does the kernel say of him?");
    gone_client();

    step("A rule: one user is served, and no other. What does a client see?");
    call_server_for(geteuid());
    call_server_for(geteuid() + 1);
}
