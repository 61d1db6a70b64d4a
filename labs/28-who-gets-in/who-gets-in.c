/*
 * 28-who-gets-in -- who gets in, and who stays in?
 *
 * A client needs permission to go through each directory on its way to the
 * socket file, and to write to this file. For the owner only the owner's digit
 * of the mode counts. The kernel looks when a path is used, in connect() and in
 * sendto(), also when a server sends its answer to the file of a client. A
 * client that is connected, and gives no path, needs the permission no longer.
 *
 *                   on its way     on its way      at the end
 *     client  --->  door/    --->  room/     --->  server.sock  --->  server
 *                   search         search          write
 *
 * See unix(7), path_resolution(7), chmod(2), capabilities(7).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};
static const struct sockaddr_un room_address = {
    .sun_family = AF_UNIX, .sun_path = "door/room/server.sock"};
static const struct sockaddr_un back_address = {.sun_family = AF_UNIX,
                                                .sun_path = "back.sock"};
static const struct sockaddr_un ann_address = {.sun_family = AF_UNIX,
                                               .sun_path = "ann.sock"};
static const struct sockaddr_un bob_address = {.sun_family = AF_UNIX,
                                               .sun_path = "bob.sock"};

/* With SOCK_NONBLOCK no call of the server waits: when there is no client or no
 * datagram, accept() and recv() are -1 EAGAIN. */
static int open_server(const struct sockaddr_un *address, int type)
{
    int fd = CHECK(socket(AF_UNIX, type | SOCK_NONBLOCK, 0));

    CHECK(bind(fd, (const struct sockaddr *)address, sizeof(*address)));
    if (type == SOCK_STREAM)
        CHECK(listen(fd, 8));    // more than the clients that wait here
    return fd;
}

static void close_server(int fd, const struct sockaddr_un *address)
{
    CHECK(close(fd));
    CHECK(unlink(address->sun_path));
}

static void change_mode(const char *path, mode_t mode)
{
    int changed = CHECK(chmod(path, mode));

    say("chmod(\"%s\", %#o) = %d", path, mode, changed);
}

static void connect_to(int fd, const struct sockaddr_un *address)
{
    int connected =
        CHECK(connect(fd, (const struct sockaddr *)address, sizeof(*address)));

    say("connect(\"%s\") = %d", address->sun_path, connected);
}

/* For a client that connects before any mode is changed. Nobody asks whether
 * this succeeds, so only the call is printed. */
static void connect_while_open(int fd)
{
    say("connect(\"%s\") ...", server_address.sun_path);
    CHECK(connect(fd, (const struct sockaddr *)&server_address,
                  sizeof(server_address)));
}

static int open_client(int type)
{
    int fd = CHECK(socket(AF_UNIX, type, 0));

    connect_while_open(fd);
    return fd;
}

/* A client that must get in, and goes at once. If it cannot get in, the lab
 * ends. */
static void connect_and_close(const struct sockaddr_un *address)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    connect_to(fd, address);
    CHECK(close(fd));
}

/* A client that may lack the permission: either result is printed. */
static void try_to_connect(const struct sockaddr_un *address)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    const char *result =
        RESULT(connect(fd, (const struct sockaddr *)address, sizeof(*address)),
               EACCES);
    say("connect(\"%s\") = %s", address->sun_path, result);
    CHECK(close(fd));
}

/* A sender that may lack the permission: either result is printed. */
static void try_to_send_to(int fd, const char *text,
                           const struct sockaddr_un *address)
{
    const char *result =
        RESULT(sendto(fd, text, strlen(text), 0,
                      (const struct sockaddr *)address, sizeof(*address)),
               EACCES);

    say("sendto(\"%s\", \"%s\") = %s", text, address->sun_path, result);
}

/* For a connected socket: there is no address. */
static void send_text(int fd, const char *text)
{
    int n = CHECK(send(fd, text, strlen(text), 0));

    say("send(\"%s\") = %d", text, n);
}

static void receive(const char *name, int fd)
{
    char buf[64];    // longer than any text that is sent here
    int n = CHECK(recv(fd, buf, sizeof(buf), 0));

    say("recv(%s) = %d \"%.*s\"", name, n, n, buf);
}

static void receive_all(int server)
{
    char buf[64];

    ssize_t n = recv(server, buf, sizeof(buf), 0);
    while (n != -1) {
        say("recv(server) = %zd \"%.*s\"", n, (int)n, buf);
        n = recv(server, buf, sizeof(buf), 0);
    }
    if (errno != EAGAIN)
        fail("recv()", __FILE__, __LINE__);
    say("recv(server) = -1 %s", error_name(EAGAIN));
}

/* Accepts all who are in the queue. What they have sent is put one after the
 * other. */
static void accept_all(int listener)
{
    char buf[64];
    size_t length = 0;

    int to_client = accept(listener, NULL, NULL);
    while (to_client != -1) {
        int n = CHECK(recv(to_client, buf + length, sizeof(buf) - length, 0));
        length += (size_t)n;
        CHECK(close(to_client));
        to_client = accept(listener, NULL, NULL);
    }
    if (errno != EAGAIN)
        fail("accept()", __FILE__, __LINE__);
    say("accept(listener) until EAGAIN, recv(to_client): \"%.*s\"", (int)length,
        buf);
}

/* Root's rights are called capabilities: one bit for each. The kernel shows the
 * bits of this process in the line CapEff, as a hexadecimal number. */
static unsigned long long own_capabilities(void)
{
    unsigned long long bits = 0;
    char line[256];

    FILE *status = fopen("/proc/self/status", "r");
    if (!status)
        fail("fopen(\"/proc/self/status\")", __FILE__, __LINE__);
    while (fgets(line, sizeof(line), status)) {
        if (sscanf(line, "CapEff: %llx", &bits) == 1)
            break;
    }
    if (ferror(status))
        fail("fgets()", __FILE__, __LINE__);
    CHECK(fclose(status));
    return bits;
}

/* The number of the owner differs from machine to machine. So it is printed as
 * "the owner's". */
static void say_who_i_am(const char *path)
{
    struct stat status;

    CHECK(stat(path, &status));
    if (geteuid() == status.st_uid)
        say("uid: the owner's, capabilities: %llx", own_capabilities());
    else
        say("uid: %u, capabilities: %llx", geteuid(), own_capabilities());
}

static void make_rooms(void)
{
    CHECK(mkdir("door", 0700));
    CHECK(mkdir("door/room", 0700));
}

static void remove_rooms(void)
{
    CHECK(rmdir("door/room"));
    CHECK(rmdir("door"));
}

/* 0577: the owner of the file lacks only the bit that is needed. 0200: the
 * owner has only this bit. Then the same with a directory on the way to the
 * file: 0677 and 0100. */
static void which_bits(void)
{
    make_rooms();
    int listener = open_server(&room_address, SOCK_STREAM);

    role("client");
    say_who_i_am(room_address.sun_path);

    role("server");
    change_mode(room_address.sun_path, 0577);
    role("client");
    try_to_connect(&room_address);
    role("server");
    change_mode(room_address.sun_path, 0200);
    role("client");
    connect_and_close(&room_address);

    role("server");
    change_mode("door", 0677);
    role("client");
    try_to_connect(&room_address);
    role("server");
    change_mode("door", 0100);
    role("client");
    connect_and_close(&room_address);

    CHECK(chmod("door", 0700));
    close_server(listener, &room_address);
    remove_rooms();
}

/* bob waits until the server tells him to go on. At end of file the first
 * process is gone, and the lab has ended. */
static void wait_for_server(int to_server)
{
    char byte;

    int n = CHECK(read(to_server, &byte, 1));
    if (n == 0)
        _exit(EXIT_FAILURE);
}

/* bob is a process of his own, because a process has one current directory. He
 * goes into the room and says so on his end of a pair. Then he waits until the
 * server tells him to connect, says that he has done so, and waits again. */
static _Noreturn void run_bob(int to_server)
{
    const char byte = 'x';

    role("bob");
    int entered = CHECK(chdir("door/room"));
    say("chdir(\"door/room\") = %d", entered);
    CHECK(write(to_server, &byte, 1));

    wait_for_server(to_server);
    connect_and_close(&server_address);
    CHECK(write(to_server, &byte, 1));

    wait_for_server(to_server);
    try_to_connect(&server_address);
    _exit(EXIT_SUCCESS);
}

/* Returns the number of the process bob, who is in the room. */
static pid_t start_bob(int listener, const int sv[2])
{
    char byte;

    pid_t bob = CHECK(fork());
    if (bob == 0) {
        CHECK(close(listener));
        CHECK(close(sv[0]));
        run_bob(sv[1]);
    }
    CHECK(close(sv[1]));    // only bob has this end now
    CHECK(read(sv[0], &byte, 1));
    return bob;
}

/* A server whose file has two names. */
static int open_two_names(void)
{
    make_rooms();
    int listener = open_server(&room_address, SOCK_STREAM);

    role("server");
    say("link(\"%s\", \"%s\") ...", room_address.sun_path,
        back_address.sun_path);
    CHECK(link(room_address.sun_path, back_address.sun_path));
    return listener;
}

static void close_two_names(int listener)
{
    CHECK(unlink(back_address.sun_path));
    close_server(listener, &room_address);
    remove_rooms();
}

/* One file, and three ways to it. The hard link and bob's current directory are
 * there before anything is shut. */
static void three_ways(void)
{
    int sv[2];
    char byte = 'x';

    int listener = open_two_names();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t bob = start_bob(listener, sv);

    change_mode("door", 0);
    role("ann");
    try_to_connect(&room_address);
    CHECK(write(sv[0], &byte, 1));    // now bob connects
    CHECK(read(sv[0], &byte, 1));     // bob has connected
    role("carol");
    connect_and_close(&back_address);

    role("server");
    change_mode("door", 0700);
    change_mode("door/room", 0);
    role("ann");
    try_to_connect(&room_address);
    CHECK(write(sv[0], &byte, 1));    // now bob connects again
    reap(bob);
    role("carol");
    connect_and_close(&back_address);

    CHECK(close(sv[0]));
    CHECK(chmod("door/room", 0700));
    close_two_names(listener);
}

/* ann is accepted, bob waits in the queue, and carol comes after chmod(). */
static void connections_after_chmod(void)
{
    role("server");
    int listener = open_server(&server_address, SOCK_STREAM);

    role("ann");
    int ann = open_client(SOCK_STREAM);
    role("server");
    say("accept(listener) ...");
    int to_ann = CHECK(accept(listener, NULL, NULL));
    role("bob");
    int bob = open_client(SOCK_STREAM);

    role("server");
    change_mode(server_address.sun_path, 0);
    role("carol");
    try_to_connect(&server_address);

    role("ann");
    send_text(ann, "I am ann");
    role("bob");
    send_text(bob, "I am bob");
    role("server");
    receive("to_ann", to_ann);
    accept_all(listener);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(to_ann));
    close_server(listener, &server_address);
}

/* ann gives the address with each datagram. bob has given it once, to
 * connect(). carol does both. */
static void datagrams_after_chmod(void)
{
    int server = open_server(&server_address, SOCK_DGRAM);

    role("ann");
    int ann = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));
    try_to_send_to(ann, "ann 1", &server_address);
    role("bob");
    int bob = open_client(SOCK_DGRAM);
    send_text(bob, "bob 1");
    role("carol");
    int carol = open_client(SOCK_DGRAM);
    try_to_send_to(carol, "carol 1", &server_address);

    role("server");
    change_mode(server_address.sun_path, 0);

    role("ann");
    try_to_send_to(ann, "ann 2", &server_address);
    role("bob");
    send_text(bob, "bob 2");
    role("carol");
    try_to_send_to(carol, "carol 2", &server_address);

    role("server");
    receive_all(server);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(carol));
    close_server(server, &server_address);
}

/* A client that has a file, and lets nobody write to it. */
static int open_shut_client(const struct sockaddr_un *address, int type)
{
    int fd = CHECK(socket(AF_UNIX, type, 0));

    say("bind(\"%s\") ...", address->sun_path);
    CHECK(bind(fd, (const struct sockaddr *)address, sizeof(*address)));
    change_mode(address->sun_path, 0);
    return fd;
}

/* The server answers ann by her address, as in lab 2. */
static void answer_by_sendto(void)
{
    int server = open_server(&server_address, SOCK_DGRAM);
    struct sockaddr_un from = {0};
    socklen_t length = sizeof(from);
    char buf[64];

    role("ann");
    int ann = open_shut_client(&ann_address, SOCK_DGRAM);
    try_to_send_to(ann, "tea", &server_address);

    role("server");
    int n = CHECK(recvfrom(server, buf, sizeof(buf), 0,
                           (struct sockaddr *)&from, &length));
    say("recvfrom() = %d \"%.*s\" from \"%s\", %u bytes", n, n, buf,
        from.sun_path, length);
    try_to_send_to(server, "1 euro", &from);
    role("ann");
    change_mode(ann_address.sun_path, 0200);
    role("server");
    try_to_send_to(server, "1 euro", &from);
    role("ann");
    receive("ann", ann);

    CHECK(close(ann));
    CHECK(unlink(ann_address.sun_path));
    close_server(server, &server_address);
}

/* The server answers bob on the connection. */
static void answer_by_send(void)
{
    int listener = open_server(&server_address, SOCK_STREAM);
    struct sockaddr_un from = {0};
    socklen_t length = sizeof(from);

    role("bob");
    int bob = open_shut_client(&bob_address, SOCK_STREAM);
    connect_while_open(bob);
    send_text(bob, "cake");

    role("server");
    int to_bob = CHECK(accept(listener, (struct sockaddr *)&from, &length));
    say("accept(listener) -> \"%s\", %u bytes", from.sun_path, length);
    receive("to_bob", to_bob);
    send_text(to_bob, "4 euro");
    role("bob");
    receive("bob", bob);

    CHECK(close(bob));
    CHECK(unlink(bob_address.sun_path));
    CHECK(close(to_bob));
    close_server(listener, &server_address);
}

int main(void)
{
    need_proc();
    as_ordinary_user();    // root may connect whatever the mode is
    need_own_directory();
    umask(022);    // whatever umask the lab was started with

    step("Which bit of the file, and which bit of a directory?");
    which_bits();

    step("A directory is shut. Which ways still lead in?");
    three_ways();

    step("Who stays in after chmod()?");
    connections_after_chmod();

    step("And who can still send datagrams?");
    datagrams_after_chmod();

    step("The file of the client is shut. Does the answer arrive?");
    answer_by_sendto();
    answer_by_send();
}
