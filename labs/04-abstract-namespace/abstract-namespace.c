/*
 * 04-abstract-namespace -- what is the name of a socket that has no file?
 *
 * Its name is abstract: the bytes of sun_path, of which the first is zero. The
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

/* The same path in a structure that had a longer path before. Behind the zero
 * byte are the last letters of the old path, server.sock.old. */
static const struct sockaddr_un reused_address = {
    .sun_family = AF_UNIX, .sun_path = "server.sock\0old"};

/* ---- Names: how they are made and shown. You can read this part last. ---- */

static char pid_digits[16];

/* The length of an address: the family, and this many bytes of sun_path. */
static socklen_t address_length(size_t path_bytes)
{
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes);
}

/* All processes of this machine share the abstract names. With the pid in the
 * name, two runs at the same time do not meet, except in two containers that
 * share the network. The pid gets zeros in front, so that it always has seven
 * digits. */
static void choose_name(void)
{
    char *letters = abstract_address.sun_path + 1;    // sun_path[0] stays zero

    snprintf(pid_digits, sizeof(pid_digits), "%07d", getpid());
    snprintf(letters, sizeof(abstract_address.sun_path) - 1, "lab-%s",
             pid_digits);
    abstract_length = address_length(1 + strlen(letters));
}

/* The pid differs on each run, so the lab prints PID in the place of it. */
static const char *mask_pid(const char *name)
{
    static char text[128];    // good until the next call
    const char *pid = strstr(name, pid_digits);

    if (!pid)
        return name;
    snprintf(text, sizeof(text), "%.*sPID%s", (int)(pid - name), name,
             pid + strlen(pid_digits));
    return text;
}

/* A path in quotes, and letters behind its zero byte, if there are any. */
static const char *path_text(const struct sockaddr_un *address)
{
    static char text[160];    // good until the next call
    const char *behind = address->sun_path + strlen(address->sun_path) + 1;

    if (behind[0] == '\0')
        snprintf(text, sizeof(text), "\"%s\"", mask_pid(address->sun_path));
    else
        snprintf(text, sizeof(text), "\"%s\\0%s\"", mask_pid(address->sun_path),
                 behind);
    return text;
}

/* An abstract name with @ for its first byte, as tools show it, and with the
 * number of zeros that the length covers behind the name. An address that ends
 * before sun_path has no name. mask_pid(), path_text() and name_text() each
 * have a text of their own, so none overwrites what another one has made. */
static const char *name_text(const struct sockaddr_un *address,
                             socklen_t length)
{
    static char text[160];    // good until the next call

    if (length <= address_length(0))
        return "\"\"";
    if (address->sun_path[0] != '\0')
        return path_text(address);
    if (length <= abstract_length) {
        snprintf(text, sizeof(text), "@%s", mask_pid(address->sun_path + 1));
    } else {
        unsigned zeros = length - abstract_length;
        snprintf(text, sizeof(text), "@%s + %u zero%s",
                 mask_pid(address->sun_path + 1), zeros, zeros == 1 ? "" : "s");
    }
    return text;
}

/* Counts the files that ls -l shows with an s at the beginning of the line. */
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
    say("number of socket files in this directory: %d", files);
}

/* /proc/net/unix has a line for each Unix socket. The seventh word of a line is
 * the inode number, a number that the kernel has given to the socket. fstat()
 * tells the same number. So the line can be found without knowing the name,
 * which is the eighth word. "%*s" reads a word and does not store it. */
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
            say("/proc/net/unix shows: %s", mask_pid(name));
    }
    if (ferror(table))
        fail("fgets()", __FILE__, __LINE__);
    CHECK(fclose(table));
}

/* ---- The lab begins here. ---- */

static int open_and_bind(const struct sockaddr_un *address, socklen_t length)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    int bound = CHECK(bind(fd, (const struct sockaddr *)address, length));
    say("bind(%s, %u bytes) = %d", name_text(address, length), length, bound);
    return fd;
}

/* For a name that may be taken. The socket is closed at once. */
static void try_to_bind(const struct sockaddr_un *address, socklen_t length)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    const char *result =
        RESULT(bind(fd, (const struct sockaddr *)address, length), EADDRINUSE);
    say("bind(%s, %u bytes) = %s", name_text(address, length), length, result);
    CHECK(close(fd));
}

/* The caller names the one error that may come, or 0 for none. Any other error
 * ends the lab. Some of these calls fail only after an edit of "Break it".
 * RESULT() cannot be used here: it wants the name of an error, and here the
 * error is a variable. */
static void try_to_send(int fd, const char *text,
                        const struct sockaddr_un *address, socklen_t length,
                        int error)
{
    ssize_t n = sendto(fd, text, strlen(text), 0,
                       (const struct sockaddr *)address, length);

    if (n == -1 && errno != error)
        fail("sendto()", __FILE__, __LINE__);
    if (n == -1)
        say("sendto(\"%s\", %s, %u bytes) = -1 %s", text,
            name_text(address, length), length, error_name(error));
    else
        say("sendto(\"%s\", %s, %u bytes) = %zd", text,
            name_text(address, length), length, n);
}

static void receive(int fd)
{
    char buf[64];    // longer than any text that is sent here
    int n = CHECK(recv(fd, buf, sizeof(buf), 0));

    say("recv() = %d \"%.*s\"", n, n, buf);
}

/* bind() has made a file for one of the names, and unlink() removes the file.
 * Which name is in the kernel's list, and which one still leads to its socket?
 */
static void where_it_can_be_seen(void)
{
    role("server");
    int first = open_and_bind(&abstract_address, abstract_length);
    say_socket_files();
    int second = open_and_bind(&path_address, sizeof(path_address));
    say_socket_files();

    int removed = CHECK(unlink(path_address.sun_path));
    say("unlink(\"%s\") = %d", path_address.sun_path, removed);
    say_name_in_proc(first);
    say_name_in_proc(second);

    role("client");
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));
    try_to_send(client, "hello", &abstract_address, abstract_length,
                ECONNREFUSED);
    try_to_send(client, "hello", &path_address, sizeof(path_address), ENOENT);

    CHECK(close(client));
    CHECK(close(first));
    CHECK(close(second));
}

/* All three roles use the same structure: behind the name it has only zeros.
 * They pass different lengths. One process plays all three, because it makes no
 * difference which process has a socket. */
static void end_of_abstract_name(void)
{
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("server");
    int server = open_and_bind(&abstract_address, abstract_length);
    role("other");
    int other = open_and_bind(&abstract_address, abstract_length + 1);
    say_name_in_proc(other);

    role("client");
    try_to_send(client, "red", &abstract_address, abstract_length,
                ECONNREFUSED);
    try_to_send(client, "blue", &abstract_address, abstract_length + 1,
                ECONNREFUSED);
    try_to_send(client, "green", &abstract_address, sizeof(abstract_address),
                ECONNREFUSED);
    role("server");
    receive(server);
    role("other");
    receive(other);

    CHECK(close(client));
    CHECK(close(server));
    CHECK(close(other));
}

/* The client's first length ends before the zero byte that ends the string. Its
 * third address has letters behind this byte, and the length covers them. The
 * server receives each message before the next is sent: some machines let only
 * two of them wait. */
static void end_of_path(void)
{
    socklen_t no_zero = address_length(strlen(path_address.sun_path));
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("server");
    int server = open_and_bind(&path_address, sizeof(path_address));
    role("other");
    try_to_bind(&path_address, no_zero);
    try_to_bind(&reused_address, sizeof(reused_address));

    role("client");
    try_to_send(client, "red", &path_address, no_zero, 0);
    role("server");
    receive(server);
    role("client");
    try_to_send(client, "blue", &path_address, sizeof(path_address), 0);
    role("server");
    receive(server);
    role("client");
    try_to_send(client, "green", &reused_address, sizeof(reused_address), 0);
    role("server");
    receive(server);

    CHECK(close(client));
    CHECK(close(server));
    CHECK(unlink(path_address.sun_path));
}

static void send_to_both(int client)
{
    try_to_send(client, "hello", &abstract_address, abstract_length,
                ECONNREFUSED);
    try_to_send(client, "hello", &path_address, sizeof(path_address),
                ECONNREFUSED);
}

/* fork() gives the helper a copy of each descriptor. The helper does nothing
 * with them: it sleeps until it is killed. */
static pid_t start_helper(void)
{
    pid_t helper = CHECK(fork());
    if (helper == 0) {
        role("helper");
        CHECK(pause());    // until SIGKILL comes: this call never returns
        _exit(EXIT_FAILURE);
    }
    return helper;
}

/* SIGKILL cannot be caught, so the helper cannot call close() or unlink() when
 * it is killed. The kernel closes its descriptors. */
static void when_it_is_free(void)
{
    char buf[64];    // longer than any text that is sent here
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("old");
    int old_abstract = open_and_bind(&abstract_address, abstract_length);
    int old_path = open_and_bind(&path_address, sizeof(path_address));

    pid_t helper = start_helper();
    say("close(old_abstract), close(old_path) ...");
    CHECK(close(old_abstract));
    CHECK(close(old_path));

    role("client");
    send_to_both(client);
    role("new");
    try_to_bind(&abstract_address, abstract_length);

    int killed = CHECK(kill(helper, SIGKILL));
    say("kill(helper, SIGKILL) = %d", killed);
    CHECK(waitpid(helper, NULL, 0));    // not reap(): it is killed

    role("client");
    send_to_both(client);
    role("new");
    try_to_bind(&path_address, sizeof(path_address));
    int new_abstract = open_and_bind(&abstract_address, abstract_length);
    const char *result =
        RESULT(recv(new_abstract, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
    say("recv(new_abstract, MSG_DONTWAIT) = %s", result);

    CHECK(close(client));
    CHECK(close(new_abstract));
    CHECK(unlink(path_address.sun_path));
}

/* Root may write to every file, whatever its mode is. So the client gives up
 * root's rights. That cannot be undone, so the client is a child. */
static void send_as_ordinary_user(const struct sockaddr_un *address,
                                  socklen_t length)
{
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("client");
        as_ordinary_user();

        int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));
        try_to_send(fd, "hello", address, length, EACCES);
        CHECK(close(fd));
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
    need_proc();
    choose_name();

    step("Where can the name be seen, and what does unlink() take away?");
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
