/*
 * 52-open-service -- how does one server open files for many clients?
 *
 * poll() says who has sent something. On a stream that may be half a request,
 * so each client's bytes wait in a buffer of its own for their end, here a
 * semicolon. A bad request is answered, and the server goes on.
 *
 *     ann  <== "read today;" / errno, file ==>  fds[1], clients[1]  server
 *     bob  ----------- server.sock ---------->  fds[0], the listener
 *
 * See poll(2), accept(2), recv(2), unix(7), cmsg(3).
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { CLIENTS = 10, ROOM = 32 };

static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                           .sun_path = "server.sock"};

struct client {
    size_t used;
    char text[ROOM];    // what has come of its next request
};

/* A plain name in this directory, to read; lab 51 has more. Without O_NONBLOCK,
 * open() of a FIFO would wait for a writer, and all clients with it. */
static int open_here(const char *request)
{
    const char *name = request + strlen("read ");
    if (strncmp(request, "read ", strlen("read ")) == 0 && *name != '.' &&
        !strchr(name, '/'))
        return open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    errno = EINVAL;
    return -1;
}

/* False if the client has left, or does not read its answers: neither may end
 * the server (SIGPIPE) or make it wait. */
static bool reply(int client, int fd, int error)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&error, sizeof(error)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd != -1) {
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
    }
    ssize_t n = sendmsg(client, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n == -1 && errno != EPIPE && errno != ECONNRESET && errno != EAGAIN &&
        errno != ETOOMANYREFS)    // too many files on their way to clients
        fail("sendmsg(client, &msg)", __FILE__, __LINE__);
    if (fd != -1)
        CHECK(close(fd));    // the client has its own
    return n != -1;
}

/* poll() has said that one recv() will not wait. False if it was the last. */
static bool serve(int fd, struct client *it)
{
    char *end;
    ssize_t n = recv(fd, it->text + it->used, ROOM - it->used, 0);

    if (n == -1 && errno != ECONNRESET)    // it left, and answers unread
        fail("recv(client)", __FILE__, __LINE__);
    if (n == 0 && it->used > 0)
        reply(fd, -1, EBADMSG);
    if (n <= 0)
        return false;
    it->used += (size_t)n;
    while ((end = memchr(it->text, ';', it->used))) {
        *end++ = '\0';
        int file = open_here(it->text);
        if (!reply(fd, file, file == -1 ? errno : 0))
            return false;
        it->used -= (size_t)(end - it->text);
        memmove(it->text, end, it->used);
    }
    if (it->used == ROOM)
        reply(fd, -1, EMSGSIZE);
    return it->used < ROOM;
}

/* It leaves with its last client, which a real one would not. */
static _Noreturn void server(int listener)
{
    struct pollfd fds[1 + CLIENTS] = {{.fd = listener}};
    struct client clients[1 + CLIENTS];
    nfds_t count = 1;

    role("server");
    do {
        fds[0].events = count <= CLIENTS ? POLLIN : 0;    // or they queue
        CHECK(poll(fds, count, -1));
        for (nfds_t i = 1; i < count; i++) {
            if (fds[i].revents == 0 || serve(fds[i].fd, &clients[i]))
                continue;
            CHECK(close(fds[i].fd));
            fds[i] = fds[--count];    // the next poll() looks at this one
            clients[i] = clients[count];
        }
        if (fds[0].revents) {
            fds[count].fd = CHECK(accept(listener, NULL, NULL));
            fds[count].events = POLLIN;
            clients[count++].used = 0;
        }
    } while (count > 1);
    _exit(EXIT_SUCCESS);
}

static pid_t start_server(void)
{
    int file = CHECK(open("today", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    CHECK(write(file, "milk", 4));
    CHECK(close(file));
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(bind(listener, (const struct sockaddr *)&address, sizeof(address)));
    CHECK(listen(listener, CLIENTS));
    pid_t child = CHECK(fork());
    if (child == 0)
        server(listener);
    CHECK(close(listener));
    return child;
}

/* All clients are sockets of one process: the server sees sockets only. */
static int connected(void)
{
    int s = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(connect(s, (const struct sockaddr *)&address, sizeof(address)));
    return s;
}

static void tell(const char *who, int server, const char *text)
{
    role(who);
    say("send(\"%s\")", text);
    CHECK(send(server, text, strlen(text), MSG_NOSIGNAL));
}

/* Like open(), but it is the server that has opened. */
static int opened(int server)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    int error, fd = -1;
    struct iovec iov = {&error, sizeof(error)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    msg.msg_control = control;
    msg.msg_controllen = CMSG_LEN(sizeof(int));    // not two: lab 33
    ssize_t n = CHECK(recvmsg(server, &msg, MSG_CMSG_CLOEXEC));
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    if (cmsg && cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
    errno = n == sizeof(error) ? error : ECONNRESET;
    return fd;
}

static void read_it(int server)
{
    char text[64];
    int file = CHECK(opened(server));
    ssize_t n = CHECK(read(file, text, sizeof(text)));
    say("answer: a descriptor, read(it) = %zd \"%.*s\"", n, (int)n, text);
    CHECK(close(file));
}

static void pieces(int ann, int bob)
{
    tell("ann", ann, "read to");
    tell("bob", bob, "read today;read today;");
    read_it(bob);
    read_it(bob);
    tell("ann", ann, "day;");
    read_it(ann);
}

static void unknown_mode(int bob)
{
    tell("bob", bob, "steal today;read today;");
    say("answer: %s", RESULT(opened(bob), EINVAL));
    read_it(bob);
}

static void without_end(int eve, int mary)
{
    tell("eve", eve, "read today, tomorrow and every other day;");
    say("answer: %s", RESULT(opened(eve), EMSGSIZE));
    say("recv() = %s", RESULT(recv(eve, &(char){0}, 1, 0), ECONNRESET));
    CHECK(close(eve));
    tell("mary", mary, "read to");
    say("shutdown(SHUT_WR) = %d", CHECK(shutdown(mary, SHUT_WR)));
    say("answer: %s", RESULT(opened(mary), EBADMSG));
    say("recv() = %d", CHECK(recv(mary, &(char){0}, 1, 0)));
    CHECK(close(mary));
}

/* After SHUT_RD no answer reaches her, however quick the server is. */
static void nobody(int eve, int ann)
{
    role("eve");
    say("shutdown(SHUT_RD) = %d", CHECK(shutdown(eve, SHUT_RD)));
    tell("eve", eve, "read today;read to");
    say("close() = %d", CHECK(close(eve)));
    tell("ann", ann, "read today;");
    read_it(ann);
}

static void stop(int ann, int bob, pid_t child)
{
    int status;

    say("close() = %d, bob's: %d", CHECK(close(ann)), CHECK(close(bob)));
    CHECK(waitpid(child, &status, 0));
    if (WIFEXITED(status))
        say("waitpid(): the server has exited, with status %d",
            WEXITSTATUS(status));
    else
        say("waitpid(): killed by %s", strsignal(WTERMSIG(status)));
    CHECK(unlink(address.sun_path));
    CHECK(unlink("today"));
}

int main(void)
{
    step("Who waits for the rest of a request?");
    pid_t child = start_server();
    int ann = connected(), bob = connected();
    pieces(ann, bob);

    step("What if the mode is unknown?");
    unknown_mode(bob);

    step("What if a request ends too late, or not at all?");
    without_end(connected(), connected());

    step("What if nobody waits for the answer?");
    nobody(connected(), ann);

    step("Who is still there?");
    stop(ann, bob, child);
}
