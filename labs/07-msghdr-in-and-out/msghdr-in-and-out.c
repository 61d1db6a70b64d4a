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
 *                           msg_namelen    6   <----  ann's address: 6 bytes
 *     next call     ---->   msg_namelen    6   ---->  "room for 6?"
 *                           msg_namelen    9   <----  maryam's address: 9 bytes
 *
 * See recvmsg(2), unix(7), cmsg(3).
 */
#define _GNU_SOURCE    // for struct ucred
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,    // more bytes than anything that comes here
    PATH_ROOM =
        sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path)
};

struct payment {
    const char *sender;    // NULL if the sender has no name
    const char *text;
};

static const struct payment payments[] = {
    {"ann", "10"}, {"maryam", "15"}, {NULL, "20"}, {"eve", "25"}};

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

/* A sender that has a name. When this function returns, the sender is gone, and
 * so is its file. But its message waits in the server's queue, and with the
 * message the kernel keeps the sender's socket, which has the name. */
static void send_with_name(const char *path, const char *text)
{
    pid_t child = CHECK(fork());
    if (child == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        role(path);
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

static void send_payment(const struct payment *payment)
{
    if (payment->sender)
        send_with_name(payment->sender, payment->text);
    else
        send_without_name(payment->text);
}

/* msg_flags is a set of bits. This lab never meets more than one at a time. */
static const char *flags_text(int flags)
{
    static char number[16];    // a number is good until the next call

    if (flags & MSG_PEEK)
        return "MSG_PEEK";
    if (flags & MSG_TRUNC)
        return "MSG_TRUNC";
    if (flags & MSG_CTRUNC)
        return "MSG_CTRUNC";
    snprintf(number, sizeof(number), "%d", flags);
    return number;
}

/* Each field before the call and after it. Some types differ between glibc and
 * musl, so all are printed as int. Pointers differ on each run, so they are not
 * printed: the lab counts those of the four that are not as before. */
static void say_fields(const struct msghdr *before,
                       const struct iovec *iov_before,
                       const struct msghdr *after,
                       const struct iovec *iov_after)
{
    int changed = 0;

    say("msg_namelen: %d => %d", (int)before->msg_namelen,
        (int)after->msg_namelen);
    say("msg_iovlen: %d => %d", (int)before->msg_iovlen,
        (int)after->msg_iovlen);
    say("iov_len: %d => %d", (int)iov_before->iov_len, (int)iov_after->iov_len);
    say("msg_controllen: %d => %d", (int)before->msg_controllen,
        (int)after->msg_controllen);
    say("msg_flags: %s => %s", flags_text(before->msg_flags),
        flags_text(after->msg_flags));

    if (after->msg_name != before->msg_name)
        changed++;
    if (after->msg_iov != before->msg_iov)
        changed++;
    if (after->msg_control != before->msg_control)
        changed++;
    if (iov_after->iov_base != iov_before->iov_base)
        changed++;
    say("number of pointers that have changed: %d", changed);
}

/* The server fills in every field, and compares afterwards. The first call has
 * MSG_PEEK as its flags argument, so the message is still there for recvmsg().
 * Then MSG_PEEK is in msg_flags instead. If the kernel looked at it there, the
 * message would be there for the last call, too. */
static void before_and_after(void)
{
    struct sockaddr_un sender = {0};
    char buf[ROOM];
    _Alignas(struct cmsghdr) char control[ROOM];    // aligned: see lab 31
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
    send_with_name("ann", "10");

    int n = CHECK(recv(server, buf, sizeof(buf), MSG_PEEK));
    say("recv(MSG_PEEK) = %d \"%.*s\"", n, n, buf);

    n = CHECK(recvmsg(server, &msg, 0));
    say("recvmsg() = %d \"%.*s\"", n, n, buf);
    say_fields(&before, &iov_before, &msg, &iov);

    const char *result =
        RESULT(recv(server, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
    say("recv(MSG_DONTWAIT) = %s", result);

    close_server(server);
}

/* Receives one payment, and says whose name is in the structure afterwards. A
 * path may fill sun_path, so that no zero is behind it: "%.*s" ends there. */
static void receive_payment(int server, struct msghdr *msg)
{
    const struct sockaddr_un *sender = msg->msg_name;
    const struct iovec *iov = msg->msg_iov;
    int room = (int)msg->msg_namelen;

    int n = CHECK(recvmsg(server, msg, 0));
    say("recvmsg() = %d \"%.*s\" from \"%.*s\", msg_namelen: %d => %d, "
        "msg_flags: %s",
        n, n, (char *)iov->iov_base, PATH_ROOM, sender->sun_path, room,
        (int)msg->msg_namelen, flags_text(msg->msg_flags));
}

/* The mistake: msg_namelen is filled in before the loop, and not in it. At
 * first the structure for the sender has only zeros, so a path that was cut off
 * still has a zero behind it. */
static void name_room_once(void)
{
    struct sockaddr_un sender = {0};
    char buf[ROOM];
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    struct msghdr msg = {
        .msg_name = &sender,
        .msg_namelen = sizeof(sender),
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };

    int server = open_server();
    for (size_t i = 0; i < ARRAY_LEN(payments); i++) {
        send_payment(&payments[i]);
        receive_payment(server, &msg);
    }
    close_server(server);
}

/* The three numbers of SO_PASSCRED are a struct ucred. With the head that the
 * kernel puts before them they take N bytes, which CMSG_SPACE() calculates. N
 * differs between machines of 64 and of 32 bits, so the letter is printed. */
static void format_length(char *text, size_t size, size_t length)
{
    if (length == CMSG_SPACE(sizeof(struct ucred)))
        snprintf(text, size, "N");
    else
        snprintf(text, size, "%zu", length);
}

/* The server does not look into the control buffer, only at its length. */
static void receive_with_control(int server, struct msghdr *msg)
{
    const struct iovec *iov = msg->msg_iov;
    char before[16];
    char after[16];

    format_length(before, sizeof(before), msg->msg_controllen);
    int n = CHECK(recvmsg(server, msg, 0));
    format_length(after, sizeof(after), msg->msg_controllen);

    say("recvmsg() = %d \"%.*s\", msg_controllen: %s => %s, msg_flags: %s", n,
        n, (char *)iov->iov_base, before, after, flags_text(msg->msg_flags));
}

/* With the first message comes nothing for the control buffer. With each of the
 * others comes something, because of SO_PASSCRED: the kernel adds it. */
static void control_room_twice(void)
{
    const int on = 1;
    char buf[ROOM];
    _Alignas(struct cmsghdr) char control[ROOM];
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };

    int server = open_server();
    send_without_name("10");
    receive_with_control(server, &msg);

    say("setsockopt(SO_PASSCRED, %d) ...", on);
    CHECK(setsockopt(server, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    send_without_name("1815");
    receive_with_control(server, &msg);    // the mistake

    msg.msg_controllen = sizeof(control);    // the cure
    send_without_name("1492");
    receive_with_control(server, &msg);

    send_without_name("1066");
    receive_with_control(server, &msg);    // the mistake again

    close_server(server);
}

/* The mistake: the program keeps the result of recvmsg() in iov_len, and
 * forgets that iov_len is the room of the next call. */
static void result_in_iov_len(void)
{
    const char *const amounts[] = {"10", "1492", "", "1815"};
    char buf[ROOM];
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    int server = open_server();
    for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
        send_without_name(amounts[i]);
        size_t room = iov.iov_len;
        int n = CHECK(recvmsg(server, &msg, 0));
        say("recvmsg() = %d \"%.*s\", room: %zu, msg_flags: %s", n, n, buf,
            room, flags_text(msg.msg_flags));
        iov.iov_len = (size_t)n;    // the mistake
    }
    close_server(server);
}

/* Step 2 with the cure. Is that enough? */
static void name_room_each_time(void)
{
    struct sockaddr_un sender = {0};
    char buf[ROOM];
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    struct msghdr msg = {
        .msg_name = &sender,
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };

    int server = open_server();
    for (size_t i = 0; i < ARRAY_LEN(payments); i++) {
        send_payment(&payments[i]);
        msg.msg_namelen = sizeof(sender);    // the cure
        receive_payment(server, &msg);
    }
    close_server(server);
}

int main(void)
{
    step("Which fields has recvmsg() changed?");
    before_and_after();

    step("msg_namelen is filled in once. From whom is each payment?");
    name_room_once();

    step("msg_controllen is filled in twice for four messages. What is lost?");
    control_room_twice();

    step("iov_len keeps the result of the last call. How much arrives?");
    result_in_iov_len();

    step("msg_namelen is filled in each time. From whom is each payment now?");
    name_room_each_time();
}
