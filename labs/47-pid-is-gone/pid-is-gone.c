/*
 * 47-pid-is-gone -- whose pid is it now?
 *
 * A pid means a process until the process has been waited for. After that the
 * kernel may give the same number to a new process, and then a server that has
 * kept the number means the new process with it. A pidfd is a descriptor that
 * means one process for ever. But a server that opens it by the pid may come
 * too late.
 *
 *                                      waitpid(ann)
 *     ann, pid 100       |-------------|
 *     bob, pid 100                         |-----------------
 *     kill(100, SIGKILL)    hits ann           hits bob
 *     by ann's pidfd        hits ann           -1 ESRCH
 *
 * See pidfd_open(2), pidfd_send_signal(2), unix(7), pid_namespaces(7).
 */
#define _GNU_SOURCE    // for struct ucred, unshare()
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

static const char *const last_pid_path = "/proc/sys/kernel/ns_last_pid";

/* An abstract name, which the kernel has chosen. */
static struct sockaddr_un server_address;
static socklen_t server_length;

/* The pids of the processes that this step has started, or 0. */
static pid_t ann, bob, carol;

/* Pids differ on each run, so a pid is printed as whose it is or was. */
static const char *pid_text(pid_t pid)
{
    static char number[16];    // good until the next call

    if (pid == 0)
        return "0";
    if (pid == ann && pid == bob)
        return "ann's and bob's";
    if (pid == ann)
        return "ann's";
    if (pid == bob)
        return "bob's";
    if (pid == carol)
        return "carol's";
    snprintf(number, sizeof(number), "%d", pid);
    return number;
}

/* Goes on in a child, which is the first process of a new pid namespace: the
 * pids in there are given to processes of this lab only. The namespace ends
 * with the child. For an ordinary user this takes a user namespace, too. */
static void enter_namespace(void)
{
    int status;
    int unshared = unshare(CLONE_NEWUSER | CLONE_NEWPID);

    if (unshared == -1 && (errno == EPERM || errno == EACCES ||
                           errno == ENOSPC || errno == EINVAL))
        skip("this lab makes a namespace, and unshare(2) is not allowed here");
    check(unshared, "unshare()", __FILE__, __LINE__);

    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL));
        return;
    }
    CHECK(waitpid(child, &status, 0));
    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    fputs("the first process of the namespace was killed\n", stderr);
    _exit(EXIT_FAILURE);
}

/* The next process gets the pid that follows the last one. The process that has
 * made the namespace may set the last one, by writing to this file. */
static void need_last_pid(void)
{
    int fd = open(last_pid_path, O_WRONLY);

    if (fd == -1 && (errno == ENOENT || errno == EACCES || errno == EROFS))
        skip("this lab cannot write to /proc/sys/kernel/ns_last_pid here");
    check(fd, "open()", __FILE__, __LINE__);
    ssize_t n = write(fd, "1", 1);    // it is 1 already: ours is the only pid
    if (n == -1 && errno == EPERM)
        skip("this lab may not write to /proc/sys/kernel/ns_last_pid here");
    check(n, "write()", __FILE__, __LINE__);
    CHECK(close(fd));
}

/* The server's socket. bind() without a name lets the kernel choose one. */
static int open_server(void)
{
    const struct sockaddr_un nameless = {.sun_family = AF_UNIX};
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    ann = 0;
    bob = 0;
    carol = 0;
    CHECK(bind(listener, (const struct sockaddr *)&nameless,
               sizeof(nameless.sun_family)));
    CHECK(listen(listener, 1));
    server_length = sizeof(server_address);
    CHECK(getsockname(listener, (struct sockaddr *)&server_address,
                      &server_length));
    return listener;
}

static int connect_to_server(void)
{
    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(connect(to_server, (const struct sockaddr *)&server_address,
                  server_length));
    return to_server;
}

/* ann connects, and ends when the server sends a byte. */
static _Noreturn void run_ann(void)
{
    char byte;

    role("ann");
    int to_server = connect_to_server();
    CHECK(recv(to_server, &byte, 1, 0));
    _exit(EXIT_SUCCESS);
}

static int accept_ann(int listener)
{
    say("accept(listener) ...");
    int to_ann = CHECK(accept(listener, NULL, NULL));

    return to_ann;
}

/* Starts ann, and returns the server's end of her connection. */
static int start_ann(int listener)
{
    ann = CHECK(fork());
    if (ann == 0) {
        CHECK(close(listener));
        run_ann();
    }
    return accept_ann(listener);
}

/* Prints how a process has ended. Then its pid is free. */
static void wait_for(pid_t child, const char *name)
{
    int status;

    CHECK(waitpid(child, &status, 0));
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        say("waitpid(%s) -> killed: SIGKILL", name);
    else if (WIFEXITED(status))
        say("waitpid(%s) -> exited: %d", name, WEXITSTATUS(status));
    else
        say("waitpid(%s) -> status: %d", name, status);
}

/* Waits for ann, who ends by herself. Then her pid is free. */
static void wait_for_ann(void)
{
    say("waitpid(ann) ...");
    reap(ann);
}

static void end_ann(int to_ann)
{
    CHECK(send(to_ann, "x", 1, 0));
    wait_for_ann();
}

/* bob is no client. He waits until the other end of a pair is closed. */
static _Noreturn void run_bob(int to_server)
{
    char byte;

    role("bob");
    CHECK(read(to_server, &byte, 1));
    _exit(EXIT_SUCCESS);
}

/* Starts bob with ann's pid, which is free. Returns the server's end of the
 * pair. */
static int start_bob(void)
{
    int sv[2];
    char before_ann[16];
    int length = snprintf(before_ann, sizeof(before_ann), "%d", ann - 1);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    int fd = CHECK(open(last_pid_path, O_WRONLY));
    CHECK(write(fd, before_ann, (size_t)length));
    CHECK(close(fd));

    bob = CHECK(fork());
    if (bob == 0) {
        CHECK(close(sv[0]));
        run_bob(sv[1]);
    }
    CHECK(close(sv[1]));
    say("fork() -> pid: %s", pid_text(bob));
    return sv[0];
}

/* The pid of the process that has connected, as the kernel has noted it. */
static pid_t peer_pid(int to_ann)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);

    CHECK(getsockopt(to_ann, SOL_SOCKET, SO_PEERCRED, &peer, &length));
    return peer.pid;
}

static pid_t say_peer_pid(int to_ann)
{
    pid_t pid = peer_pid(to_ann);

    say("getsockopt(to_ann, SO_PEERCRED) -> pid: %s", pid_text(pid));
    return pid;
}

/* The signal 0 is none: the kernel only looks whether it could be sent. */
static void look_for(pid_t pid)
{
    const char *result = RESULT(kill(pid, 0), ESRCH);

    say("kill(pid, 0) = %s", result);
}

static int open_pidfd(pid_t pid)
{
    int pidfd = CHECK(syscall(SYS_pidfd_open, pid, 0));

    say("pidfd_open(pid: %s) -> pidfd", pid_text(pid));
    return pidfd;
}

static void kill_by_pidfd(int pidfd)
{
    const char *result =
        RESULT(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0), ESRCH);

    say("pidfd_send_signal(pidfd, SIGKILL) = %s", result);
}

/* A pidfd can be read from when its process has ended. */
static void look_at_pidfd(int pidfd)
{
    struct pollfd polled = {.fd = pidfd, .events = POLLIN};
    int ready = CHECK(poll(&polled, 1, 0));

    if (ready == 1 && polled.revents & POLLIN)
        say("poll(pidfd) = %d POLLIN", ready);
    else
        say("poll(pidfd) = %d", ready);
}

/* -1 EAGAIN: somebody has the other end, and has sent nothing. */
static void look_at_connection(int to_ann)
{
    char byte;
    const char *result = RESULT(recv(to_ann, &byte, 1, MSG_DONTWAIT), EAGAIN);

    say("recv(to_ann, MSG_DONTWAIT) = %s", result);
}

/* The server asks for ann's pid three times: while she is a zombie, after
 * waitpid(), and once more at the connection. waitid() with WNOWAIT waits until
 * ann has ended, and leaves her a zombie. */
static void client_ends(void)
{
    siginfo_t info;

    role("server");
    int listener = open_server();
    int to_ann = start_ann(listener);
    pid_t pid = say_peer_pid(to_ann);

    CHECK(send(to_ann, "x", 1, 0));
    say("waitid(ann, WNOWAIT) ...");
    CHECK(waitid(P_PID, (id_t)ann, &info, WEXITED | WNOWAIT));
    look_for(pid);
    wait_for_ann();
    look_for(pid);
    say_peer_pid(to_ann);

    CHECK(close(to_ann));
    CHECK(close(listener));
}

/* bob has ann's pid, and has never connected to the server. */
static void signal_by_pid(void)
{
    role("server");
    int listener = open_server();
    int to_ann = start_ann(listener);

    end_ann(to_ann);
    int to_bob = start_bob();
    pid_t pid = say_peer_pid(to_ann);
    int sent = CHECK(kill(pid, SIGKILL));
    say("kill(pid, SIGKILL) = %d", sent);
    wait_for(bob, "bob");

    CHECK(close(to_bob));
    CHECK(close(to_ann));
    CHECK(close(listener));
}

/* The server opens the pidfd while ann lives. */
static void open_pidfd_in_time(void)
{
    role("server");
    int listener = open_server();
    int to_ann = start_ann(listener);
    int pidfd = open_pidfd(peer_pid(to_ann));

    look_at_pidfd(pidfd);
    end_ann(to_ann);
    int to_bob = start_bob();
    look_at_pidfd(pidfd);
    kill_by_pidfd(pidfd);
    CHECK(close(to_bob));
    wait_for(bob, "bob");

    CHECK(close(pidfd));
    CHECK(close(to_ann));
    CHECK(close(listener));
}

/* First ann lives when the server opens the pidfd. Then the same with an ann
 * who has ended before. */
static void open_pidfd_late(void)
{
    role("server");
    int listener = open_server();
    int to_ann = start_ann(listener);
    int pidfd = open_pidfd(peer_pid(to_ann));
    look_at_connection(to_ann);
    kill_by_pidfd(pidfd);
    wait_for(ann, "ann");
    CHECK(close(pidfd));
    CHECK(close(to_ann));

    to_ann = start_ann(listener);
    end_ann(to_ann);
    int to_bob = start_bob();
    pidfd = open_pidfd(peer_pid(to_ann));
    look_at_connection(to_ann);
    kill_by_pidfd(pidfd);
    wait_for(bob, "bob");
    CHECK(close(pidfd));
    CHECK(close(to_bob));
    CHECK(close(to_ann));
    CHECK(close(listener));
}

/* With SO_PASSCRED the kernel adds the writer's credentials to each message
 * that comes from now on. See lab 43. */
static void pass_credentials(int fd)
{
    int on = 1;

    CHECK(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
}

static void ask_who(int to_ann)
{
    char buf[64];
    struct ucred writer;
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(writer))];
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };

    CHECK(send(to_ann, "who?", 4, 0));
    int n = CHECK(recvmsg(to_ann, &msg, MSG_CMSG_CLOEXEC));
    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    if (beside && beside->cmsg_level == SOL_SOCKET &&
        beside->cmsg_type == SCM_CREDENTIALS &&
        beside->cmsg_len == CMSG_LEN(sizeof(writer))) {
        memcpy(&writer, CMSG_DATA(beside), sizeof(writer));
        say("recvmsg(to_ann) = %d \"%.*s\", SCM_CREDENTIALS: pid: %s", n, n,
            buf, pid_text(writer.pid));
    } else {
        say("recvmsg(to_ann) = %d \"%.*s\", no credentials", n, n, buf);
    }
}

/* ann does this, and carol does the same. The last recv() waits for end of
 * file. */
static void answer(int to_server)
{
    const char *text = "I am ann";
    char buf[64];

    CHECK(recv(to_server, buf, sizeof(buf), 0));
    say("send(\"%s\") ...", text);
    CHECK(send(to_server, text, strlen(text), 0));
    CHECK(recv(to_server, buf, sizeof(buf), 0));
}

static _Noreturn void run_ann_who_answers(void)
{
    role("ann");
    answer(connect_to_server());
    _exit(EXIT_SUCCESS);
}

/* ann sends her connection to carol, and ends. */
static _Noreturn void run_ann_who_leaves(int to_carol)
{
    role("ann");
    int to_server = connect_to_server();
    say("sendmsg(to_carol, [the connection]) ...");
    send_descriptor(to_carol, "x", 1, to_server);
    _exit(EXIT_SUCCESS);
}

static _Noreturn void run_carol(int from_ann)
{
    char byte;
    int to_server;

    role("carol");
    int n = receive_descriptor(from_ann, &byte, 1, &to_server);
    if (n == 0 || to_server == -1)
        _exit(EXIT_FAILURE);    // ann has failed, or sent no descriptor
    answer(to_server);
    _exit(EXIT_SUCCESS);
}

static void start_carol_and_ann(int listener)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    carol = CHECK(fork());
    if (carol == 0) {
        CHECK(close(listener));
        CHECK(close(sv[0]));
        run_carol(sv[1]);
    }
    ann = CHECK(fork());
    if (ann == 0) {
        CHECK(close(listener));
        CHECK(close(sv[1]));
        run_ann_who_leaves(sv[0]);
    }
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* What a server can do at a connection that may be somebody else's by now. The
 * order of the four calls matters: the answers explain it. */
static void check_client(int to_ann)
{
    pass_credentials(to_ann);
    int pidfd = open_pidfd(peer_pid(to_ann));
    look_at_connection(to_ann);
    ask_who(to_ann);
    look_at_pidfd(pidfd);
    CHECK(close(pidfd));
    CHECK(close(to_ann));
}

/* For comparison: ann is alive, and answers herself. */
static void ann_answers(void)
{
    role("server");
    int listener = open_server();
    ann = CHECK(fork());
    if (ann == 0) {
        CHECK(close(listener));
        run_ann_who_answers();
    }
    int to_ann = accept_ann(listener);

    check_client(to_ann);
    reap(ann);
    CHECK(close(listener));
}

/* ann has ended, carol has the connection, and bob has ann's pid. The server
 * waits for ann first, so that her line comes before that of accept(). */
static void carol_answers(void)
{
    int listener = open_server();
    start_carol_and_ann(listener);
    wait_for(ann, "ann");
    int to_ann = accept_ann(listener);
    int to_bob = start_bob();

    check_client(to_ann);
    CHECK(close(to_bob));

    /* bob before carol: she waits for end of file, and bob has a copy of
     * to_ann, which he has inherited. */
    reap(bob);
    reap(carol);
    CHECK(close(listener));
}

int main(void)
{
    enter_namespace();
    need_last_pid();

    step("The client has ended. What does its pid mean?");
    client_ends();

    step("Another process gets the pid. Whom does the signal hit?");
    signal_by_pid();

    step("The server opens a pidfd in time. Whom does the signal hit?");
    open_pidfd_in_time();

    step("The server opens the pidfd late. What does it see?");
    open_pidfd_late();

    step("Somebody else has the connection. What does the server see?");
    ann_answers();
    carol_answers();
}
