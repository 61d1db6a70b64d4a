/*
 * 04-abstract-namespace -- what is the name of a socket that has no file?
 *
 * The bytes of sun_path, if the first of them is zero: an abstract name. The
 * length of the address says where the name ends, and zeros count. The kernel
 * keeps the name in a table of its own until the last descriptor of the socket
 * is closed. The name has no permissions.
 *
 *     sun_family           sun_path
 *     +---------+----------------------------------------------------
 *     | AF_UNIX | 0  l  a  b  -  0  0  1  2  3  4  5 | 0  0  0  0 ...
 *     +---------+----------------------------------------------------
 *     |<-- 2 -->|<------------- 12 bytes ----------->|
 *     |<----- the length of the address is 14 ------>|
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

static const char greeting[] = "hello";

/* The two names that this lab compares. choose_name() fills in the first. */
static struct sockaddr_un abstract = {.sun_family = AF_UNIX};
static socklen_t abstract_length;
static const struct sockaddr_un file = {.sun_family = AF_UNIX,
                                        .sun_path = "server.sock"};

static char pid_digits[16];

/* The length of an address whose name has so many bytes. */
static socklen_t address_length(size_t name_bytes)
{
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_bytes);
}

/* All processes of this machine share the table of abstract names. With the
 * process number in the name, two runs at the same time do not meet. */
static void choose_name(const char *prefix)
{
    char *letters = abstract.sun_path + 1;    // sun_path[0] stays zero

    snprintf(pid_digits, sizeof(pid_digits), "%07d", getpid());
    snprintf(letters, sizeof(abstract.sun_path) - 1, "%s%s", prefix,
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

/* An abstract name with @ for its first byte, as tools show it; a path in
 * quotes. */
static const char *shown(const struct sockaddr_un *address)
{
    static char text[160];    // good until the next call

    if (address->sun_path[0] == '\0')
        snprintf(text, sizeof(text), "@%s", masked(address->sun_path + 1));
    else
        snprintf(text, sizeof(text), "\"%s\"", masked(address->sun_path));
    return text;
}

/* What ls would show. The runner starts the lab in an empty directory. */
static void say_files(void)
{
    int files = 0;
    DIR *directory = opendir(".");

    if (!directory)
        fail("opendir(\".\")", __FILE__, __LINE__);
    errno = 0;
    struct dirent *entry = readdir(directory);
    while (entry) {
        if (entry->d_name[0] != '.')
            files++;
        entry = readdir(directory);
    }
    if (errno != 0)
        fail("readdir()", __FILE__, __LINE__);
    CHECK(closedir(directory));
    say("files in this directory: %d", files);
}

/* /proc/net/unix has a line for each Unix socket. The seventh word is the inode
 * of the socket, which fstat() tells, too. The eighth word is the name. */
static void say_name_in_proc(int fd)
{
    char line[256], name[128];    // no line and no name is longer
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
    say("bind(%s, %u bytes) = %s", shown(address), length, result);
    return fd;
}

static ssize_t send_greeting(int fd, const struct sockaddr_un *address,
                             socklen_t length)
{
    return sendto(fd, greeting, strlen(greeting), 0,
                  (const struct sockaddr *)address, length);
}

static void say_sent(const struct sockaddr_un *address, socklen_t length,
                     const char *result)
{
    say("sendto(\"%s\", %s, %u bytes) = %s", greeting, shown(address), length,
        result);
}

/* ECONNREFUSED means that no socket has this name. */
static void greet(int fd, const struct sockaddr_un *address, socklen_t length)
{
    const char *result =
        RESULT(send_greeting(fd, address, length), ECONNREFUSED);

    say_sent(address, length, result);
}

/* The same two questions about a name of each kind. */
static void where_it_can_be_seen(void)
{
    role("server");
    int first = open_and_bind(&abstract, abstract_length);
    say_files();
    say_name_in_proc(first);

    int second = open_and_bind(&file, sizeof(file));
    say_files();
    say_name_in_proc(second);

    CHECK(close(first));
    CHECK(close(second));
    CHECK(unlink(file.sun_path));
}

/* The client has the same bytes as the server, and behind them only zeros. It
 * tries three lengths. In the end somebody else binds with the second length.
 * One process plays all of them. */
static void end_of_abstract_name(void)
{
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("server");
    int server = open_and_bind(&abstract, abstract_length);

    role("client");
    greet(client, &abstract, abstract_length);
    greet(client, &abstract, abstract_length + 1);
    greet(client, &abstract, sizeof(abstract));

    role("other");
    int other = open_and_bind(&abstract, abstract_length + 1);
    say_name_in_proc(other);

    CHECK(close(client));
    CHECK(close(server));
    CHECK(close(other));
}

/* The same with a path. The first length ends before the zero byte that ends
 * the string, the second behind it. */
static void end_of_path(void)
{
    socklen_t letters = address_length(strlen(file.sun_path));
    int client = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("server");
    int server = open_and_bind(&file, sizeof(file));

    role("client");
    greet(client, &file, letters);
    greet(client, &file, letters + 1);
    greet(client, &file, sizeof(file));

    role("other");
    int other = open_and_bind(&file, letters + 1);

    CHECK(close(client));
    CHECK(close(server));
    CHECK(close(other));
    CHECK(unlink(file.sun_path));
}

/* fork() gives the helper a copy of each descriptor. SIGKILL ends the helper
 * before it can call close() or unlink(). */
static void when_it_is_free(void)
{
    role("old");
    int old_abstract = open_and_bind(&abstract, abstract_length);
    int old_file = open_and_bind(&file, sizeof(file));

    pid_t helper = CHECK(fork());
    if (helper == 0) {
        role("helper");
        CHECK(pause());    // until SIGKILL: it never returns
        _exit(EXIT_FAILURE);
    }
    int closed = CHECK(close(old_abstract));
    say("close(old_abstract) = %d", closed);
    closed = CHECK(close(old_file));
    say("close(old_file) = %d", closed);

    role("new");
    int too_early = open_and_bind(&abstract, abstract_length);
    int killed = CHECK(kill(helper, SIGKILL));
    say("kill(helper, SIGKILL) = %d", killed);
    CHECK(waitpid(helper, NULL, 0));

    int new_abstract = open_and_bind(&abstract, abstract_length);
    int new_file = open_and_bind(&file, sizeof(file));

    CHECK(close(too_early));
    CHECK(close(new_abstract));
    CHECK(close(new_file));
    CHECK(unlink(file.sun_path));
}

/* Mode 0 means: nobody may read, write, or execute. Root may do so in spite of
 * it, so the client becomes an ordinary user first. */
static void who_may_send(void)
{
    role("server");
    int abstract_fd = open_and_bind(&abstract, abstract_length);
    int file_fd = open_and_bind(&file, sizeof(file));
    int changed = CHECK(fchmod(abstract_fd, 0));
    say("fchmod(abstract_fd, 0) = %d", changed);
    changed = CHECK(chmod(file.sun_path, 0));
    say("chmod(\"%s\", 0) = %d", file.sun_path, changed);

    pid_t child = CHECK(fork());
    if (child == 0) {
        role("client");
        CHECK(close(abstract_fd));
        CHECK(close(file_fd));
        as_ordinary_user();

        int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));
        greet(fd, &abstract, abstract_length);
        const char *result =
            RESULT(send_greeting(fd, &file, sizeof(file)), EACCES);
        say_sent(&file, sizeof(file), result);
        _exit(EXIT_SUCCESS);
    }
    reap(child);

    CHECK(close(abstract_fd));
    CHECK(close(file_fd));
    CHECK(unlink(file.sun_path));
}

int main(void)
{
    if (access("/proc/net/unix", R_OK) == -1)
        skip("this lab reads /proc/net/unix: mount /proc");
    choose_name("lab-");

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
