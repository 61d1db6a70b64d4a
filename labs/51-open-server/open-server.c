/*
 * 51-open-server -- how does one process open files for another?
 *
 * A client asks for a name; the server opens it by its own rights and sends
 * the open file back, or the error. Only open() asks for permission: whoever
 * has the descriptor reads. So it is the server that must choose what to open.
 *
 *     client  sv[0] ------ name, flags ----------------> 0  server
 *             file  <----- error, why, SCM_RIGHTS ------ file
 *
 * See execve(2), open(2), unix(7), cmsg(3), capabilities(7).
 */
#define _GNU_SOURCE    // for O_PATH
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/lab.h"

/* Both ends run this very program, so that structs will do for messages. */
struct request {
    int flags;    // as for open()
    char name[60];
};

struct answer {
    int error;    // 0: the open file comes along
    char why[60];
};

/* A plain name in this directory. Without O_NOFOLLOW, a link could lead out. */
static int open_here(int dir, const struct request *request)
{
    if (strchr(request->name, '/') || strcmp(request->name, "..") == 0) {
        errno = EXDEV;
        return -1;
    }
    int flags = request->flags & (O_WRONLY | O_RDWR | O_APPEND);    // no O_PATH
    return openat(dir, request->name, flags | O_NOFOLLOW | O_CLOEXEC);
}

/* For the system EXDEV is about devices, and ELOOP about many links. */
static const char *reason(int error)
{
    if (error == EXDEV)
        return "it leads out of the directory";
    return error == ELOOP ? "it is a symbolic link" : strerror(error);
}

static void reply(int client, int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct answer answer = {.error = fd == -1 ? errno : 0};
    struct iovec iov = {&answer, sizeof(answer)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    snprintf(answer.why, sizeof(answer.why), "%s", reason(answer.error));
    if (fd != -1) {
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
    }
    CHECK(sendmsg(client, &msg, MSG_NOSIGNAL));
    if (fd != -1)
        CHECK(close(fd));    // the client has its own
}

/* Between the process that called execv() and this one only the descriptors
 * are the same: what step() did and knew is gone. */
static _Noreturn void server(const char *directory)
{
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    say("argv[0] is \"open-server\": this process is the server");
    lab_process = getppid();
    role("server");
    int dir = CHECK(open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC));
    ssize_t n;
    do {
        struct request request = {0};    // less than all of it may come

        n = CHECK(recv(STDIN_FILENO, &request, sizeof(request), 0));
        request.name[sizeof(request.name) - 1] = '\0';    // if it was not there
        if (n > 0)
            reply(STDIN_FILENO, open_here(dir, &request));
    } while (n > 0);
    say("recv() = %zd, end of file", n);
    _exit(EXIT_SUCCESS);
}

/* SOCK_CLOEXEC: only the copy that dup2() makes outlives execv(). With a copy
 * of sv[0], too, the server would never see the end of file. */
static pid_t start_server(int sv[2])
{
    char *const argv[] = {"open-server", "vault/notes", NULL};

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("child");
        CHECK(dup2(sv[1], STDIN_FILENO));
        say("execv(\"/proc/self/exe\", [\"%s\", \"%s\"])", argv[0], argv[1]);
        CHECK(execv("/proc/self/exe", argv));
    }
    CHECK(close(sv[1]));
    return child;
}

/* Like open(), but it is the server that opens, and says why if it cannot. */
static int ask_open(int server, const char *name, int flags, struct answer *it)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct request request = {.flags = flags};
    struct iovec iov = {it, sizeof(*it)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int fd = -1;

    snprintf(request.name, sizeof(request.name), "%s", name);
    CHECK(send(server, &request, sizeof(request), MSG_NOSIGNAL));
    msg.msg_control = control;
    msg.msg_controllen = CMSG_LEN(sizeof(int));    // not two: lab 33
    ssize_t n = CHECK(recvmsg(server, &msg, MSG_CMSG_CLOEXEC));
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    if (cmsg && cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
    errno = n == sizeof(*it) ? it->error : ECONNRESET;
    return fd;
}

static void read_today(int server)
{
    struct answer yes;
    char text[64];
    int file = CHECK(ask_open(server, "today", O_RDONLY, &yes));
    ssize_t n = CHECK(read(file, text, sizeof(text)));

    say("ask_open(\"today\", O_RDONLY) = a descriptor");
    say("read(it) = %zd \"%.*s\"", n, (int)n, text);
    CHECK(close(file));
}

static void write_today(int server)
{
    struct answer yes;
    int file = CHECK(ask_open(server, "today", O_RDONLY, &yes));

    say("ask_open(\"today\", O_RDONLY), write(it) = %s",
        RESULT(write(file, ", bread", 7), EBADF));
    CHECK(close(file));
    file = CHECK(ask_open(server, "today", O_WRONLY | O_APPEND, &yes));
    say("ask_open(\"today\", O_WRONLY | O_APPEND), write(it) = %d",
        CHECK(write(file, ", bread", 7)));
    CHECK(close(file));
}

static void refused(int server)
{
    struct answer no;

    say("ask_open(\"tomorrow\") = %s \"%s\"",
        RESULT(ask_open(server, "tomorrow", O_RDONLY, &no), ENOENT), no.why);
    say("ask_open(\"/etc/passwd\") = %s \"%s\"",
        RESULT(ask_open(server, "/etc/passwd", O_RDONLY, &no), EXDEV), no.why);
    say("ask_open(\"..\") = %s \"%s\"",
        RESULT(ask_open(server, "..", O_RDONLY, &no), EXDEV), no.why);
    say("ask_open(\"link\") = %s \"%s\"",
        RESULT(ask_open(server, "link", O_RDONLY, &no), ELOOP), no.why);
}

/* Without its capabilities, root is a user like others. */
static _Noreturn void guest(int server)
{

    role("guest");
    as_ordinary_user();
    say("open(\"vault/notes/today\") = %s",
        RESULT(open("vault/notes/today", O_RDONLY | O_CLOEXEC), EACCES));
    read_today(server);
    _exit(EXIT_SUCCESS);
}

/* No path leads through the vault now. The server's descriptor is past it. */
static void locked_out(int server)
{
    say("chmod(\"vault\", 0) = %d", CHECK(chmod("vault", 0)));
    pid_t child = CHECK(fork());
    if (child == 0)
        guest(server);
    reap(child);
    CHECK(chmod("vault", 0700));
}

static void end_of_file(int server, pid_t child)
{
    int status;

    say("close(sv[0])");
    CHECK(close(server));
    CHECK(waitpid(child, &status, 0));
    if (WIFEXITED(status))
        say("waitpid(): exited, with status %d", WEXITSTATUS(status));
    else
        say("waitpid(): killed by %s", strsignal(WTERMSIG(status)));
}

static void make_vault(void)
{
    CHECK(mkdir("vault", 0700));
    CHECK(mkdir("vault/notes", 0700));
    int file = CHECK(open("vault/notes/today", O_WRONLY | O_CREAT, 0600));
    CHECK(write(file, "milk", 4));
    CHECK(close(file));
    CHECK(symlink("/etc/passwd", "vault/notes/link"));
}

static void remove_vault(void)
{
    CHECK(unlink("vault/notes/link"));
    CHECK(unlink("vault/notes/today"));
    CHECK(rmdir("vault/notes"));
    CHECK(rmdir("vault"));
}

int main(int argc, char *argv[])
{
    int sv[2];

    if (argc == 2 && strcmp(argv[0], "open-server") == 0)
        server(argv[1]);

    need_proc();

    step("Who opens the file that the client reads?");
    make_vault();
    pid_t child = start_server(sv);
    role("client");
    read_today(sv[0]);

    step("May the client write to it?");
    write_today(sv[0]);

    step("What comes if there is no descriptor?");
    refused(sv[0]);

    step("Can one read a file that one may not open?");
    locked_out(sv[0]);

    step("What ends the server?");
    end_of_file(sv[0], child);
    remove_vault();
}
