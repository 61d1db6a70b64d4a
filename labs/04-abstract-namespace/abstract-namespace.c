/*
 * 04-abstract-namespace -- what is the name of a socket that has no file?
 *
 * The bytes of sun_path, if the first of them is zero: an abstract name. The
 * length of the address says where the name ends, and zeros count. The kernel
 * keeps the name until the last descriptor of the socket is closed. The name
 * has no permissions.
 *
 *     sun_family           sun_path
 *     +---------+-----------------------------------------------------
 *     | AF_UNIX | \0 l  a  b  -  1  2  3  4  5  6  7 | \0 \0 \0 \0 ...
 *     +---------+-----------------------------------------------------
 *     |<-- 2 -->|<------------- 12 bytes ----------->|
 *     |<----- the length of the address is 14 ------>|
 *
 *     \0 is one zero byte
 *
 * See unix(7), bind(2), sendto(2), proc(5).
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/lab.h"

/* The two names that this lab compares. choose_name() fills in the first. */
static struct sockaddr_un abstract_address = {.sun_family = AF_UNIX};
static socklen_t abstract_length;
static const struct sockaddr_un path_address = {.sun_family = AF_UNIX,
                                                .sun_path = "server.sock"};

static char pid_digits[16];

/* The length of an address: the family, and this many bytes of sun_path. */
static socklen_t address_length(size_t path_bytes)
{
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes);
}

/* All processes of this machine share the abstract names. With the process
 * number in the name, two runs at the same time do not meet. */
static void choose_name(void)
{
    char *letters = abstract_address.sun_path + 1;    // sun_path[0] stays zero

    snprintf(pid_digits, sizeof(pid_digits), "%07d", getpid());
    snprintf(letters, sizeof(abstract_address.sun_path) - 1, "lab-%s",
             pid_digits);
    abstract_length = address_length(1 + strlen(letters));
}

/* The process number differs on each run, so the lab prints PID instead. */
static const char *masked(const char *name)
{
    static char text[128];    // good until the next call
    const char *pid = strstr(name, pid_digits);

    if (!pid)
        return name;
    snprintf(text, sizeof(text), "%.*sPID%s", (int)(pid - name), name,
             pid + strlen(pid_digits));
    return text;
}

/* A path in quotes. An abstract name with @ for its first byte, as tools show
 * it, and with the number of zeros that the length covers behind the name. */
static const char *shown(const struct sockaddr_un *address, socklen_t length)
{
    static char text[160];    // good until the next call
    int zeros = (int)length - (int)abstract_length;

    if (length == address_length(0))
        return "the family alone";
    if (address->sun_path[0] != '\0')
        snprintf(text, sizeof(text), "\"%s\"", masked(address->sun_path));
    else if (zeros == 0)
        snprintf(text, sizeof(text), "@%s", masked(address->sun_path + 1));
    else if (zeros == 1)
        snprintf(text, sizeof(text), "@%s + 1 zero",
                 masked(address->sun_path + 1));
    else
        snprintf(text, sizeof(text), "@%s + %d zeros",
                 masked(address->sun_path + 1), zeros);
    return text;
}

/* What ls -l shows with an s at the beginning of the line. */
static void say_socket_files(void)
{
    struct stat status;
    int files = 0;
    DIR *directory = opendir(".");

    if (!directory)
        fail("opendir(\".\")", __FILE__, __LINE__);
    errno = 0;
    struct dirent *entry = readdir(directory);
    while (entry) {
        CHECK(lstat(entry->d_name, &status));
        if (S_ISSOCK(status.st_mode))
            files++;
        entry = readdir(directory);
    }
    if (errno != 0)
        fail("readdir()", __FILE__, __LINE__);
    CHECK(closedir(directory));
    say("socket files in this directory: %d", files);
}

/* /proc/net/unix has a line for each Unix socket. The seventh word is the inode
 * of the socket, which fstat() tells, too. The eighth word is the name. */
static void say_name_in_proc(int fd)
{
    char line[256];
    char name[128];    // sun_path, and so each name, has at most 108 bytes
    struct stat status;
    unsigned long inode;

    CHECK(fstat(fd, &status));
    FILE *table = fopen("/proc/net/unix", "r");
    if (!table)
        fail("fopen(\"/proc/net/unix\")", __FILE__, __LINE__);
    while (fgets(line, sizeof(line), table)) {
        int words =
            sscanf(line, "%*s %*s %*s %*s %*s %*s %lu %127s", &inode, name);
        if (words == 2 && inode == status.st_ino)
            say("/proc/net/unix has: %s", masked(name));
    }
    if (ferror(table))
        fail("fgets()", __FILE__, __LINE__);
    CHECK(fclose(table));
}

/* If the name is taken, the socket stays without a name. */
static int open_and_bind(const struct sockaddr_un *address, socklen_t length)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    const char *result =
        RESULT(bind(fd, (const struct sockaddr *)address, length), EADDRINUSE);
    say("bind(%s, %u bytes) = %s", shown(address, length), length, result);
    return fd;
}

static ssize_t send_text(int fd, const char *text,
                         const struct sockaddr_un *address, socklen_t length)
{
    return sendto(fd, text, strlen(text), 0, (const struct sockaddr *)address,
                  length);
}

static void say_sent(const char *text, const struct sockaddr_un *address,
                     socklen_t length, const char *result)
{
    say("sendto(\"%s\", %s, %u bytes) = %s", text, shown(address, length),
        length, result);
}

/* ECONNREFUSED means that no socket has this name. */
static void try_to_send(int fd, const char *text,
                        const struct sockaddr_un *address, socklen_t length)
{
    const char *result =
        RESULT(send_text(fd, text, address, length), ECONNREFUSED);

    say_sent(text, address, length, result);
}

static void receive(int fd)
{
    char buf[64];    // longer than any text that is sent here
    int n = CHECK(recv(fd, buf, sizeof(buf), 0));

    say("recv() = %d \"%.*s\"", n, n, buf);
}

/* After each bind(): is there a new file, and does the kernel's list have the
 * name? */
static void where_it_can_be_seen(void)
{
    role("server");
    int first = open_and_bind(&abstract_address, abstract_length);
    say_socket_files();
    say_name_in_proc(first);

    int second = open_and_bind(&path_address, sizeof(path_address));
    say_socket_files();
    say_name_in_proc(second);

    CHECK(close(first));
    CHECK(close(second));
    CHECK(unlink(path_address.sun_path));
}

/* All three use the same structure: behind the name it has only zeros. They
 * pass different lengths. One process plays all three, because the kernel looks
 * at sockets, not at processes. */
static void end_of_abstract_name(void)
{
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("server");
    int server = open_and_bind(&abstract_address, abstract_length);
    role("other");
    int other = open_and_bind(&abstract_address, abstract_length + 1);
    say_name_in_proc(other);

    role("client");
    try_to_send(client, "red", &abstract_address, abstract_length);
    try_to_send(client, "blue", &abstract_address, abstract_length + 1);
    try_to_send(client, "green", &abstract_address, sizeof(abstract_address));
    role("server");
    receive(server);
    role("other");
    receive(other);

    CHECK(close(client));
    CHECK(close(server));
    CHECK(close(other));
}

/* The same with a path. The client's first length ends before the zero byte
 * that ends the string, its second length ends behind this byte. */
static void end_of_path(void)
{
    socklen_t no_zero = address_length(strlen(path_address.sun_path));
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("server");
    int server = open_and_bind(&path_address, sizeof(path_address));
    role("other");
    int other = open_and_bind(&path_address, no_zero);

    role("client");
    try_to_send(client, "red", &path_address, no_zero);
    try_to_send(client, "blue", &path_address, no_zero + 1);
    try_to_send(client, "green", &path_address, sizeof(path_address));
    role("server");
    receive(server);
    receive(server);
    receive(server);

    CHECK(close(client));
    CHECK(close(server));
    CHECK(close(other));
    CHECK(unlink(path_address.sun_path));
}

/* fork() gives the helper a copy of each descriptor. The helper does nothing
 * with them, and SIGKILL ends the helper before it can call close() or
 * unlink().
 */
static void when_it_is_free(void)
{
    role("old");
    int old_abstract = open_and_bind(&abstract_address, abstract_length);
    int old_path = open_and_bind(&path_address, sizeof(path_address));

    pid_t helper = CHECK(fork());
    if (helper == 0) {
        role("helper");
        CHECK(pause());    // it waits for SIGKILL
        _exit(EXIT_FAILURE);
    }
    int closed = CHECK(close(old_abstract));
    say("close(old_abstract) = %d", closed);
    closed = CHECK(close(old_path));
    say("close(old_path) = %d", closed);

    role("client");
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));
    try_to_send(client, "hello", &abstract_address, abstract_length);
    role("new");
    int too_early = open_and_bind(&abstract_address, abstract_length);

    int killed = CHECK(kill(helper, SIGKILL));
    say("kill(helper, SIGKILL) = %d", killed);
    CHECK(waitpid(helper, NULL, 0));    // reap() would want it to succeed

    role("client");
    try_to_send(client, "hello", &abstract_address, abstract_length);
    role("new");
    int new_abstract = open_and_bind(&abstract_address, abstract_length);
    int new_path = open_and_bind(&path_address, sizeof(path_address));

    CHECK(close(client));
    CHECK(close(too_early));
    CHECK(close(new_abstract));
    CHECK(close(new_path));
    CHECK(unlink(path_address.sun_path));
}

/* Root may write to every file. So the client gives up what is special about
 * root. This cannot be undone, so the client is a child. */
static void send_as_ordinary_user(const struct sockaddr_un *address,
                                  socklen_t length)
{
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("client");
        as_ordinary_user();

        int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));
        const char *result =
            RESULT(send_text(fd, "hello", address, length), EACCES);
        say_sent("hello", address, length, result);
        _exit(EXIT_SUCCESS);
    }
    reap(child);
}

/* Mode 0 means: nobody may read, write, or execute. First both sockets get this
 * mode, by their descriptors, then the file gets it. */
static void who_may_send(void)
{
    role("server");
    int abstract_fd = open_and_bind(&abstract_address, abstract_length);
    int path_fd = open_and_bind(&path_address, sizeof(path_address));

    int changed = CHECK(fchmod(abstract_fd, 0));
    say("fchmod(abstract_fd, 0) = %d", changed);
    changed = CHECK(fchmod(path_fd, 0));
    say("fchmod(path_fd, 0) = %d", changed);
    send_as_ordinary_user(&abstract_address, abstract_length);
    send_as_ordinary_user(&path_address, sizeof(path_address));

    changed = CHECK(chmod(path_address.sun_path, 0));
    say("chmod(\"%s\", 0) = %d", path_address.sun_path, changed);
    send_as_ordinary_user(&path_address, sizeof(path_address));

    CHECK(close(abstract_fd));
    CHECK(close(path_fd));
    CHECK(unlink(path_address.sun_path));
}

int main(void)
{
    if (access("/proc/net/unix", R_OK) == -1)
        skip("this lab reads /proc/net/unix: mount /proc");
    choose_name();

    step("Where can the name be seen?");
    where_it_can_be_seen();

    step("Where does an abstract name end?");
    end_of_abstract_name();

    step("Where does a path end?");
    end_of_path();

    step("When is the name free again?");
    when_it_is_free();

    step("Who may send to the name?");
    who_may_send();
}
