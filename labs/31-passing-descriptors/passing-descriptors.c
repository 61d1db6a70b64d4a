/*
 * 31-passing-descriptors -- what arrives when a descriptor is sent?
 *
 * A new descriptor of the same open file. Its number is one that was free in
 * the receiver. The position and O_NONBLOCK belong to the open file, so sender
 * and receiver share them. The number, FD_CLOEXEC and close() belong to each
 * descriptor, so they are the receiver's own. The permission was looked at by
 * open(), which the sender called.
 *
 *     sender                      kernel                       receiver
 *     number N  ------->  open file: position, flags  <------- number M
 *                                   |
 *                               notes.txt
 *
 * See unix(7), cmsg(3), sendmsg(2), recvmsg(2), open(2), fcntl(2), execve(2).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/lab.h"

static const char *const notes_path = "notes.txt";
static const char *const other_path = "other.txt";

/* One byte, and the descriptor beside it. */
static void send_descriptor(int to_receiver, int descriptor)
{
    char byte = 'x';
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    beside->cmsg_level = SOL_SOCKET;
    beside->cmsg_type = SCM_RIGHTS;
    beside->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(beside), &descriptor, sizeof(int));
    CHECK(sendmsg(to_receiver, &msg, 0));
}

/* The lab never meets another flag, or more than one flag at a time. */
static const char *flags_text(int flags)
{
    if (flags & MSG_CMSG_CLOEXEC)
        return "MSG_CMSG_CLOEXEC";
    if (flags & MSG_CTRUNC)
        return "MSG_CTRUNC";
    return flags == 0 ? "0" : "another flag";
}

/* Returns the descriptor that has come, or -1. There is room for one, and not
 * for two. The argument flag is 0 or MSG_CMSG_CLOEXEC. recvmsg() copies
 * MSG_CMSG_CLOEXEC into msg_flags, where say() leaves it out. */
static int receive_descriptor(int to_sender, int flag)
{
    char byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = CMSG_LEN(sizeof(int)),
    };
    int descriptor = -1;
    size_t count = 0;

    int n = CHECK(recvmsg(to_sender, &msg, flag));
    if (n == 0)
        _exit(EXIT_FAILURE);    // end of file: nothing was sent

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    if (beside && beside->cmsg_level == SOL_SOCKET &&
        beside->cmsg_type == SCM_RIGHTS) {
        count = (beside->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(&descriptor, CMSG_DATA(beside), sizeof(int));
    }
    say("recvmsg(%s) = %d \"%.*s\", descriptors: %zu, msg_flags: %s",
        flags_text(flag), n, n, &byte, count,
        flags_text(msg.msg_flags & ~MSG_CMSG_CLOEXEC));
    return descriptor;
}

static void make_file(const char *path, const char *text)
{
    int fd = CHECK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));

    CHECK(write(fd, text, strlen(text)));
    CHECK(close(fd));
}

static void read_word(const char *name, int fd)
{
    char word[4];    // each word has four letters, the blank included
    int n = CHECK(read(fd, word, sizeof(word)));

    say("read(%s) = %d \"%.*s\"", name, n, n, word);
}

/* Starts the two processes of a step, with a pair between them, and waits for
 * both. What one of them opens, the other has not inherited. */
static void run(void (*sender)(const int sv[2]),
                void (*receiver)(const int sv[2]))
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t first = CHECK(fork());
    if (first == 0) {
        role("sender");
        sender(sv);
        _exit(EXIT_SUCCESS);
    }
    pid_t second = CHECK(fork());
    if (second == 0) {
        role("receiver");
        receiver(sv);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
    reap(first);
    reap(second);
}

/* The number as it is printed: N for the number of the sender's descriptor, M
 * for any other, and -1 if no descriptor has come. */
static const char *number_text(int number, int of_sender)
{
    if (number == -1)
        return "-1";
    if (number == of_sender)
        return "N";
    return "M";
}

/* The number as bytes, and then the descriptor. The file is opened before sv[1]
 * is closed: so N is the lowest free number in the receiver, too, which still
 * has both ends. */
static void send_number(const int sv[2])
{
    say("open(\"%s\") ...", notes_path);
    int notes = CHECK(open(notes_path, O_RDONLY));
    CHECK(close(sv[1]));

    say("write(the number N), then sendmsg([%s]) ...", notes_path);
    CHECK(write(sv[0], &notes, sizeof(notes)));
    send_descriptor(sv[0], notes);
}

static int receive_number(int to_sender)
{
    int number;
    int n = CHECK(read(to_sender, &number, sizeof(number)));

    if (n != sizeof(number))
        _exit(EXIT_FAILURE);    // not expected: all was written at once
    return number;
}

/* Something else has the number N in the receiver. When open() is called here,
 * both ends of the pair are still open, as they were in the sender: so open()
 * returns the same number. */
static void number_is_taken(const int sv[2])
{
    int number = receive_number(sv[1]);
    int other = CHECK(open(other_path, O_RDONLY));
    CHECK(close(sv[0]));

    say("open(\"%s\") = %s", other_path, number_text(other, number));
    read_word("N", number);
    int fd = receive_descriptor(sv[1], MSG_CMSG_CLOEXEC);
    say("the descriptor has the number: %s", number_text(fd, number));
    read_word("the descriptor", fd);
}

/* Nothing has the number N in the receiver. sv[0] stays open here until the
 * process ends, so that N is the lowest number that is free. */
static void number_is_free(const int sv[2])
{
    char word[4];
    int number = receive_number(sv[1]);

    const char *result = RESULT(read(number, word, sizeof(word)), EBADF);
    say("read(N) = %s", result);
    int fd = receive_descriptor(sv[1], MSG_CMSG_CLOEXEC);
    say("the descriptor has the number: %s", number_text(fd, number));
    read_word("the descriptor", fd);
}

static void which_number(void)
{
    make_file(notes_path, "one two six ");
    make_file(other_path, "mine");

    run(send_number, number_is_taken);
    run(send_number, number_is_free);

    CHECK(unlink(other_path));
    CHECK(unlink(notes_path));
}

/* End of file: the receiver has closed its descriptors, and is gone. */
static void wait_for_end(int to_receiver)
{
    char byte;
    int n = CHECK(read(to_receiver, &byte, 1));

    say("read(to_receiver) = %d", n);
}

/* The sender reads before it sends, and when the receiver is gone. */
static void read_and_send(const int sv[2])
{
    CHECK(close(sv[1]));
    int notes = CHECK(open(notes_path, O_RDONLY));

    read_word("notes", notes);
    say("sendmsg([%s]) ...", notes_path);
    send_descriptor(sv[0], notes);
    wait_for_end(sv[0]);
    read_word("notes", notes);
}

static void receive_and_read(const int sv[2])
{
    CHECK(close(sv[0]));
    int fd = receive_descriptor(sv[1], MSG_CMSG_CLOEXEC);

    say("open(\"%s\") ...", notes_path);
    int own = CHECK(open(notes_path, O_RDONLY));
    read_word("own", own);
    read_word("the descriptor", fd);

    int closed = CHECK(close(fd));
    say("close(the descriptor) = %d", closed);
}

static void who_reads_what(void)
{
    make_file(notes_path, "one two six ");
    run(read_and_send, receive_and_read);
    CHECK(unlink(notes_path));
}

static void say_nonblock(const char *name, int fd)
{
    int flags = CHECK(fcntl(fd, F_GETFL));

    if (flags & O_NONBLOCK)
        say("fcntl(%s, F_GETFL) & O_NONBLOCK = O_NONBLOCK", name);
    else
        say("fcntl(%s, F_GETFL) & O_NONBLOCK = 0", name);
}

/* A pipe, because O_NONBLOCK makes no difference for a file. The pipe is empty,
 * and the sender itself has its writing end: so more can still come. */
static void send_pipe(const int sv[2])
{
    int ends[2];
    char byte;

    CHECK(close(sv[1]));
    CHECK(pipe(ends));

    say_nonblock("pipe", ends[0]);
    say("sendmsg([pipe]) ...");
    send_descriptor(sv[0], ends[0]);
    wait_for_end(sv[0]);
    say_nonblock("pipe", ends[0]);
    const char *result = RESULT(read(ends[0], &byte, 1), EAGAIN);
    say("read(pipe) = %s", result);
}

/* F_SETFL replaces the flags, so the old ones are read first. */
static void set_nonblock(const int sv[2])
{
    CHECK(close(sv[0]));
    int fd = receive_descriptor(sv[1], MSG_CMSG_CLOEXEC);

    int flags = CHECK(fcntl(fd, F_GETFL));
    say("fcntl(the descriptor, F_SETFL, O_NONBLOCK) ...");
    CHECK(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

static void whose_flag(void)
{
    run(send_pipe, set_nonblock);
}

/* The file stays as long as somebody has it open, but it has no name. */
static void unlink_and_send(const int sv[2])
{
    CHECK(close(sv[1]));
    int notes = CHECK(open(notes_path, O_RDONLY));

    int unlinked = CHECK(unlink(notes_path));
    say("unlink(\"%s\") = %d", notes_path, unlinked);
    say("sendmsg([%s]) ...", notes_path);
    send_descriptor(sv[0], notes);
}

/* Mode 0: nobody may open the file any more. */
static void forbid_and_send(const int sv[2])
{
    CHECK(close(sv[1]));
    int notes = CHECK(open(notes_path, O_RDONLY));

    int changed = CHECK(chmod(notes_path, 0));
    say("chmod(\"%s\", 0) = %d", notes_path, changed);
    say("sendmsg([%s]) ...", notes_path);
    send_descriptor(sv[0], notes);
}

/* Two errors are answers here, and not the end of the lab. */
static void open_by_name(void)
{
    int fd = open(notes_path, O_RDONLY);

    if (fd == -1 && (errno == ENOENT || errno == EACCES))
        say("open(\"%s\", O_RDONLY) = -1 %s", notes_path, error_name(errno));
    else
        check(fd, "open()", __FILE__, __LINE__);
}

/* The name in /proc leads to the file of the descriptor, wherever the file is.
 * M is the receiver's number. If open() has succeeded, write() must, too: this
 * is another open file, and one that may be written to. */
static void open_by_number(int fd)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY);
    if (own == -1 && errno == EACCES) {
        say("open(\"/proc/self/fd/M\", O_WRONLY) = -1 %s", error_name(errno));
        return;
    }
    check(own, "open()", __FILE__, __LINE__);
    CHECK(write(own, "!", 1));
    say("open(\"/proc/self/fd/M\", O_WRONLY) = own");
}

/* Root may open every file, so the receiver gives up what lets root do so. */
static void use_without_open(const int sv[2])
{
    CHECK(close(sv[0]));
    as_ordinary_user();
    int fd = receive_descriptor(sv[1], MSG_CMSG_CLOEXEC);

    open_by_name();
    read_word("the descriptor", fd);
    const char *result = RESULT(write(fd, "!", 1), EBADF);
    say("write(the descriptor, \"!\") = %s", result);
    open_by_number(fd);
}

static void whose_permission(void)
{
    make_file(notes_path, "one two six ");
    run(unlink_and_send, use_without_open);

    make_file(notes_path, "one two six ");
    run(forbid_and_send, use_without_open);
    CHECK(unlink(notes_path));
}

static void say_cloexec(const char *name, int fd)
{
    int flags = CHECK(fcntl(fd, F_GETFD));

    if (flags & FD_CLOEXEC)
        say("fcntl(%s, F_GETFD) = FD_CLOEXEC", name);
    else
        say("fcntl(%s, F_GETFD) = %d", name, flags);
}

static void send_with_cloexec(const int sv[2])
{
    CHECK(close(sv[1]));
    int notes = CHECK(open(notes_path, O_RDONLY | O_CLOEXEC));

    say_cloexec("notes", notes);
    say("sendmsg([%s]) ...", notes_path);
    send_descriptor(sv[0], notes);
}

static void send_without_cloexec(const int sv[2])
{
    CHECK(close(sv[1]));
    int notes = CHECK(open(notes_path, O_RDONLY));

    say_cloexec("notes", notes);
    say("sendmsg([%s]) ...", notes_path);
    send_descriptor(sv[0], notes);
}

/* Starts this program again, but main() goes another way: it gets the number of
 * the descriptor as an argument. Until now both ends of the pair were open. So
 * the descriptor has a higher number than the files that are opened while the
 * new program is loaded, and none of these files can be mistaken for it. */
static void execute(const int sv[2], int fd)
{
    char number[16];
    const char *path = "/proc/self/exe";
    char *const arguments[] = {"program", number, NULL};

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
    snprintf(number, sizeof(number), "%d", fd);
    say("execv(\"%s\") ...", path);
    CHECK(execv(path, arguments));
}

static void receive_and_execute(const int sv[2])
{
    int fd = receive_descriptor(sv[1], 0);

    say_cloexec("the descriptor", fd);
    execute(sv, fd);
}

static void receive_with_cloexec_and_execute(const int sv[2])
{
    int fd = receive_descriptor(sv[1], MSG_CMSG_CLOEXEC);

    say_cloexec("the descriptor", fd);
    execute(sv, fd);
}

/* All that the new program knows is the number. */
static void read_in_new_program(const char *number)
{
    char word[4];
    int fd = (int)strtol(number, NULL, 10);

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);    // print each line at once
    role("program");
    ssize_t n = read(fd, word, sizeof(word));
    if (n == -1 && errno == EBADF) {
        say("read(the descriptor) = -1 EBADF");
        return;
    }
    int length = check(n, "read()", __FILE__, __LINE__);
    say("read(the descriptor) = %d \"%.*s\"", length, length, word);
}

static void across_exec(void)
{
    make_file(notes_path, "one two six ");
    run(send_with_cloexec, receive_and_execute);
    run(send_without_cloexec, receive_with_cloexec_and_execute);
    CHECK(unlink(notes_path));
}

int main(int argc, char *argv[])
{
    if (argc == 2) {
        read_in_new_program(argv[1]);
        return EXIT_SUCCESS;
    }
    need_proc();    // open() and execv() find files there

    step("The number is sent, too. Which number does the descriptor get?");
    which_number();

    step("Both read from notes.txt. Who reads which word?");
    who_reads_what();

    step("The receiver sets O_NONBLOCK. Does the sender's read() wait?");
    whose_flag();

    step("The receiver cannot open the file by name. What can it do?");
    whose_permission();

    step("The receiver executes another program. What can that read?");
    across_exec();
}
