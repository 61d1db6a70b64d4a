/*
 * 28-who-gets-in -- who gets in, and who stays in?
 *
 * A client needs permission to go through each directory on its way to the
 * socket file, and to write to this file. For the owner only the owner's digit
 * of the mode counts. The kernel looks when a path is used, in connect() and in
 * sendto(). It does not look again for a socket that is connected.
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

static int open_server(const struct sockaddr_un *address, int type)
{
    int fd = CHECK(socket(AF_UNIX, type, 0));

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

static int connect_to(const struct sockaddr_un *address, int type)
{
    int fd = CHECK(socket(AF_UNIX, type, 0));

    int connected =
        CHECK(connect(fd, (const struct sockaddr *)address, sizeof(*address)));
    say("connect(\"%s\") = %d", address->sun_path, connected);
    return fd;
}

/* For a client that may be refused. Its socket is closed at once. */
static void try_to_connect(const struct sockaddr_un *address)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    const char *result =
        RESULT(connect(fd, (const struct sockaddr *)address, sizeof(*address)),
               EACCES);
    say("connect(\"%s\") = %s", address->sun_path, result);
    CHECK(close(fd));
}

static void try_to_send_to(int fd, const char *text)
{
    const char *result = RESULT(sendto(fd, text, strlen(text), 0,
                                       (const struct sockaddr *)&server_address,
                                       sizeof(server_address)),
                                EACCES);

    say("sendto(\"%s\", \"%s\") = %s", text, server_address.sun_path, result);
}

/* For a connected socket: there is no address. */
static void send_text(int fd, const char *text)
{
    int n = CHECK(send(fd, text, strlen(text), 0));

    say("send(\"%s\") = %d", text, n);
}

/* With MSG_DONTWAIT: if nothing has come, the result is -1 EAGAIN. */
static void receive(const char *name, int fd)
{
    char buf[64];    // longer than any text that is sent here

    ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (n == -1 && errno != EAGAIN)
        fail("recv()", __FILE__, __LINE__);
    if (n == -1)
        say("recv(%s) = -1 %s", name, error_name(EAGAIN));
    else
        say("recv(%s) = %zd \"%.*s\"", name, n, (int)n, buf);
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

/* Numbers of users differ, so the owner's has a name. */
static void say_who_i_am(const char *path)
{
    struct stat status;

    CHECK(stat(path, &status));
    if (geteuid() == status.st_uid)
        say("uid: the owner's, capabilities: %llx", own_capabilities());
    else
        say("uid: %u, capabilities: %llx", geteuid(), own_capabilities());
}

/* First the owner's digit has everything but the bit that is needed, and the
 * other two digits have all. Then there is this bit and nothing else. */
static void which_bit(void)
{
    int listener = open_server(&server_address, SOCK_STREAM);

    role("client");
    say_who_i_am(server_address.sun_path);

    role("server");
    change_mode(server_address.sun_path, 0577);
    role("client");
    try_to_connect(&server_address);

    role("server");
    change_mode(server_address.sun_path, 0200);
    role("client");
    try_to_connect(&server_address);

    close_server(listener, &server_address);
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

/* The file lets everybody in. The directory above it does not. */
static void which_bit_of_a_directory(void)
{
    make_rooms();
    int listener = open_server(&room_address, SOCK_STREAM);

    role("server");
    change_mode(room_address.sun_path, 0777);
    change_mode("door", 0600);
    role("client");
    try_to_connect(&room_address);

    role("server");
    change_mode("door", 0100);
    role("client");
    try_to_connect(&room_address);

    CHECK(chmod("door", 0700));
    close_server(listener, &room_address);
    remove_rooms();
}

/* bob is a process of its own, because a process has one current directory. He
 * goes into the room, says so on his end of a pair, and waits until the server
 * says that the door is shut. */
static _Noreturn void run_bob(int to_server)
{
    char byte = 'x';

    role("bob");
    int entered = CHECK(chdir("door/room"));
    say("chdir(\"door/room\") = %d", entered);
    CHECK(write(to_server, &byte, 1));
    CHECK(read(to_server, &byte, 1));

    try_to_connect(&server_address);
    _exit(EXIT_SUCCESS);
}

/* One file, and three ways to it. The hard link and bob's current directory are
 * there before the door is shut. */
static void three_ways(void)
{
    int sv[2];
    char byte;

    make_rooms();
    int listener = open_server(&room_address, SOCK_STREAM);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));

    role("server");
    int linked = CHECK(link(room_address.sun_path, back_address.sun_path));
    say("link(\"%s\", \"%s\") = %d", room_address.sun_path,
        back_address.sun_path, linked);
    pid_t bob = CHECK(fork());
    if (bob == 0) {
        CHECK(close(listener));
        CHECK(close(sv[0]));
        run_bob(sv[1]);
    }
    CHECK(close(sv[1]));
    CHECK(read(sv[0], &byte, 1));    // bob is in the room
    change_mode("door", 0);

    role("ann");
    try_to_connect(&room_address);
    CHECK(write(sv[0], &byte, 1));
    reap(bob);
    role("carol");
    try_to_connect(&back_address);

    CHECK(close(sv[0]));
    CHECK(chmod("door", 0700));
    CHECK(chmod("door/room", 0700));    // only edit 2 changes this one
    CHECK(unlink(back_address.sun_path));
    close_server(listener, &room_address);
    remove_rooms();
}

/* ann is accepted, bob waits in the queue, and carol comes after chmod(). */
static void after_connect(void)
{
    role("server");
    int listener = open_server(&server_address, SOCK_STREAM);

    role("ann");
    int ann = connect_to(&server_address, SOCK_STREAM);
    role("server");
    say("accept() ...");
    int first = CHECK(accept(listener, NULL, NULL));
    role("bob");
    int bob = connect_to(&server_address, SOCK_STREAM);

    role("server");
    change_mode(server_address.sun_path, 0);
    role("carol");
    try_to_connect(&server_address);

    role("ann");
    send_text(ann, "I am ann");
    role("bob");
    send_text(bob, "I am bob");
    role("server");
    receive("first", first);
    say("accept() ...");
    int second = CHECK(accept(listener, NULL, NULL));
    receive("second", second);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(first));
    CHECK(close(second));
    close_server(listener, &server_address);
}

/* ann gives the address with each datagram. bob has given it once, to
 * connect(). */
static void after_sendto(void)
{
    int server = open_server(&server_address, SOCK_DGRAM);

    role("ann");
    int ann = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));
    try_to_send_to(ann, "ann, 1");
    role("bob");
    int bob = connect_to(&server_address, SOCK_DGRAM);
    send_text(bob, "bob, 1");

    role("server");
    change_mode(server_address.sun_path, 0);

    role("ann");
    try_to_send_to(ann, "ann, 2");
    role("bob");
    send_text(bob, "bob, 2");

    role("server");
    receive("server", server);
    receive("server", server);
    receive("server", server);
    receive("server", server);

    CHECK(close(ann));
    CHECK(close(bob));
    close_server(server, &server_address);
}

/* Who has given up root's privileges needs the permission to make files. */
static void need_own_directory(void)
{
    int allowed = access(".", W_OK | X_OK);

    if (allowed == -1 && errno == EACCES)
        skip("this lab makes files here: run it in a directory of your own");
    CHECK(allowed);
}

int main(void)
{
    need_proc();
    as_ordinary_user();    // root may connect whatever the mode is
    need_own_directory();
    umask(022);

    step("Which bit does the owner need?");
    which_bit();

    step("Which bit of a directory?");
    which_bit_of_a_directory();

    step("The door is shut. Which ways still lead in?");
    three_ways();

    step("Who stays in after chmod()?");
    after_connect();

    step("And who can still send datagrams?");
    after_sendto();
}
