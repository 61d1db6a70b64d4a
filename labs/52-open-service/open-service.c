/*
 * 52-open-service -- how does one server open files for many clients?
 *
 * On a stream, answers without a descriptor come together with the next answer
 * that has one: so a client counts, or gives room for one answer at a time.
 * open() may wait, and then all clients wait. An answer that is on its way
 * keeps its file open. When the client closes its end, unread answers are gone,
 * and their files are closed. The server's own descriptor stays open until the
 * server closes it, also when sendmsg() has failed. What one client leaves
 * unread counts for all.
 *
 *     ann  --- "today;" --->  recv()             server
 *                             open("today")      poll() waits for all
 *     ann  <--- 0, file ----  sendmsg()
 *                             close()
 *
 * See unix(7), poll(2), open(2), fifo(7), sendmsg(2), getrlimit(2).
 */
#define _GNU_SOURCE    // for accept4()
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

enum {
    PLACES = 2,               // that many clients at a time
    ROOM = 32,                // for a request, with its semicolon
    ROOM_FOR_ANSWERS = 64,    // bytes: a client may get several at a time
    BACKLOG = 4,
    UNREAD = 40,    // answers to eve in step 5, which she does not read
    LIMIT = 32      // less than UNREAD: set after them
};

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};

/* What the server keeps for a client. */
struct client {
    int fd;                        // -1: this place is free
    struct sockaddr_un address;    // for the lines of the lab
    char request[ROOM];            // what has come and is not answered yet,
    size_t length;                 // and how much of it there is
};

struct server {
    int listener;
    int silent;        // it says nothing of what succeeds
    int files_sent;    // answers with a descriptor
    struct client clients[PLACES];
};

/* The name of a client is that of its address. */
static const char *name_of(const struct client *client)
{
    return client->address.sun_path;
}

static void open_server(struct server *server)
{
    memset(server, 0, sizeof(*server));
    for (int i = 0; i < PLACES; i++)
        server->clients[i].fd = -1;

    server->listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(bind(server->listener, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    CHECK(listen(server->listener, BACKLOG));
}

static void close_server(struct server *server)
{
    for (int i = 0; i < PLACES; i++)
        if (server->clients[i].fd != -1)
            CHECK(close(server->clients[i].fd));
    CHECK(close(server->listener));
    CHECK(unlink(server_address.sun_path));
}

/* The client gets the first free place. Each step has as many clients as there
 * are places, or fewer. */
static void accept_client(struct server *server)
{
    int place = 0;

    while (place < PLACES && server->clients[place].fd != -1)
        place++;
    if (place == PLACES) {
        errno = EMFILE;
        fail("accept_client()", __FILE__, __LINE__);
    }
    struct client *client = &server->clients[place];
    socklen_t length = sizeof(client->address);
    memset(client, 0, sizeof(*client));
    client->fd =
        CHECK(accept4(server->listener, (struct sockaddr *)&client->address,
                      &length, SOCK_NONBLOCK));
}

/* Returns the result of close(), for a line of the lab. */
static int drop(struct client *client)
{
    int closed = CHECK(close(client->fd));

    client->fd = -1;    // the place is free
    return closed;
}

/* As send_descriptor() of descriptors.h, with a flag, and with the result: a
 * client that has gone must not end the server. */
static int send_file(int to_client, int file)
{
    int error = 0;    // the answer: all is well
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {.iov_base = &error, .iov_len = sizeof(error)};
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
    memcpy(CMSG_DATA(beside), &file, sizeof(int));
    return (int)sendmsg(to_client, &msg, MSG_NOSIGNAL);
}

/* The errors that mean: this client has gone, or reads too little. */
static int is_of_client(int error)
{
    return error == EPIPE || error == ECONNRESET || error == EAGAIN;
}

/* An answer without a descriptor. */
static void send_error(struct client *client, int error)
{
    ssize_t n = send(client->fd, &error, sizeof(error), MSG_NOSIGNAL);

    if (n == -1 && !is_of_client(errno))
        fail("send(client)", __FILE__, __LINE__);
    if (n == -1)
        drop(client);
}

/* sendmsg() could not send a descriptor. ETOOMANYREFS may be the fault of
 * another client: so this client is told, and stays. */
static void answer_failed(struct client *client, int error)
{
    if (error != ETOOMANYREFS && !is_of_client(error)) {
        errno = error;
        fail("sendmsg(client)", __FILE__, __LINE__);
    }
    say("sendmsg(%s, 0 + file) = -1 %s", name_of(client), error_name(error));
    if (error == ETOOMANYREFS)
        send_error(client, error);
    else
        drop(client);
}

/* The flags are the server's (lab 51, step 4). With O_NONBLOCK, open() of a
 * FIFO does not wait. The rules of lab 51 for names and for what was opened are
 * left out here: the clients of this lab ask for these two files only. */
static int open_for_client(const struct server *server, const char *name)
{
    int file = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file == -1 && errno != ENOENT)
        fail("open(name)", __FILE__, __LINE__);
    if (file == -1)
        say("open(\"%s\") = -1 %s", name, error_name(ENOENT));
    else if (!server->silent)
        say("open(\"%s\") = file", name);
    return file;
}

static void answer(struct server *server, struct client *client,
                   const char *name)
{
    int file = open_for_client(server, name);
    if (file == -1) {
        send_error(client, ENOENT);
        return;
    }

    int sent = send_file(client->fd, file);
    int error = errno;
    CHECK(close(file));    // whatever has become of the answer
    if (sent == -1)
        answer_failed(client, error);
    else
        server->files_sent++;
}

/* Answers each request that is complete. What stands behind the last semicolon
 * moves to the front. */
static void answer_all(struct server *server, struct client *client)
{
    char *end = memchr(client->request, ';', client->length);

    while (end && client->fd != -1) {
        *end = '\0';
        answer(server, client, client->request);
        client->length -= (size_t)(end + 1 - client->request);
        memmove(client->request, end + 1, client->length);
        end = memchr(client->request, ';', client->length);
    }
    if (client->fd != -1 && client->length == ROOM) {
        send_error(client, EMSGSIZE);    // ROOM bytes without a semicolon
        if (client->fd != -1)
            drop(client);
    }
}

/* One recv() for a client that poll() has reported. */
static void receive_request(struct server *server, struct client *client)
{
    char *end = client->request + client->length;
    size_t room = ROOM - client->length;
    ssize_t n = recv(client->fd, end, room, 0);

    if (n == -1 && errno != ECONNRESET)
        fail("recv(client)", __FILE__, __LINE__);
    if (n == -1) {
        say("recv(%s, %zu bytes) = -1 %s", name_of(client), room,
            error_name(ECONNRESET));
        drop(client);
        return;
    }
    if (!server->silent)
        say("recv(%s, %zu bytes) = %zd \"%.*s\"", name_of(client), room, n,
            (int)n, end);
    if (n == 0) {
        drop(client);
        return;
    }
    client->length += (size_t)n;
    answer_all(server, client);
}

/* One round of the server: one poll(), and one recv() for each client that is
 * ready. The listener is left out, because nobody connects after the beginning
 * of a step (lab 22 has it). */
static void serve_round(struct server *server)
{
    struct pollfd polled[PLACES];

    role("server");
    for (int i = 0; i < PLACES; i++) {
        polled[i].fd = server->clients[i].fd;    // poll() passes over -1
        polled[i].events = POLLIN;
    }
    CHECK(poll(polled, PLACES, -1));
    for (int i = 0; i < PLACES; i++)
        if (polled[i].revents != 0)
            receive_request(server, &server->clients[i]);
}

/* From here on: the clients. A name that is too long ends the lab: cut off, it
 * would be another name. */
static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path) + 1;

    if (size > sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        fail("address_of()", __FILE__, __LINE__);
    }
    memcpy(address.sun_path, path, size);
    return address;
}

/* Each client binds a name, so that the server's lines can say who it is. The
 * file can go at once, because nobody connects to it. */
static int open_client(struct server *server, const char *name)
{
    struct sockaddr_un own = address_of(name);
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(bind(fd, (const struct sockaddr *)&own, sizeof(own)));
    CHECK(unlink(name));
    CHECK(connect(fd, (const struct sockaddr *)&server_address,
                  sizeof(server_address)));
    accept_client(server);
    return fd;
}

/* The server's recv() shows what was sent. */
static void send_request(const char *who, int fd, const char *text)
{
    role(who);
    CHECK(send(fd, text, strlen(text), 0));
}

static const char *error_text(int error)
{
    if (error == 0)
        return "0";
    return error_name(error);
}

/* A line of the lab, while it is put together. */
struct line {
    char text[200];
};

static void append(struct line *line, const char *more)
{
    size_t length = strlen(line->text);

    snprintf(line->text + length, sizeof(line->text) - length, "%s", more);
}

/* One recvmsg(). What it has brought is appended to the line: "4 [0 + file]".
 * Each answer is an int, 0 or an error, and one call may bring several. The
 * descriptor that came beside them is in file, or -1. */
static int receive_answers(int fd, int *file, struct line *line)
{
    int answers[ROOM_FOR_ANSWERS / sizeof(int)];
    char number[20];
    int n = receive_descriptor(fd, answers, sizeof(answers), file);
    int count = n / (int)sizeof(int);

    snprintf(number, sizeof(number), "%d [", n);
    append(line, number);
    for (int i = 0; i < count; i++) {
        if (i > 0)
            append(line, " ");
        append(line, error_text(answers[i]));
    }
    if (*file != -1)
        append(line, " + file");
    append(line, "]");
    return n;
}

/* Receives the one answer that this client waits for. */
static int receive_file(const char *who, int fd)
{
    struct line line = {""};
    int file;

    role(who);
    receive_answers(fd, &file, &line);
    say("recvmsg(%d bytes) = %s", ROOM_FOR_ANSWERS, line.text);
    return file;
}

/* Receives until both answers have come, and says in one line what each call
 * has brought. */
static void receive_both(const char *who, int fd)
{
    const int wanted = 2 * (int)sizeof(int);
    struct line line = {""};
    int length = 0;
    int n = -1;
    int file;

    role(who);
    while (length < wanted && n != 0) {    // 0 is end of file
        if (length > 0)
            append(&line, " ");
        n = receive_answers(fd, &file, &line);
        if (file != -1)
            CHECK(close(file));
        length += n;
    }
    say("recvmsg(%d bytes), until %d came = %s", ROOM_FOR_ANSWERS, wanted,
        line.text);
}

/* A pipe may be empty: then read() is -1 EAGAIN. */
static void read_file(int file)
{
    char text[64];
    ssize_t n = read(file, text, sizeof(text));

    if (n == -1 && errno != EAGAIN)
        fail("read(file)", __FILE__, __LINE__);
    if (n == -1)
        say("read(file) = -1 %s", error_name(EAGAIN));
    else
        say("read(file) = %zd \"%.*s\"", n, (int)n, text);
}

/* For a client that gets one answer, and reads the file if one came. */
static void receive_and_read(const char *who, int fd)
{
    int file = receive_file(who, fd);

    if (file == -1)
        return;
    read_file(file);
    CHECK(close(file));
}

/* With O_NONBLOCK, open() of a FIFO for writing is -1 ENXIO if nobody has it
 * open for reading. A descriptor that is on its way counts, too. */
static int try_to_open_for_writing(void)
{
    role("writer");
    int pipe = open("pipe", O_WRONLY | O_NONBLOCK);
    if (pipe == -1 && errno != ENXIO)
        fail("open(\"pipe\")", __FILE__, __LINE__);
    if (pipe == -1)
        say("open(\"pipe\", O_WRONLY | O_NONBLOCK) = -1 %s", error_name(ENXIO));
    else
        say("open(\"pipe\", O_WRONLY | O_NONBLOCK) = pipe");
    return pipe;
}

/* Is the open file of the server's answer still open anywhere? */
static void say_whether_pipe_is_open(void)
{
    int pipe = try_to_open_for_writing();

    if (pipe != -1)
        CHECK(close(pipe));
}

static void hang_up(const char *who, int fd)
{
    role(who);
    int closed = CHECK(close(fd));
    say("close() = %d", closed);
}

/* The same two requests in one send(), in the one order and in the other. The
 * client has room for many answers. */
static void two_requests(void)
{
    struct server server;

    open_server(&server);
    int bob = open_client(&server, "bob");

    send_request("bob", bob, "today;later;");
    serve_round(&server);
    receive_both("bob", bob);

    send_request("bob", bob, "later;today;");
    serve_round(&server);
    receive_both("bob", bob);

    CHECK(close(bob));
    close_server(&server);
}

/* In one round the server opens a FIFO for ann, and then a file for bob. ann
 * reads while nobody has the FIFO open for writing, and while somebody has. */
static void one_asks_for_a_pipe(void)
{
    struct server server;

    open_server(&server);
    int ann = open_client(&server, "ann");
    int bob = open_client(&server, "bob");

    send_request("ann", ann, "pipe;");
    send_request("bob", bob, "today;");
    serve_round(&server);
    int today = CHECK(receive_file("bob", bob));
    int file = CHECK(receive_file("ann", ann));
    read_file(file);
    int pipe = CHECK(try_to_open_for_writing());
    role("ann");
    read_file(file);

    CHECK(close(pipe));
    CHECK(close(file));
    CHECK(close(today));
    CHECK(close(ann));
    CHECK(close(bob));
    close_server(&server);
}

/* The server has closed its descriptor, and ann has not received hers: between
 * the two, the open file is only in the message. */
static void answer_on_its_way(void)
{
    struct server server;

    open_server(&server);
    int ann = open_client(&server, "ann");

    say_whether_pipe_is_open();
    send_request("ann", ann, "pipe;");
    serve_round(&server);
    say_whether_pipe_is_open();
    hang_up("ann", ann);
    say_whether_pipe_is_open();
    serve_round(&server);

    close_server(&server);
}

/* eve has closed before the server receives her request. */
static void nobody_to_answer(void)
{
    struct server server;

    open_server(&server);
    int eve = open_client(&server, "eve");
    int bob = open_client(&server, "bob");

    send_request("eve", eve, "pipe;");
    hang_up("eve", eve);
    serve_round(&server);
    say_whether_pipe_is_open();

    send_request("bob", bob, "today;");
    serve_round(&server);
    receive_and_read("bob", bob);

    CHECK(close(bob));
    close_server(&server);
}

/* Returns the limit before, so that it can be set again. */
static struct rlimit set_limit(rlim_t limit)
{
    struct rlimit before;

    CHECK(getrlimit(RLIMIT_NOFILE, &before));
    struct rlimit files = before;
    files.rlim_cur = limit;
    int result = CHECK(setrlimit(RLIMIT_NOFILE, &files));
    say("setrlimit(RLIMIT_NOFILE, %d) = %d", (int)limit, result);
    return before;
}

static void ask_without_reading(struct server *server, int eve)
{
    const char *request = "pipe;";

    for (int i = 0; i < UNREAD; i++) {
        CHECK(send(eve, request, strlen(request), 0));
        serve_round(server);
    }
    say("number of answers to eve with a descriptor: %d", server->files_sent);
}

/* eve reads none of her answers. Then bob asks for one file. The server closes
 * its connection to eve, and at last eve closes her end. The limit is set after
 * eve's answers have been sent, so that each run sends the same number of
 * them. */
static void one_does_not_read(void)
{
    struct server server;

    open_server(&server);
    int eve = open_client(&server, "eve");
    int bob = open_client(&server, "bob");
    struct client *to_eve = &server.clients[0];    // she came first

    server.silent = 1;
    ask_without_reading(&server, eve);
    struct rlimit before = set_limit(LIMIT);
    send_request("bob", bob, "today;");
    serve_round(&server);
    receive_and_read("bob", bob);

    role("server");
    int closed = drop(to_eve);
    say("close(%s) = %d", name_of(to_eve), closed);
    say_whether_pipe_is_open();
    hang_up("eve", eve);
    say_whether_pipe_is_open();

    CHECK(setrlimit(RLIMIT_NOFILE, &before));
    CHECK(close(bob));
    close_server(&server);
}

static void make_files(void)
{
    int file = CHECK(open("today", O_WRONLY | O_CREAT | O_TRUNC, 0600));

    CHECK(write(file, "milk", 4));
    CHECK(close(file));
    CHECK(mkfifo("pipe", 0600));
}

static void remove_files(void)
{
    CHECK(unlink("today"));
    CHECK(unlink("pipe"));
}

/* One process plays the server and all clients. */
int main(void)
{
    as_ordinary_user();    // the limit of step 5 does not hold for root
    need_own_directory();

    step("Two requests come together. Which answer has the descriptor?");
    make_files();
    two_requests();

    step("ann asks for a pipe that nobody writes to. Who waits?");
    one_asks_for_a_pipe();

    step("The answer is on its way, and ann goes. Is the file still open?");
    answer_on_its_way();

    step("eve goes before she is answered. Is the file still open?");
    nobody_to_answer();

    step("eve asks and never reads. What does bob get?");
    one_does_not_read();
    remove_files();
}
