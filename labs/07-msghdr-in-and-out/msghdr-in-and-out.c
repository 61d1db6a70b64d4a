/*
 * 07-msghdr-in-and-out -- what must be filled in again before each recvmsg()?
 *
 * For recvmsg(), a struct msghdr is a form with questions and answers. The
 * caller writes how much room there is. The kernel writes how much came, and it
 * writes that into the same fields. So the next call must find the form filled
 * in again: msg_namelen, msg_controllen, and what the program itself changed.
 *
 *     caller                struct msghdr                    kernel
 *     room for 110  ---->   msg_namelen  110
 *                           msg_namelen   11   <----  the name has 11 bytes
 *     next call     ---->   msg_namelen   11          "room for 11?"
 *
 * See recvmsg(2), unix(7).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};

static int open_server(void)
{
    int server = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("server");
    CHECK(bind(server, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    return server;
}

static void close_server(int server)
{
    CHECK(close(server));
    CHECK(unlink(server_address.sun_path));
}

static void send_to_server(int fd, const char *text)
{
    CHECK(sendto(fd, text, strlen(text), 0,
                 (const struct sockaddr *)&server_address,
                 sizeof(server_address)));
}

/* A sender that has a name. It is gone when this function returns, and its
 * message waits in the server's queue, with the name. */
static void send_with_name(const char *name, const char *path, const char *text)
{
    pid_t child = CHECK(fork());
    if (child == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        role(name);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

        say("bind(\"%s\"), then sendto(\"%s\") ...", path, text);
        CHECK(bind(fd, (const struct sockaddr *)&address, sizeof(address)));
        send_to_server(fd, text);
        CHECK(unlink(path));
        _exit(EXIT_SUCCESS);
    }
    reap(child);
}

/* A sender that does not call bind(), so it has no name. */
static void send_without_name(const char *text)
{
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("unbound");
        int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

        say("sendto(\"%s\") ...", text);
        send_to_server(fd, text);
        _exit(EXIT_SUCCESS);
    }
    reap(child);
}

static const char *flags_text(int flags)
{
    static char number[16];    // good until the next call

    if (flags == 0)
        return "0";
    if (flags == MSG_TRUNC)
        return "MSG_TRUNC";
    if (flags == MSG_PEEK)
        return "MSG_PEEK";
    snprintf(number, sizeof(number), "%#x", (unsigned)flags);
    return number;
}

/* The server fills in every field, and compares afterwards. Nobody sends
 * anything for the control buffer. MSG_PEEK as the argument of recvmsg() would
 * leave the message in the queue, and recv() would find it there; here MSG_PEEK
 * is in msg_flags. */
static void before_and_after(void)
{
    struct sockaddr_un sender;
    char buf[64];
    char control[64];
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    struct msghdr msg = {
        .msg_name = &sender,
        .msg_namelen = sizeof(sender),
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
        .msg_flags = MSG_PEEK,
    };
    const struct msghdr before = msg;
    const struct iovec iov_before = iov;

    int server = open_server();
    send_with_name("ann", "ann.sock", "hello");

    int n = CHECK(recvmsg(server, &msg, 0));
    say("recvmsg() = %d \"%.*s\"", n, n, buf);

    say("msg_namelen %d -> %d", (int)before.msg_namelen, (int)msg.msg_namelen);
    say("msg_iovlen %d -> %d", (int)before.msg_iovlen, (int)msg.msg_iovlen);
    say("iov_len %zu -> %zu", iov_before.iov_len, iov.iov_len);
    say("msg_controllen %d -> %d", (int)before.msg_controllen,
        (int)msg.msg_controllen);
    say("msg_flags %s -> %s", flags_text(before.msg_flags),
        flags_text(msg.msg_flags));

    const char *result =
        RESULT(recv(server, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
    say("recv(MSG_DONTWAIT) = %s", result);

    close_server(server);
}

static void three_senders(void)
{
    send_with_name("ann", "ann.sock", "pay 10");
    send_without_name("pay 1492");
    send_with_name("mary", "mary.sock", "pay 1066");
}

/* The mistake: msg_namelen is filled in before the loop, and not in it. */
static void fill_in_once(void)
{
    struct sockaddr_un sender = {0};
    char buf[64];
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    struct msghdr msg = {
        .msg_name = &sender,
        .msg_namelen = sizeof(sender),
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };

    int server = open_server();
    three_senders();

    for (int i = 0; i < 3; i++) {
        int room = (int)msg.msg_namelen;
        int n = CHECK(recvmsg(server, &msg, 0));
        say("recvmsg() = %d \"%.*s\", msg_namelen %d -> %d, sender \"%s\"", n,
            n, buf, room, (int)msg.msg_namelen, sender.sun_path);
    }
    close_server(server);
}

static void say_received(const struct msghdr *msg, int n)
{
    const struct iovec *iov = msg->msg_iov;

    say("recvmsg(iov_len %zu) = %d \"%.*s\", msg_flags %s", iov->iov_len, n, n,
        (char *)iov->iov_base, flags_text(msg->msg_flags));
}

/* The mistake: the program keeps the length of the message in iov_len, and
 * forgets that iov_len is the room of the next call. */
static void keep_length_in_iov_len(void)
{
    char buf[64];
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    int server = open_server();
    send_without_name("ann 10");
    send_without_name("bob 1066");
    send_without_name("eve 1492");

    int n = CHECK(recvmsg(server, &msg, 0));
    say_received(&msg, n);
    iov.iov_len = (size_t)n;    // the mistake

    n = CHECK(recvmsg(server, &msg, 0));
    say_received(&msg, n);
    iov.iov_len = sizeof(buf);    // the cure

    n = CHECK(recvmsg(server, &msg, 0));
    say_received(&msg, n);

    close_server(server);
}

/* The mistake: a buffer, but msg_iovlen says that there are none. */
static void forget_msg_iovlen(void)
{
    char buf[64];
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    struct msghdr msg = {.msg_iov = &iov};

    int server = open_server();
    send_without_name("ann 10");
    send_without_name("bob 1066");

    int n = CHECK(recvmsg(server, &msg, 0));
    say("recvmsg(msg_iovlen %d) = %d, msg_flags %s", (int)msg.msg_iovlen, n,
        flags_text(msg.msg_flags));

    msg.msg_iovlen = 1;    // the cure
    n = CHECK(recvmsg(server, &msg, 0));
    say("recvmsg(msg_iovlen %d) = %d \"%.*s\", msg_flags %s",
        (int)msg.msg_iovlen, n, n, buf, flags_text(msg.msg_flags));

    close_server(server);
}

/* The cure: everything that recvmsg() reads or writes is new in each round. */
static void fill_in_each_time(void)
{
    int server = open_server();
    three_senders();

    for (int i = 0; i < 3; i++) {
        struct sockaddr_un sender = {0};
        char buf[64];
        struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
        struct msghdr msg = {
            .msg_name = &sender,
            .msg_namelen = sizeof(sender),
            .msg_iov = &iov,
            .msg_iovlen = 1,
        };

        int room = (int)msg.msg_namelen;
        int n = CHECK(recvmsg(server, &msg, 0));
        say("recvmsg() = %d \"%.*s\", msg_namelen %d -> %d, sender \"%s\"", n,
            n, buf, room, (int)msg.msg_namelen, sender.sun_path);
    }
    close_server(server);
}

int main(void)
{
    step("Which fields has recvmsg() changed?");
    before_and_after();

    step("msg_namelen is filled in once. Who seems to be the sender?");
    fill_in_once();

    step("iov_len keeps the length of the last message. How much is paid?");
    keep_length_in_iov_len();

    step("msg_iovlen is forgotten at first. What does recvmsg() return?");
    forget_msg_iovlen();

    step("All is filled in before each call. What is in msg_namelen now?");
    fill_in_each_time();
}
