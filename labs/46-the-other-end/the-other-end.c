/*
 * 46-the-other-end -- who has the other end?
 *
 * Each socket has a number, its inode. fstat() shows it for a descriptor, and
 * the links in /proc/PID/fd show it for every process. For a number the kernel
 * says by sock_diag what the number of the peer is, and what waits there. So
 * this is the way from a descriptor to the processes at the other end. C is the
 * number of this process's own socket, and B is the number of its peer:
 *
 *     to_client ----> C ----------> B <------ /proc/PID/fd/N  "socket:[B]"
 *              fstat()   sock_diag            of ann, of bob, or of nobody
 *
 * See sock_diag(7), netlink(7), proc(5), unix(7), ss(8).
 */
#define _GNU_SOURCE    // for struct ucred
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

enum {
    ROOM = 64,           // longer than any text that is sent here
    BACKLOG = 4,         // more than ever wait in the queue of a listener
    MOST_INODES = 26,    // as many as there are letters
    MOST_BYTES = 4096    // of an answer by sock_diag
};

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};

/* The numbers of sockets that a step has met: the first is A, the next B. */
static unsigned inodes[MOST_INODES];
static int inode_count;

static void forget_letters(void)
{
    inode_count = 0;
}

/* A socket that has no open file yet, or none any more, has the number 0. */
static char letter_of(unsigned inode)
{
    if (inode == 0)
        return '0';
    for (int i = 0; i < inode_count; i++)
        if (inodes[i] == inode)
            return (char)('A' + i);
    if (inode_count == MOST_INODES)
        return '?';
    inodes[inode_count] = inode;
    inode_count++;
    return (char)('A' + inode_count - 1);
}

static unsigned inode_of(int fd)
{
    struct stat status;

    CHECK(fstat(fd, &status));
    return (unsigned)status.st_ino;
}

static void show_inode(const char *name, int fd)
{
    char letter = letter_of(inode_of(fd));

    say("fstat(%s) -> inode: %c", name, letter);
}

/* The question to the kernel, and the beginning of its answer. These are the
 * structures and numbers of <linux/netlink.h>, <linux/sock_diag.h> and
 * <linux/unix_diag.h>, which musl does not have. */
enum {
    NETLINK_SOCK_DIAG = 4,
    SOCK_DIAG_BY_FAMILY = 20,
    NLMSG_ERROR = 2,
    NLM_F_REQUEST = 1,
    UDIAG_SHOW_NAME = 1,
    UDIAG_SHOW_VFS = 2,
    UDIAG_SHOW_PEER = 4,
    UDIAG_SHOW_RQLEN = 16,
    UNIX_DIAG_NAME = 0,
    UNIX_DIAG_VFS = 1,
    UNIX_DIAG_PEER = 2,
    UNIX_DIAG_RQLEN = 4,
    STATE_ESTAB = 1,
    STATE_UNCONN = 7,
    STATE_LISTEN = 10
};

struct netlink_header {
    uint32_t length;
    uint16_t type, flags;
    uint32_t sequence, port;
};

struct question {
    struct netlink_header header;
    uint8_t family, protocol;
    uint16_t pad;
    uint32_t states, inode, show;
    uint32_t cookie[2];    // a second number of the socket, not used here
};

struct answer {
    struct netlink_header header;
    uint8_t family, type, state, pad;
    uint32_t inode, cookie[2];
};

/* The answer goes on with attributes: each has a header and some data. */
struct attribute {
    uint16_t length, type;
};

/* What the lab takes from an answer. */
struct found {
    unsigned state;
    char name[sizeof(server_address.sun_path)];
    unsigned file;        // the inode of the socket file, or 0
    int has_peer;         // is the attribute there?
    unsigned peer;        // the inode of the peer
    unsigned queue[2];    // Recv-Q and Send-Q
};

static void keep_attribute(const struct attribute *header, const char *data,
                           struct found *found)
{
    size_t size = header->length - sizeof(*header);

    if (header->type == UNIX_DIAG_NAME && size < sizeof(found->name))
        memcpy(found->name, data, size);
    if (header->type == UNIX_DIAG_VFS && size >= sizeof(found->file))
        memcpy(&found->file, data, sizeof(found->file));
    if (header->type == UNIX_DIAG_PEER && size >= sizeof(found->peer)) {
        found->has_peer = 1;
        memcpy(&found->peer, data, sizeof(found->peer));
    }
    if (header->type == UNIX_DIAG_RQLEN && size >= sizeof(found->queue))
        memcpy(found->queue, data, sizeof(found->queue));
}

static void read_attributes(const char *bytes, size_t size, struct found *found)
{
    struct attribute header;
    size_t at = 0;

    while (size - at >= sizeof(header)) {
        memcpy(&header, bytes + at, sizeof(header));
        if (header.length < sizeof(header) || header.length > size - at)
            break;
        keep_attribute(&header, bytes + at + sizeof(header), found);
        size_t next =
            (header.length + 3U) & ~3U;    // they begin at multiples of 4
        if (next > size - at)
            break;
        at += next;
    }
}

/* Sends the question, and stores the answer in bytes. Returns its length. */
static size_t send_question(int kernel, unsigned inode, char bytes[MOST_BYTES])
{
    const struct question question = {
        .header = {.length = sizeof(question),
                   .type = SOCK_DIAG_BY_FAMILY,
                   .flags = NLM_F_REQUEST},
        .family = AF_UNIX,
        .states = UINT32_MAX,    // all
        .inode = inode,
        .show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER |
                UDIAG_SHOW_RQLEN,
        .cookie = {UINT32_MAX, UINT32_MAX},    // whatever its second number is
    };

    CHECK(send(kernel, &question, sizeof(question), 0));
    int n = CHECK(recv(kernel, bytes, MOST_BYTES, 0));
    if (n < (int)sizeof(struct answer)) {
        errno = EBADMSG;
        fail("recv() of an answer", __FILE__, __LINE__);
    }
    return (size_t)n;
}

/* Returns 0, or -1 and errno: ENOENT if there is no socket with this inode in
 * the network namespace of this process. */
static int sock_diag(unsigned inode, struct found *found)
{
    char bytes[MOST_BYTES];
    struct answer answer;
    int error;

    int kernel =
        CHECK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    size_t n = send_question(kernel, inode, bytes);
    CHECK(close(kernel));

    memset(found, 0, sizeof(*found));
    memcpy(&answer.header, bytes, sizeof(answer.header));
    if (answer.header.type == NLMSG_ERROR) {
        memcpy(&error, bytes + sizeof(answer.header), sizeof(error));
        errno = -error;
        return -1;
    }
    memcpy(&answer, bytes, sizeof(answer));
    found->state = answer.state;
    read_attributes(bytes + sizeof(answer), n - sizeof(answer), found);
    return 0;
}

static const char *state_name(unsigned state)
{
    static char number[16];    // good until the next call

    if (state == STATE_ESTAB)
        return "ESTAB";
    if (state == STATE_UNCONN)
        return "UNCONN";
    if (state == STATE_LISTEN)
        return "LISTEN";
    snprintf(number, sizeof(number), "%u", state);
    return number;
}

/* RESULT is a text: "0", or "-1 ENOENT". */
static void show_peer(unsigned inode)
{
    struct found found;
    char letter = letter_of(inode);

    const char *result = RESULT(sock_diag(inode, &found), ENOENT);
    if (strcmp(result, "0") != 0) {
        say("sock_diag(%c) = %s", letter, result);
        return;
    }
    const char *state = state_name(found.state);
    char peer = letter_of(found.peer);
    if (found.has_peer)
        say("sock_diag(%c) -> state: %s, peer: %c", letter, state, peer);
    else
        say("sock_diag(%c) -> state: %s, peer: none", letter, state);
}

/* The number of the socket file. It belongs to another file system than the
 * numbers of the sockets, so it has a small letter. There is one such file. */
static unsigned file_inode(void)
{
    struct stat status;

    CHECK(stat(server_address.sun_path, &status));
    return (unsigned)status.st_ino;    // sock_diag has 32 bits of it, too
}

static void show_name(unsigned inode)
{
    struct found found;
    char letter = letter_of(inode);
    unsigned file = file_inode();

    CHECK(sock_diag(inode, &found));
    if (found.file == 0)
        say("sock_diag(%c) -> name: \"%s\", file: none", letter, found.name);
    else if (found.file == file)
        say("sock_diag(%c) -> name: \"%s\", file: a", letter, found.name);
    else
        say("sock_diag(%c) -> name: \"%s\", file: %u", letter, found.name,
            found.file);
}

static void show_queue(unsigned inode)
{
    struct found found;
    char letter = letter_of(inode);

    CHECK(sock_diag(inode, &found));
    say("sock_diag(%c) -> Recv-Q: %u, Send-Q: %u", letter, found.queue[0],
        found.queue[1]);
}

/* How much memory a message takes differs from kernel to kernel. */
static void measure_queue(unsigned inode)
{
    struct found found;
    char letter = letter_of(inode);

    CHECK(sock_diag(inode, &found));
    say_measured("sock_diag(%c) -> Recv-Q: %u, Send-Q: %u", letter,
                 found.queue[0], found.queue[1]);
}

static int open_server(void)
{
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(bind(listener, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    CHECK(listen(listener, BACKLOG));
    return listener;
}

static void close_server(int listener)
{
    CHECK(close(listener));
    CHECK(unlink(server_address.sun_path));
}

static int connect_to_server(void)
{
    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    say("connect(\"%s\") ...", server_address.sun_path);
    CHECK(connect(to_server, (const struct sockaddr *)&server_address,
                  sizeof(server_address)));
    return to_server;
}

static int accept_client(int listener)
{
    say("accept(listener) ...");
    int to_client = CHECK(accept(listener, NULL, NULL));

    return to_client;
}

static void send_text(int fd, const char *text)
{
    say("send(\"%s\") ...", text);
    CHECK(send(fd, text, strlen(text), 0));
}

static void receive(int fd)
{
    char text[ROOM];

    int n = CHECK(recv(fd, text, sizeof(text), 0));
    say("recv(%d bytes) = %d \"%.*s\"", ROOM, n, n, text);
}

/* The link in /proc of a descriptor of this process: "socket:[4711]". */
static void show_link(const char *name, int fd)
{
    char path[ROOM];
    char link[ROOM];
    unsigned inode;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int length = CHECK(readlink(path, link, sizeof(link) - 1));
    link[length] = '\0';
    if (sscanf(link, "socket:[%u]", &inode) != 1) {
        say("readlink(\"/proc/self/fd/%s\") -> \"%s\"", name, link);
        return;
    }
    char letter = letter_of(inode);
    say("readlink(\"/proc/self/fd/%s\") -> \"socket:[%c]\"", name, letter);
}

/* One process plays the server and the client. When the server has accepted,
 * there are four descriptors, and one socket file. */
static void numbers_and_names(void)
{
    forget_letters();
    role("server");
    int listener = open_server();
    show_inode("listener", listener);
    role("client");
    int to_server = connect_to_server();
    show_inode("to_server", to_server);
    int copy = CHECK(dup(to_server));
    show_inode("dup(to_server)", copy);
    role("server");
    int to_client = accept_client(listener);
    show_inode("to_client", to_client);
    show_link("to_client", to_client);

    show_name(inode_of(listener));
    show_name(inode_of(to_server));
    show_name(inode_of(to_client));

    CHECK(close(copy));
    CHECK(close(to_client));
    CHECK(close(to_server));
    close_server(listener);
}

/* The server and ann look at her socket: before she is accepted, after that,
 * and when she has closed it. No line of fstat() gives the letters here: each
 * number has its letter when sock_diag() is first asked about it. */
static void peers(void)
{
    forget_letters();
    role("server");
    int listener = open_server();
    show_peer(inode_of(listener));

    role("ann");
    int to_server = connect_to_server();
    unsigned ann = inode_of(to_server);
    show_peer(ann);
    role("server");
    int to_client = accept_client(listener);
    show_peer(ann);
    show_peer(inode_of(to_client));

    role("ann");
    int closed = CHECK(close(to_server));
    say("close(to_server) = %d", closed);
    role("server");
    show_peer(ann);
    show_peer(inode_of(to_client));

    CHECK(close(to_client));
    close_server(listener);
}

/* ann and bob connect. ann is accepted, and writes. */
static void queues(void)
{
    forget_letters();
    role("server");
    int listener = open_server();
    show_queue(inode_of(listener));
    role("ann");
    int ann = connect_to_server();
    role("bob");
    int bob = connect_to_server();
    role("server");
    show_queue(inode_of(listener));
    int to_client = accept_client(listener);
    show_queue(inode_of(listener));

    role("ann");
    send_text(ann, "tea");
    measure_queue(inode_of(ann));
    role("server");
    show_queue(inode_of(to_client));
    receive(to_client);
    role("ann");
    show_queue(inode_of(ann));

    CHECK(close(to_client));
    CHECK(close(bob));
    CHECK(close(ann));
    close_server(listener);
}

/* The same number by two ways. FIONREAD is what unix(7) calls SIOCINQ. */
static void two_messages(int type, const char *name)
{
    int sv[2];
    int bytes;

    CHECK(socketpair(AF_UNIX, type, 0, sv));
    role("sender");
    say("%s: send(\"tea\"), send(\"cake\") ...", name);
    CHECK(send(sv[0], "tea", strlen("tea"), 0));
    CHECK(send(sv[0], "cake", strlen("cake"), 0));
    role("receiver");
    CHECK(ioctl(sv[1], FIONREAD, &bytes));
    say("ioctl(sv[1], SIOCINQ) -> bytes: %d", bytes);
    show_queue(inode_of(sv[1]));

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void three_types(void)
{
    forget_letters();
    two_messages(SOCK_STREAM, "SOCK_STREAM");
    two_messages(SOCK_SEQPACKET, "SOCK_SEQPACKET");
    two_messages(SOCK_DGRAM, "SOCK_DGRAM");
}

static void send_dot(int fd)
{
    CHECK(send(fd, ".", 1, 0));
}

static void wait_for_dot(int fd)
{
    char dot;

    CHECK(recv(fd, &dot, 1, 0));
}

/* Connects when the server is there, and passes the connection on to bob. Each
 * dot of the server says that it is ann's turn. */
static _Noreturn void run_ann(int turn, int to_bob)
{
    role("ann");
    wait_for_dot(turn);
    int to_server = connect_to_server();
    send_dot(turn);

    wait_for_dot(turn);
    say("sendmsg(\"x\", [to_server]) ...");
    send_descriptor(to_bob, "x", 1, to_server);
    int closed = CHECK(close(to_server));
    say("close(to_server) = %d", closed);
    send_dot(turn);

    wait_for_dot(turn);
    _exit(EXIT_SUCCESS);    // the kernel closes its ends of the pairs
}

/* Takes what ann has sent when the server says so. The first dot says that bob
 * has closed what is not his: the server reads the list of his descriptors, and
 * this list must not change meanwhile. */
static _Noreturn void run_bob(int turn, int to_ann)
{
    char byte;
    int to_server;

    role("bob");
    send_dot(turn);
    wait_for_dot(turn);
    say("recvmsg(1 byte) ...");
    receive_descriptor(to_ann, &byte, 1, &to_server);
    send_dot(turn);

    wait_for_dot(turn);
    CHECK(close(to_server));
    _exit(EXIT_SUCCESS);    // the kernel closes its ends of the pairs
}

/* How many descriptors of the process belong to the socket? */
static int count_descriptors(pid_t pid, unsigned inode)
{
    char path[ROOM];
    char wanted[ROOM];
    char link[ROOM];
    int count = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    snprintf(wanted, sizeof(wanted), "socket:[%u]", inode);
    DIR *directory = opendir(path);
    if (!directory)
        fail("opendir()", __FILE__, __LINE__);
    errno = 0;
    struct dirent *entry = readdir(directory);
    while (entry) {
        if (entry->d_name[0] != '.') {
            int length = CHECK(readlinkat(dirfd(directory), entry->d_name, link,
                                          sizeof(link) - 1));
            link[length] = '\0';
            if (strcmp(link, wanted) == 0)
                count++;
        }
        entry = readdir(directory);
    }
    if (errno != 0)
        fail("readdir()", __FILE__, __LINE__);
    CHECK(closedir(directory));
    return count;
}

static const char *name_of_process(pid_t pid, pid_t ann, pid_t bob)
{
    static char number[16];    // good until the next call

    if (pid == ann)
        return "ann's";
    if (pid == bob)
        return "bob's";
    snprintf(number, sizeof(number), "%d", pid);
    return number;
}

/* From the server's own descriptor to the processes at the other end. */
static void look_for_owner(int to_client, pid_t ann, pid_t bob)
{
    struct ucred who;
    socklen_t length = sizeof(who);
    struct found found;
    unsigned own = inode_of(to_client);

    CHECK(getsockopt(to_client, SOL_SOCKET, SO_PEERCRED, &who, &length));
    const char *pid = name_of_process(who.pid, ann, bob);
    CHECK(sock_diag(own, &found));
    int at_ann = count_descriptors(ann, found.peer);
    int at_bob = count_descriptors(bob, found.peer);

    char own_letter = letter_of(own);
    char peer = letter_of(found.peer);
    say("getsockopt(to_client, SO_PEERCRED) -> pid: %s", pid);
    say("sock_diag(%c) -> peer: %c", own_letter, peer);
    say("links to the peer in /proc/PID/fd: %d of ann, %d of bob", at_ann,
        at_bob);
}

/* The server looks three times: when ann has the connection, when it is on its
 * way to bob, and when bob has it. */
static void watch_owner(int to_ann, int to_bob, pid_t ann, pid_t bob)
{
    role("server");
    int listener = open_server();
    wait_for_dot(to_bob);    // bob has closed what is not his
    send_dot(to_ann);
    wait_for_dot(to_ann);    // ann has connected
    int to_client = accept_client(listener);
    look_for_owner(to_client, ann, bob);

    send_dot(to_ann);
    wait_for_dot(to_ann);    // ann has sent her end, and has closed it
    look_for_owner(to_client, ann, bob);

    send_dot(to_bob);
    wait_for_dot(to_bob);    // bob has received it
    look_for_owner(to_client, ann, bob);

    send_dot(to_ann);    // both may exit now
    send_dot(to_bob);
    CHECK(close(to_client));
    close_server(listener);
}

/* ann gets the first end of the pair with bob. */
static pid_t start_ann(const int sv[2], const int turn[2])
{
    pid_t ann = CHECK(fork());

    if (ann == 0) {
        CHECK(close(sv[1]));
        CHECK(close(turn[0]));
        run_ann(turn[1], sv[0]);
    }
    CHECK(close(sv[0]));
    CHECK(close(turn[1]));
    return ann;
}

/* bob gets the second end. The server's end of its pair with ann is open here,
 * too, and is not bob's. */
static pid_t start_bob(const int sv[2], const int turn[2], int to_ann)
{
    pid_t bob = CHECK(fork());

    if (bob == 0) {
        CHECK(close(to_ann));
        CHECK(close(turn[0]));
        run_bob(turn[1], sv[1]);
    }
    CHECK(close(sv[1]));
    CHECK(close(turn[1]));
    return bob;
}

/* ann and bob have a pair of their own. Each of them has another pair with the
 * server, which says whose turn it is. Both are there before any connection is,
 * so neither inherits one. */
static void which_process(void)
{
    int sv[2];
    int ann_turn[2];
    int bob_turn[2];

    forget_letters();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ann_turn));
    pid_t ann = start_ann(sv, ann_turn);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, bob_turn));
    pid_t bob = start_bob(sv, bob_turn, ann_turn[0]);

    watch_owner(ann_turn[0], bob_turn[0], ann, bob);
    reap(ann);
    reap(bob);
    CHECK(close(ann_turn[0]));
    CHECK(close(bob_turn[0]));
}

/* The kernel may lack this part, or keep it in a module that is not there. */
static void need_sock_diag(void)
{
    struct found found;

    int kernel = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
    if (kernel == -1 && (errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT))
        skip("this lab needs sock_diag(7), and the kernel lacks it");
    CHECK(kernel);
    CHECK(close(kernel));

    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    int asked = sock_diag(inode_of(fd), &found);
    if (asked == -1 && errno == ENOENT)
        skip("the kernel lacks CONFIG_UNIX_DIAG: modprobe unix_diag");
    CHECK(asked);
    CHECK(close(fd));
}

int main(void)
{
    need_proc();
    need_sock_diag();

    step("One connection. How many sockets, and which have the name?");
    numbers_and_names();

    step("Who is the peer of whom?");
    peers();

    step("Who waits at a listener, and what waits at a connection?");
    queues();

    step("Two messages wait. How many bytes are said to wait?");
    three_types();

    step("ann passes her connection on to bob. Which process has it?");
    which_process();
}
