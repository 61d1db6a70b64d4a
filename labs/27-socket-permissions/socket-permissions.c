/*
 * 27-socket-permissions -- who may connect?
 *
 * Whoever may search the directories on the way and write to the socket file.
 * bind() makes that file, with the mode that umask() leaves: a chmod() that
 * follows does not keep out a client that was quicker.
 *
 *     client ----> door/ ----> room/ ----> server.sock ----> server
 *                 search      search          write
 *
 * See unix(7), path_resolution(7), umask(2), chmod(2).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

union address {
    struct sockaddr any;
    struct sockaddr_un un;
};
static const union address here = {
    .un = {.sun_family = AF_UNIX, .sun_path = "server.sock"}};
static const union address in_room = {
    .un = {.sun_family = AF_UNIX, .sun_path = "door/room/server.sock"}};

static mode_t file_mode(void)
{
    struct stat file;

    CHECK(stat("server.sock", &file));
    return file.st_mode & 07777;
}

static int opened(int type, mode_t mask)
{
    int server = CHECK(socket(AF_UNIX, type, 0));

    role("server");
    umask(mask);    // it never fails
    CHECK(bind(server, &here.any, sizeof(here)));
    say("umask(%03o), bind(): mode %04o", mask, file_mode());
    if (type == SOCK_STREAM)
        CHECK(listen(server, 1));
    return server;
}

/* bind() made a file, and close() leaves it: the next bind() would fail. */
static void close_at(int sock, const union address *addr)
{
    CHECK(close(sock));
    CHECK(unlink(addr->un.sun_path));
}

static void set_mode(const char *path, mode_t mode)
{
    say("chmod(\"%s\", %04o) = %d", path, mode, CHECK(chmod(path, mode)));
}

/* Root passes any mode by its capabilities. Without them it is a user like
 * others; an ordinary user has none to lose.
 * Either owns the file, so of its mode it is the owner's digit that is asked:
 * an ordinary user has no second uid to try the other two with. */
static void client(int server, void (*attempt)(const union address *to),
                   const union address *to)
{
    pid_t child = CHECK(fork());

    if (child == 0) {
        role("client");
        CHECK(close(server));
        as_ordinary_user();
        attempt(to);
        _exit(EXIT_SUCCESS);
    }
    reap(child);
}

static void get_in(const union address *to)
{
    int server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    int result = CHECK(connect(server, &to->any, sizeof(*to)));

    say("connect(\"%s\") = %d", to->un.sun_path, result);
}

static void stay_out(const union address *to)
{
    int server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    say("connect(\"%s\") = %s", to->un.sun_path,
        RESULT(connect(server, &to->any, sizeof(*to)), EACCES));
}

static void send_in(const union address *to)
{
    int s = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    say("sendto(\"%s\", \"hello\") = %d", to->un.sun_path,
        CHECK(sendto(s, "hello", 5, 0, &to->any, sizeof(*to))));
}

static void send_in_vain(const union address *to)
{
    int s = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    say("sendto(\"%s\", \"hello\") = %s", to->un.sun_path,
        RESULT(sendto(s, "hello", 5, 0, &to->any, sizeof(*to)), EACCES));
}

static void from_umask(void)
{
    static const mode_t masks[] = {0, 002, 022, 077};

    for (size_t i = 0; i < ARRAY_LEN(masks); i++)
        close_at(opened(SOCK_STREAM, masks[i]), &here);
}

static void fchmod_before(void)
{
    static const mode_t modes[] = {0700, 0775, 0777};

    umask(022);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        int sock = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
        CHECK(fchmod(sock, modes[i]));
        CHECK(bind(sock, &here.any, sizeof(here)));
        say("umask(022), fchmod(socket, %04o), bind(): mode %04o", modes[i],
            file_mode());
        close_at(sock, &here);
    }
}

static void say_both(int sock)
{
    struct stat own;

    CHECK(fstat(sock, &own));
    say("fstat(socket): mode %04o, stat(\"server.sock\"): mode %04o",
        own.st_mode & 07777, file_mode());
}

/* A socket and its file are two inodes, each with a mode. */
static void fchmod_after(void)
{
    int listener = opened(SOCK_STREAM, 022);

    say_both(listener);
    say("fchmod(socket, 0000) = %d", CHECK(fchmod(listener, 0)));
    say_both(listener);
    client(listener, get_in, &here);
    set_mode("server.sock", 0);
    client(listener, stay_out, &here);
    close_at(listener, &here);
}

/* First everything except what is needed, then that and nothing else. */
static void which_bit(int type, void (*refused)(const union address *to),
                      void (*allowed)(const union address *to))
{
    int server = opened(type, 022);

    set_mode("server.sock", 0577);
    client(server, refused, &here);
    set_mode("server.sock", 0200);
    client(server, allowed, &here);
    close_at(server, &here);
}

static void window(void)
{
    char text[16];
    int server = opened(SOCK_DGRAM, 022);

    client(server, send_in, &here);    // it may come at any time
    set_mode("server.sock", 0);
    client(server, send_in_vain, &here);

    ssize_t n = CHECK(recv(server, text, sizeof(text), 0));
    say("recv() = %zd \"%.*s\"", n, (int)n, text);
    close_at(server, &here);
}

static void born_shut(void)
{
    int listener = opened(SOCK_STREAM, 0777);

    umask(022);    // or the next file of this process would have no mode, too
    client(listener, stay_out, &here);
    set_mode("server.sock", 0700);
    client(listener, get_in, &here);
    close_at(listener, &here);
}

/* The server goes in and shuts the door, and then there is a socket. */
static void behind_a_door(void)
{
    int outside = CHECK(open(".", O_RDONLY | O_DIRECTORY));

    CHECK(mkdir("door", 0700));
    CHECK(mkdir("door/room", 0700));
    say("chdir(\"door/room\") = %d", CHECK(chdir("door/room")));
    set_mode("..", 0600);
    int listener = opened(SOCK_STREAM, 0);
    CHECK(fchdir(outside));
    CHECK(close(outside));

    client(listener, stay_out, &in_room);
    set_mode("door", 0100);
    client(listener, get_in, &in_room);
    CHECK(chmod("door", 0700));
    close_at(listener, &in_room);
    CHECK(rmdir("door/room"));
    CHECK(rmdir("door"));
}

int main(void)
{
    step("Which mode does bind() give the file?");
    from_umask();

    step("What can fchmod() change before bind()?");
    fchmod_before();

    step("What can it change after bind()?");
    fchmod_after();

    step("Which bit does connect() need?");
    which_bit(SOCK_STREAM, stay_out, get_in);

    step("Which bit does sendto() need?");
    which_bit(SOCK_DGRAM, send_in_vain, send_in);

    step("Does chmod() after bind() come too late?");
    window();

    step("How is the file born shut?");
    born_shut();

    step("What if the directory is shut?");
    behind_a_door();
}
