/*
 * 44-across-namespaces -- what does a container change?
 *
 * A process in namespaces of its own has another view of names and numbers:
 *
 *     namespace      what is different inside
 *
 *     network        the table of abstract names. A path is in no such table,
 *                    and a socket keeps the table with which it was made
 *     pid            all pids. A process that is not inside has pid 0
 *     user           all uids. A user who is not in the map has uid 65534
 *
 * SO_PEERCRED shows pid and uid as the namespaces of the one who asks have
 * them.
 *
 * See namespaces(7), network_namespaces(7), pid_namespaces(7),
 * user_namespaces(7), unshare(2), unix(7).
 */
#define _GNU_SOURCE    // for unshare(), struct ucred
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

enum { ROOM = 64 };    // longer than anything that is named here

/* The two names of a server. choose_names() fills in what is missing. */
struct name {
    struct sockaddr_un address;
    socklen_t length;
    char shown[ROOM];
};
static const char prefix[] = "lab-";
static struct name abstract = {.address = {.sun_family = AF_UNIX}};
static struct name path = {
    .address = {.sun_family = AF_UNIX, .sun_path = "server.sock"}};

/* What the lab knows from the start, to compare with what is told later. The
 * numbers are those of the namespaces in which the lab was started. */
static uid_t own_uid;
static pid_t server_pid;
static pid_t outside_pid;
static pid_t inside_pid;

/* With its pid in the abstract name, two runs at the same time do not meet. The
 * pid differs on each run, so the lab shows PID instead. */
static void choose_names(void)
{
    char *letters = abstract.address.sun_path + 1;    // sun_path[0] stays zero

    snprintf(letters, ROOM, "%s%d", prefix, getpid());
    abstract.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                                  strlen(letters));
    snprintf(abstract.shown, ROOM, "@%sPID", prefix);

    path.length = sizeof(path.address);
    snprintf(path.shown, ROOM, "\"%.32s\"", path.address.sun_path);
}

/* The known process that has this pid, or else the number itself. */
static const char *whose_pid(pid_t pid, char text[ROOM])
{
    snprintf(text, ROOM, "%d", pid);
    if (pid != 0 && pid == server_pid)
        snprintf(text, ROOM, "the server's");
    if (pid != 0 && pid == outside_pid)
        snprintf(text, ROOM, "outside's");
    if (pid != 0 && pid == inside_pid)
        snprintf(text, ROOM, "inside's");
    return text;
}

/* "own" for the uid with which the lab was started, or else the number. */
static const char *whose_uid(uid_t uid, char text[ROOM])
{
    snprintf(text, ROOM, "%u", uid);
    if (uid == own_uid)
        snprintf(text, ROOM, "own");
    return text;
}

static struct ucred peer_of(int fd)
{
    struct ucred peer = {0};
    socklen_t length = sizeof(peer);

    CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length));
    return peer;
}

static void ask_pid(const char *end, int fd)
{
    char text[ROOM];
    struct ucred peer = peer_of(fd);

    say("getsockopt(%s, SO_PEERCRED) -> pid: %s", end,
        whose_pid(peer.pid, text));
}

/* For a process outside: there each uid has its usual number. */
static void ask_uid(const char *end, int fd)
{
    char text[ROOM];
    struct ucred peer = peer_of(fd);

    say("getsockopt(%s, SO_PEERCRED) -> uid: %s", end,
        whose_uid(peer.uid, text));
}

/* For a process inside. There own_uid is no number to compare with. */
static void ask_uid_inside(const char *end, int fd)
{
    struct ucred peer = peer_of(fd);

    say("getsockopt(%s, SO_PEERCRED) -> uid: %u", end, peer.uid);
}

static int try_to_bind(const struct name *name)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    const char *result =
        RESULT(bind(fd, (const struct sockaddr *)&name->address, name->length),
               EADDRINUSE);
    say("bind(%s) = %s", name->shown, result);
    return fd;
}

static void start_listening(int fd)
{
    CHECK(listen(fd, 4));    // four clients may wait for accept()
}

/* Where it is not the question whether bind() succeeds. */
static int open_server(const struct name *name)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(bind(fd, (const struct sockaddr *)&name->address, name->length));
    start_listening(fd);
    return fd;
}

/* shown is what stands before the name in the line: "before, ", or "". */
static void connect_to(int fd, const char *shown, const struct name *name)
{
    const char *result = RESULT(
        connect(fd, (const struct sockaddr *)&name->address, name->length),
        ECONNREFUSED);

    say("connect(%s%s) = %s", shown, name->shown, result);
}

/* A client that only tries whether it can connect. */
static void try_to_connect(const struct name *name)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    connect_to(fd, "", name);
    CHECK(close(fd));
}

/* How many lines of /proc/net/unix are about this socket. The last number in a
 * line, before the name, is that of the socket. See proc(5). */
static int count_lines(int fd)
{
    struct stat status;
    unsigned long number;
    char line[256];
    int count = 0;

    CHECK(fstat(fd, &status));
    FILE *list = fopen("/proc/net/unix", "re");
    if (!list)
        fail("fopen(\"/proc/net/unix\")", __FILE__, __LINE__);
    while (fgets(line, sizeof(line), list)) {
        if (sscanf(line, "%*s %*s %*s %*s %*s %*s %lu", &number) == 1 &&
            number == status.st_ino)
            count++;
    }
    if (ferror(list))
        fail("fgets()", __FILE__, __LINE__);
    CHECK(fclose(list));
    return count;
}

static void look_at_list(int by_name, int by_path)
{
    int names = count_lines(by_name);
    int paths = count_lines(by_path);

    say("/proc/net/unix: lines of %s: %d, lines of %s: %d", abstract.shown,
        names, path.shown, paths);
}

/* The calling process gets new namespaces. A user namespace is always among
 * them, because with it an ordinary user may make the others. */
static void enter(int kinds)
{
    const char *user = kinds & CLONE_NEWUSER ? "CLONE_NEWUSER" : "";
    const char *net = kinds & CLONE_NEWNET ? " | CLONE_NEWNET" : "";
    const char *pid = kinds & CLONE_NEWPID ? " | CLONE_NEWPID" : "";

    say("unshare(%s%s%s) ...", user, net, pid);
    CHECK(unshare(kinds));
}

/* A byte says: "I have done what I had to do." */
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

/* The listener's process tries first, as a client: nothing has changed for it.
 * Then a child tries the same from inside. */
static void two_ways_in(void)
{
    role("server");
    int by_name = try_to_bind(&abstract);
    int by_path = try_to_bind(&path);
    start_listening(by_name);
    start_listening(by_path);

    role("outside");
    try_to_connect(&abstract);
    try_to_connect(&path);
    look_at_list(by_name, by_path);

    pid_t inside = CHECK(fork());
    if (inside == 0) {
        role("inside");
        enter(CLONE_NEWUSER | CLONE_NEWNET);
        try_to_connect(&abstract);
        try_to_connect(&path);
        look_at_list(by_name, by_path);
        _exit(EXIT_SUCCESS);
    }
    reap(inside);

    CHECK(close(by_name));
    CHECK(close(by_path));
    CHECK(unlink(path.address.sun_path));
}

/* A client asks the kernel which process listens at the other end. */
static void find_listener(const struct name *name)
{
    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    connect_to(to_server, "", name);
    ask_pid("to_server", to_server);
    CHECK(close(to_server));
}

/* A second server. It is also its own first client, so it finds out whom the
 * abstract name leads to inside. It lives until the first process closes the
 * gate. */
static _Noreturn void run_second_server(int gate)
{
    char byte;

    role("inside");
    inside_pid = getpid();
    enter(CLONE_NEWUSER | CLONE_NEWNET);
    int listener = try_to_bind(&abstract);
    start_listening(listener);
    try_to_bind(&path);
    find_listener(&abstract);
    pass_on(gate);

    CHECK(recv(gate, &byte, 1, 0));
    _exit(EXIT_SUCCESS);
}

/* The server has both names. Nobody else outside gets the abstract one. Then a
 * second server tries the same two names inside. */
static void same_name_twice(void)
{
    int gate[2];

    role("server");
    int by_name = try_to_bind(&abstract);
    int by_path = try_to_bind(&path);
    start_listening(by_name);
    start_listening(by_path);
    role("outside");
    int refused = try_to_bind(&abstract);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, gate));
    inside_pid = CHECK(fork());
    if (inside_pid == 0) {
        CHECK(close(gate[0]));
        run_second_server(gate[1]);
    }
    CHECK(close(gate[1]));
    wait_at(gate[0]);
    find_listener(&abstract);    // both servers listen now

    CHECK(close(gate[0]));
    reap(inside_pid);
    CHECK(close(refused));
    CHECK(close(by_name));
    CHECK(close(by_path));
    CHECK(unlink(path.address.sun_path));
}

static int make_socket(void)
{
    say("socket() ...");
    return CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
}

/* One process with two sockets. At last it sends the newer one outside. */
static _Noreturn void run_with_two_sockets(int to_outside)
{
    role("inside");
    int before = make_socket();
    enter(CLONE_NEWUSER | CLONE_NEWNET);
    int after = make_socket();

    connect_to(before, "before, ", &abstract);
    connect_to(after, "after, ", &abstract);
    say("sendmsg(to_outside, [after]) ...");
    send_descriptor(to_outside, "x", 1, after);
    _exit(EXIT_SUCCESS);
}

/* When the process inside has ended, its socket "after" still lives, because it
 * has been sent. The first process receives it, and speaks as outside. */
static void older_than_namespace(void)
{
    int sv[2];
    char byte;
    int end;

    role("server");
    int listener = open_server(&abstract);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t inside = CHECK(fork());
    if (inside == 0)
        run_with_two_sockets(sv[1]);
    reap(inside);

    role("outside");
    int n = receive_descriptor(sv[0], &byte, 1, &end);
    if (n == 0 || end == -1)
        _exit(EXIT_FAILURE);    // inside has failed, or sent no descriptor
    connect_to(end, "end, ", &abstract);
    try_to_connect(&abstract);

    CHECK(close(end));
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
    CHECK(close(listener));
}

/* Begins when the server knows this client's pid. When the client has
 * connected, the server asks first, and then the client. */
static _Noreturn void run_client(int gate)
{
    wait_at(gate);
    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    connect_to(to_server, "", &path);
    pass_on(gate);

    wait_at(gate);
    ask_pid("to_server", to_server);
    _exit(EXIT_SUCCESS);
}

/* unshare(CLONE_NEWPID) leaves its caller where it is: only the children that
 * it makes from then on are in the new namespace. So the client is a child of
 * the process that calls unshare(), and this process tells the server the
 * child's pid, as it has it from fork(). */
static _Noreturn void run_parent_of_client(int gate)
{
    role("inside");
    enter(CLONE_NEWUSER | CLONE_NEWPID);

    pid_t client = CHECK(fork());
    if (client == 0) {
        pid_t pid = getpid();
        say("getpid() = %d", pid);
        run_client(gate);
    }
    CHECK(send(gate, &client, sizeof(client), 0));
    CHECK(close(gate));
    reap(client);
    _exit(EXIT_SUCCESS);
}

static void serve_and_ask(int listener, int gate)
{
    pass_on(gate);
    wait_at(gate);    // until the client has connected
    int to_client = CHECK(accept(listener, NULL, NULL));
    ask_pid("to_client", to_client);
    pass_on(gate);
    CHECK(close(to_client));
}

static void ask_outside(int listener)
{
    int gate[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, gate));
    outside_pid = CHECK(fork());
    if (outside_pid == 0) {
        CHECK(close(gate[0]));
        role("outside");
        run_client(gate[1]);
    }
    CHECK(close(gate[1]));
    serve_and_ask(listener, gate[0]);
    reap(outside_pid);
    CHECK(close(gate[0]));
}

/* The server learns the client's pid before the client connects, so that it can
 * name this pid. */
static void ask_inside(int listener)
{
    int gate[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, gate));
    pid_t parent = CHECK(fork());
    if (parent == 0) {
        CHECK(close(gate[0]));
        run_parent_of_client(gate[1]);
    }
    CHECK(close(gate[1]));
    int n = CHECK(recv(gate[0], &inside_pid, sizeof(inside_pid), 0));
    if (n != (int)sizeof(inside_pid))
        _exit(EXIT_FAILURE);    // the parent of the client has failed
    serve_and_ask(listener, gate[0]);
    reap(parent);
    CHECK(close(gate[0]));
}

/* First a client in the old pid namespace, then one in a new pid namespace. */
static void which_pid(void)
{
    role("server");
    int listener = open_server(&path);

    ask_outside(listener);
    ask_inside(listener);

    CHECK(close(listener));
    CHECK(unlink(path.address.sun_path));
}

/* One line: the first uid inside, the first uid outside, and how many. An
 * ordinary user may map one uid, and it must be his own. */
static void map_uid(unsigned inside)
{
    char text[ROOM];

    int length = snprintf(text, ROOM, "%u %u 1", inside, own_uid);
    int fd = CHECK(open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC));
    CHECK(write(fd, text, (size_t)length));
    CHECK(close(fd));
}

static int connect_to_server(void)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(connect(fd, (const struct sockaddr *)&path.address, path.length));
    return fd;
}

static void say_own_uid(void)
{
    uid_t uid = geteuid();

    say("geteuid() = %u", uid);
}

/* Asks twice: without a map of uids, and with one. */
static _Noreturn void run_mapped_client(int gate)
{
    const unsigned root = 0;

    role("inside");
    enter(CLONE_NEWUSER);
    say_own_uid();
    int to_server = connect_to_server();
    pass_on(gate);
    wait_at(gate);
    ask_uid_inside("to_server", to_server);

    say("write(\"/proc/self/uid_map\", \"%u own 1\") ...", root);
    map_uid(root);
    say_own_uid();
    pass_on(gate);
    wait_at(gate);
    ask_uid_inside("to_server", to_server);
    _exit(EXIT_SUCCESS);
}

/* The first process plays server and client: both have the same uid. */
static void ask_uids_outside(int listener)
{
    int to_server = connect_to_server();
    int to_client = CHECK(accept(listener, NULL, NULL));

    role("server");
    ask_uid("to_client", to_client);
    role("outside");
    ask_uid("to_server", to_server);

    CHECK(close(to_server));
    CHECK(close(to_client));
}

/* One connection, and the server asks twice at the same end. */
static void ask_uids_inside(int listener)
{
    int gate[2];

    role("server");
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, gate));
    pid_t inside = CHECK(fork());
    if (inside == 0) {
        CHECK(close(gate[0]));
        run_mapped_client(gate[1]);
    }
    CHECK(close(gate[1]));
    wait_at(gate[0]);    // until the client has connected
    int to_client = CHECK(accept(listener, NULL, NULL));
    ask_uid("to_client", to_client);
    pass_on(gate[0]);

    wait_at(gate[0]);    // until the client has its map
    ask_uid("to_client", to_client);
    pass_on(gate[0]);
    reap(inside);

    CHECK(close(gate[0]));
    CHECK(close(to_client));
}

static void which_uid(void)
{
    int listener = open_server(&path);

    ask_uids_outside(listener);
    ask_uids_inside(listener);

    CHECK(close(listener));
    CHECK(unlink(path.address.sun_path));
}

/* Tries in a child, because no process can leave a user namespace again.
 * Returns 0 if the child has been allowed to make and map what the steps need.
 */
static int try_namespaces(void)
{
    int status;
    pid_t child = CHECK(fork());

    if (child == 0) {
        close(STDERR_FILENO);    // it is no failure of the lab, so say nothing
        CHECK(unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID));
        CHECK(access(".", X_OK));    // else no path leads to the server
        map_uid(0);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0));
    return status;
}

/* One failure may be chance: a system call may fail once. A machine that
 * forbids this fails twice. */
static void need_namespaces(void)
{
    int refused = try_namespaces();

    if (refused)
        refused = try_namespaces();
    if (refused)
        skip("user namespaces are not allowed here (`unshare --user --net "
             "--pid true` fails), or do not lead into this directory");
}

int main(void)
{
    own_uid = geteuid();
    server_pid = getpid();
    need_proc();
    choose_names();
    need_namespaces();

    step("A server has two names. Which of them leads there from inside?");
    two_ways_in();

    step("Inside, a second server binds the same names. Who is found?");
    same_name_twice();

    step("A socket is older than the namespace. Does it find the server?");
    older_than_namespace();

    step("Which pid does each end see?");
    which_pid();

    step("Which uid does each end see?");
    which_uid();
}
