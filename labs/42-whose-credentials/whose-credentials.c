/*
 * 42-whose-credentials -- whose credentials does SO_PEERCRED show?
 *
 * Those of the process that called connect(); for the client those of the one
 * that called listen(); in a pair, socketpair(). They are noted then and stay
 * with the socket. Who holds it later, and writes on it, is not asked.
 *
 *     parent  connection, connect()ed ----> listener  server
 *     child   a copy of it <==============> peer
 *
 * See unix(7), getsockopt(2), listen(2), socketpair(2), cmsg(3).
 */
#define _GNU_SOURCE    // for struct ucred
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

static const struct sockaddr_un server_addr = {.sun_family = AF_UNIX,
                                               .sun_path = "server.sock"};

static int open_server(void)
{
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(bind(listener, (const void *)&server_addr, sizeof(server_addr)));
    CHECK(listen(listener, 1));
    return listener;
}

static void close_server(int listener)
{
    CHECK(close(listener));
    CHECK(unlink(server_addr.sun_path));
}

static int connected(void)
{
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(connect(fd, (const void *)&server_addr, sizeof(server_addr)));
    return fd;
}

static pid_t start(const char *name, void (*play)(int fd), int fd)
{
    pid_t child = CHECK(fork());
    if (child == 0) {
        role(name);
        play(fd);
        _exit(EXIT_SUCCESS);
    }
    return child;
}

/* Who writes says who it is, so that who reads can compare. */
static void sign(int fd)
{
    pid_t own = getpid();

    say("write(own pid)");
    CHECK(write(fd, &own, sizeof(own)));
}

static struct ucred ask_kernel(int fd)
{
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);

    CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len));
    return cred;
}

static void compare(int fd, pid_t other, const char *whose)
{
    pid_t writer = 0, noted = ask_kernel(fd).pid;
    ssize_t n = CHECK(read(fd, &writer, sizeof(writer)));

    say("read() = %zd, the writer's pid", n);
    say("SO_PEERCRED pid == the writer's: %s", noted == writer ? "yes" : "no");
    say("SO_PEERCRED pid == %s: %s", whose, noted == other ? "yes" : "no");
}

static void accept_and_compare(int listener)
{
    compare(CHECK(accept(listener, NULL, NULL)), getppid(),
            "its parent's, who connected");
}

/* When the server starts, only the child can still hold the connection. */
static void inherited(void)
{
    int listener = open_server();

    role("parent");
    say("connect(), fork(), close()");
    int connection = connected();
    pid_t child = start("child", sign, connection);
    CHECK(close(connection));
    pid_t server = start("server", accept_and_compare, listener);
    reap(child);
    reap(server);
    close_server(listener);
}

/* One descriptor beside one byte, as in lab 3. */
static void connect_and_lend(int end)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {"x", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    say("connect(), sendmsg(SCM_RIGHTS [the connection])");
    int connection = connected();
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &connection, sizeof(int));
    CHECK(sendmsg(end, &msg, 0));
}

static void borrow_and_sign(int end)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&(char){0}, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int connection;

    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    ssize_t n = CHECK(recvmsg(end, &msg, MSG_CMSG_CLOEXEC));
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    int came = cmsg && cmsg->cmsg_len == CMSG_LEN(sizeof(int));
    say("recvmsg() = %zd, a descriptor came: %s", n, came ? "yes" : "no");
    if (!came)
        return;
    memcpy(&connection, CMSG_DATA(cmsg), sizeof(int));
    sign(connection);
}

static void passed_on(void)
{
    int sv[2], listener = open_server();

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t ann = start("ann", connect_and_lend, sv[0]);
    pid_t bob = start("bob", borrow_and_sign, sv[1]);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));

    role("server");
    int peer = CHECK(accept(listener, NULL, NULL));
    compare(peer, ann, "ann's, who connected");
    reap(ann);
    reap(bob);
    CHECK(close(peer));
    close_server(listener);
}

static void accept_and_sign(int listener)
{
    sign(CHECK(accept(listener, NULL, NULL)));
}

static void connect_and_compare(int listener)
{
    CHECK(close(listener));    // the server's own
    compare(connected(), getppid(), "its parent's, who listened");
}

static void other_side(void)
{
    role("parent");
    say("listen(), fork()");
    int listener = open_server();
    pid_t server = start("server", accept_and_sign, listener);
    pid_t client = start("client", connect_and_compare, listener);
    reap(server);
    reap(client);
    close_server(listener);
}

static void pair(void)
{
    int sv[2];

    role("parent");
    say("socketpair(), fork()");
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    reap(start("child", sign, sv[1]));
    compare(sv[0], getpid(), "own, who made the pair");
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* uid_t is unsigned: -1 is the greatest, and no user has it. */
static void ask_nobody(const char *what, int fd)
{
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);
    int result = CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len));

    say("%s: getsockopt() = %d, pid 0 and uid -1: %s", what, result,
        cred.pid == 0 && cred.uid == (uid_t)-1 ? "yes" : "no");
}

static void nobody(void)
{
    int listener = open_server();
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    role("client");
    ask_nobody("not connected", fd);
    CHECK(connect(fd, (const void *)&server_addr, sizeof(server_addr)));
    ask_nobody("connected", fd);

    CHECK(close(fd));
    close_server(listener);
}

int main(void)
{
    step("A child writes on its parent's connection. Who is the peer?");
    inherited();

    step("The connection is sent to somebody else. Who is the peer?");
    passed_on();

    step("One process listens, another accepts. Whom does the client see?");
    other_side();

    step("And who is at the other end of a pair?");
    pair();

    step("Of whom is nothing known?");
    nobody();
}
