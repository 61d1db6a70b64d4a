/*
 * 04-abstract-namespace -- what is the name of a socket that has no file?
 *
 * If sun_path begins with a zero byte, the name is abstract: all the bytes
 * that the address length covers, zeros too, in a table of the kernel. It
 * needs no directory, has no permissions, and goes with the last descriptor.
 *
 *     sun_family | 0 l a b - P I D | 0 0 0 0 0 0 ...
 *     <------------ len ----------> <- not the name
 *
 * See unix(7), bind(2), getsockname(2), proc(5).
 */
#define _GNU_SOURCE    // struct ucred

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

static const struct sockaddr_un file = {.sun_family = AF_UNIX,
                                        .sun_path = "server.sock"};

/* The result counts the zero byte in front, and not the one at the end. The pid
 * is the first process's, whoever calls: all processes of a lab must mean the
 * same name, and two students on one machine must not. */
static socklen_t abstract_name(struct sockaddr_un *addr)
{
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = CHECK(snprintf(addr->sun_path, sizeof(addr->sun_path), "%clab-%d",
                           0, lab_process));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
}

/* The kernel lists all AF_UNIX sockets in /proc/net/unix. A name ends its line,
 * and has an @ for each of its zero bytes. */
static const char *listed(const char *ending)
{
    char line[256], wanted[32];    // no line is longer than 200
    const char *answer = "no";
    FILE *table = fopen("/proc/net/unix", "r");
    if (!table)
        fail("fopen(\"/proc/net/unix\")", __FILE__, __LINE__);
    snprintf(wanted, sizeof(wanted), " @lab-%d%s\n", lab_process, ending);
    while (fgets(line, sizeof(line), table))
        if (strstr(line, wanted))
            answer = "yes";
    if (ferror(table))
        fail("fgets()", __FILE__, __LINE__);
    CHECK(fclose(table));
    return answer;
}

/* A name that was free is taken for as long as the returned socket is open. */
static int try_bind(const char *what, int type, const void *addr, socklen_t len)
{
    int sock = CHECK(socket(AF_UNIX, type, 0));

    say("bind(%s) = %s", what, RESULT(bind(sock, addr, len), EADDRINUSE));
    return sock;
}

static void no_file(void)
{
    struct sockaddr_un addr;
    socklen_t len = abstract_name(&addr);

    role("server");
    int sock = try_bind("@lab-PID", SOCK_STREAM, &addr, len);
    say("access(\"lab-PID\") = %s",
        RESULT(access(addr.sun_path + 1, F_OK), ENOENT));
    say("/proc/net/unix has @lab-PID: %s", listed(""));
    CHECK(close(sock));
}

static void client(const void *addr, socklen_t len)
{
    char answer[16];
    int server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    role("client");
    say("connect(@lab-PID, len + 1) = %s",
        RESULT(connect(server, addr, len + 1), ECONNREFUSED));
    say("connect(@lab-PID, sizeof(struct sockaddr_un)) = %s",
        RESULT(connect(server, addr, sizeof(struct sockaddr_un)),
               ECONNREFUSED));
    say("connect(@lab-PID, len), write(\"hello\")");
    CHECK(connect(server, addr, len));
    CHECK(write(server, "hello", 5));
    ssize_t n = CHECK(read(server, answer, sizeof(answer)));
    say("read() = %zd \"%.*s\"", n, (int)n, answer);
    _exit(EXIT_SUCCESS);
}

static void exact_length(void)
{
    char greeting[16];
    struct sockaddr_un addr;
    socklen_t len = abstract_name(&addr);

    int listener = try_bind("@lab-PID, len", SOCK_STREAM, &addr, len);
    CHECK(listen(listener, 1));
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(listener));    // or this copy would keep the name, too
        client(&addr, len);
    }
    int peer = CHECK(accept(listener, NULL, NULL));
    ssize_t n = CHECK(read(peer, greeting, sizeof(greeting)));
    say("read() = %zd \"%.*s\", write(\"welcome\")", n, (int)n, greeting);
    CHECK(write(peer, "welcome", 7));
    reap(child);

    int longer = try_bind("@lab-PID, len + 1", SOCK_STREAM, &addr, len + 1);
    say("/proc/net/unix has @lab-PID@: %s", listed("@"));
    CHECK(close(longer));
    CHECK(close(peer));
    CHECK(close(listener));
}

/* SUN_LEN() is made for paths, and counts to the first zero byte. To bind(),
 * a family alone is a request for any free name. */
static void sun_len(void)
{
    struct sockaddr_un addr;
    socklen_t len = abstract_name(&addr), trap = (socklen_t)SUN_LEN(&addr);

    say("SUN_LEN(&addr) = %u", trap);
    int sock = try_bind("@lab-PID, SUN_LEN(&addr)", SOCK_STREAM, &addr, trap);
    say("/proc/net/unix has @lab-PID: %s", listed(""));
    len = sizeof(addr);
    CHECK(getsockname(sock, (struct sockaddr *)&addr, &len));
    say("getsockname(): %u bytes, the kernel's choice", len);
    CHECK(close(sock));
}

static void same_name(void)
{
    struct sockaddr_un addr;
    socklen_t len = abstract_name(&addr);

    int stream = try_bind("stream, @lab-PID", SOCK_STREAM, &addr, len);
    int second = try_bind("second stream, @lab-PID", SOCK_STREAM, &addr, len);
    int dgram = try_bind("dgram, @lab-PID", SOCK_DGRAM, &addr, len);
    /* Without the zero byte in front it is a path, and bind() makes a file. */
    memmove(addr.sun_path, addr.sun_path + 1, sizeof(addr.sun_path) - 1);
    int path = try_bind("path, \"lab-PID\"", SOCK_STREAM, &addr, len);
    CHECK(unlink(addr.sun_path));
    CHECK(close(stream));
    CHECK(close(second));
    CHECK(close(dgram));
    CHECK(close(path));
}

static void killed(void)
{
    struct sockaddr_un addr;
    socklen_t len = abstract_name(&addr);
    int status;

    pid_t child = CHECK(fork());
    if (child == 0) {
        role("first");
        try_bind("@lab-PID", SOCK_STREAM, &addr, len);
        try_bind("\"server.sock\"", SOCK_STREAM, &file, sizeof(file));
        say("kill(getpid(), SIGKILL)");
        CHECK(kill(getpid(), SIGKILL));    // so it can neither close nor unlink
    }
    CHECK(waitpid(child, &status, 0));

    role("second");
    say("the first was killed: %s",
        WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? "yes" : "no");
    CHECK(close(try_bind("@lab-PID", SOCK_STREAM, &addr, len)));
    CHECK(close(try_bind("\"server.sock\"", SOCK_STREAM, &file, sizeof(file))));
    CHECK(unlink(file.sun_path));
}

/* Root passes any mode by its capabilities, and is a user like others without
 * them; an ordinary user has none to lose. */
static void unprivileged(const void *addr, socklen_t len)
{
    int server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    role("client");
    as_ordinary_user();
    say("connect(\"server.sock\") = %s",
        RESULT(connect(server, (const void *)&file, sizeof(file)), EACCES));
    say("connect(@lab-PID) = %d", CHECK(connect(server, addr, len)));
    _exit(EXIT_SUCCESS);
}

static void permissions(void)
{
    struct sockaddr_un addr;
    struct ucred cred;
    socklen_t len = abstract_name(&addr), cred_len = sizeof(cred);

    role("server");
    int path = try_bind("\"server.sock\"", SOCK_STREAM, &file, sizeof(file));
    int listener = try_bind("@lab-PID", SOCK_STREAM, &addr, len);
    CHECK(listen(path, 1));
    CHECK(listen(listener, 1));
    say("chmod(\"server.sock\", 0) = %d", CHECK(chmod(file.sun_path, 0)));
    say("fchmod(listener, 0) = %d", CHECK(fchmod(listener, 0)));
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(path));
        CHECK(close(listener));
        unprivileged(&addr, len);
    }
    reap(child);

    int peer = CHECK(accept(listener, NULL, NULL));
    CHECK(getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len));
    say("SO_PEERCRED pid == child pid: %s", cred.pid == child ? "yes" : "no");
    say("SO_PEERCRED uid == own uid: %s", cred.uid == geteuid() ? "yes" : "no");
    CHECK(close(peer));
    CHECK(close(listener));
    CHECK(close(path));
    CHECK(unlink(file.sun_path));
}

int main(void)
{
    step("Where is a name that is in no directory?");
    no_file();

    step("Where does the name end?");
    exact_length();

    step("What does SUN_LEN() make of it?");
    sun_len();

    step("What else may have the same name?");
    same_name();

    step("What does SIGKILL leave behind?");
    killed();

    step("Whom does mode 0 keep out?");
    permissions();
}
