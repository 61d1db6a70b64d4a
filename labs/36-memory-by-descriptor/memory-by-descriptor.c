/*
 * 36-memory-by-descriptor -- can a whole memory be sent?
 *
 * memfd_create() makes a file that has no path and is in memory. Its descriptor
 * is sent beside one byte, and whoever maps the file has the same memory:
 * nothing is copied, and what is written later is seen, too. So the sender can
 * still change the memory, and can cut it, which kills a receiver that reads
 * there. Seals forbid this to everybody, and cannot be removed.
 *
 *     sender                                            receiver
 *     bytes = mmap(memory)                              bytes = mmap(memory)
 *         |           "x" [memory]                          |
 *         |      ------------------------------->           |
 *         |                                                 |
 *         +--------> [ 1048576 bytes, seals ] <-------------+
 *
 * See memfd_create(2), mmap(2), fcntl(2) ("File Sealing"), unix(7).
 */
#define _GNU_SOURCE    // for memfd_create() and F_ADD_SEALS
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

enum {
    SIZE = 1024 * 1024,     // of a memory
    SMALL = 4096,           // of one that is smaller, in step 5
    ROOM = 64,              // longer than any text in a memory or a message
    PLACE = SIZE - ROOM,    // where the text is: at the end of the memory
    READ_WRITE = PROT_READ | PROT_WRITE
};

static int new_memory(unsigned flags, off_t size)
{
    int memory = CHECK(memfd_create("notes", MFD_CLOEXEC | flags));

    CHECK(ftruncate(memory, size));
    return memory;
}

/* A memory in which "tea" is written, and to which seals can be added. */
static int new_memory_with_tea(void)
{
    int memory = new_memory(MFD_ALLOW_SEALING, SIZE);

    CHECK(pwrite(memory, "tea", strlen("tea"), PLACE));
    return memory;
}

static char *map_memory(int memory, int protection, int sharing)
{
    char *bytes = mmap(NULL, SIZE, protection, sharing, memory, 0);

    if (bytes == MAP_FAILED)
        fail("mmap()", __FILE__, __LINE__);
    return bytes;
}

static void unmap_memory(char *bytes)
{
    CHECK(munmap(bytes, SIZE));
}

/* Reads and writes the memory: no system call does this. */
static void show_text(const char *bytes)
{
    char text[ROOM];

    memcpy(text, bytes + PLACE, sizeof(text));
    say("text: \"%.*s\"", ROOM, text);
}

static void change_text(char *bytes, const char *text)
{
    char before[ROOM];

    memcpy(before, bytes + PLACE, sizeof(before));
    memset(bytes + PLACE, 0, ROOM);
    snprintf(bytes + PLACE, ROOM, "%s", text);
    say("text: \"%.*s\" => \"%.*s\"", ROOM, before, ROOM, bytes + PLACE);
}

static void send_memory(int to_receiver, const char *text, int memory)
{
    say("sendmsg(\"%s\", [memory]) ...", text);
    send_descriptor(to_receiver, text, strlen(text), memory);
}

static int receive_memory(int to_sender)
{
    char text[ROOM];
    int memory;

    int n = receive_descriptor(to_sender, text, sizeof(text), &memory);
    int count = memory == -1 ? 0 : 1;
    say("recvmsg(%d bytes) = %d \"%.*s\", descriptors: %d", ROOM, n, n, text,
        count);
    return memory;
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

/* Maps the memory twice. The first mapping is shared with the sender. */
static _Noreturn void run_receiver(int to_sender, int turn)
{
    role("receiver");
    wait_for_dot(turn);    // "cake" is written
    int memory = receive_memory(to_sender);
    say("mmap(MAP_SHARED) ...");
    char *shared = map_memory(memory, READ_WRITE, MAP_SHARED);
    change_text(shared, "gold");
    send_dot(turn);

    wait_for_dot(turn);
    say("mmap(MAP_PRIVATE) ...");
    char *own = map_memory(memory, READ_WRITE, MAP_PRIVATE);
    change_text(own, "green");
    _exit(EXIT_SUCCESS);    // the kernel closes and unmaps everything
}

/* The first end of each pair is the sender's, the second one the receiver's. */
static pid_t start_receiver(const int sv[2], const int turn[2])
{
    pid_t receiver = CHECK(fork());

    if (receiver == 0) {
        CHECK(close(sv[0]));
        CHECK(close(turn[0]));
        run_receiver(sv[1], turn[1]);
    }
    CHECK(close(sv[1]));
    CHECK(close(turn[1]));
    return receiver;
}

/* The receiver is a process of its own, and is started before the memory is
 * made. It does nothing until the sender has sent the memory, and has changed
 * the text. The two take turns by dots on a second pair. */
static void send_and_change(void)
{
    int sv[2];
    int turn[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, turn));
    pid_t receiver = start_receiver(sv, turn);

    role("sender");
    say("memfd_create(), ftruncate(%d) ...", SIZE);
    int memory = new_memory(MFD_ALLOW_SEALING, SIZE);
    char *bytes = map_memory(memory, READ_WRITE, MAP_SHARED);
    change_text(bytes, "tea");
    send_memory(sv[0], "x", memory);
    change_text(bytes, "cake");

    send_dot(turn[0]);
    wait_for_dot(turn[0]);
    show_text(bytes);
    send_dot(turn[0]);
    reap(receiver);
    show_text(bytes);

    unmap_memory(bytes);
    CHECK(close(memory));
    CHECK(close(turn[0]));
    CHECK(close(sv[0]));
}

/* "F_SEAL_SHRINK | F_SEAL_WRITE" for these two bits. */
static const char *seal_names(int seals)
{
    static const struct {
        int bit;
        const char *name;
    } known[] = {
        {F_SEAL_SEAL, "F_SEAL_SEAL"},
        {F_SEAL_SHRINK, "F_SEAL_SHRINK"},
        {F_SEAL_GROW, "F_SEAL_GROW"},
        {F_SEAL_WRITE, "F_SEAL_WRITE"},
        {F_SEAL_FUTURE_WRITE, "F_SEAL_FUTURE_WRITE"},
    };
    static char text[128];    // good until the next call

    text[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t length = strlen(text);
        const char *bar = "";

        if (length > 0)
            bar = " | ";
        if (seals & known[i].bit)
            snprintf(text + length, sizeof(text) - length, "%s%s", bar,
                     known[i].name);
    }
    if (text[0] == '\0')
        snprintf(text, sizeof(text), "%d", seals);
    return text;
}

/* What a receiver asks before it maps a memory: first the seals, and then the
 * size. */
static void look_at(int memory)
{
    struct stat status;

    int seals = CHECK(fcntl(memory, F_GET_SEALS));
    CHECK(fstat(memory, &status));
    say("fcntl(memory, F_GET_SEALS) = %s, fstat() -> size: %d",
        seal_names(seals), (int)status.st_size);
}

static void cut(int memory)
{
    const char *result = RESULT(ftruncate(memory, 0), EPERM);

    say("ftruncate(memory, 0) = %s", result);
}

/* By a system call, from the place where the text is. */
static void read_text(int memory)
{
    char text[ROOM] = "";

    int n = CHECK(pread(memory, text, sizeof(text), PLACE));
    say("pread(memory, %d bytes, %d) = %d \"%.*s\"", ROOM, PLACE, n, n, text);
}

/* Reads each byte of the text. What is volatile is read, even if nobody needs
 * what was read. */
static void read_in_mapping(const volatile char *bytes)
{
    say("read bytes[%d] to bytes[%d] ...", PLACE, SIZE - 1);
    for (int i = PLACE; i < SIZE; i++)
        (void)bytes[i];
}

/* The receiver looks at the memory, and maps it. Later it reads, by pread()
 * first, and then in its mapping. There SIGBUS may kill it. PR_SET_DUMPABLE 0
 * keeps the kernel from writing a core file when that happens. */
static _Noreturn void run_reader(int to_sender)
{
    char byte;
    int memory;

    role("receiver");
    CHECK(prctl(PR_SET_DUMPABLE, 0));
    signal(SIGBUS, SIG_DFL);    // -fsanitize=address sets a handler
    receive_descriptor(to_sender, &byte, 1, &memory);
    look_at(memory);
    say("mmap(PROT_READ, MAP_SHARED) ...");
    const char *bytes = map_memory(memory, PROT_READ, MAP_SHARED);
    send_dot(to_sender);

    wait_for_dot(to_sender);    // the sender has tried to cut the memory
    read_text(memory);
    read_in_mapping(bytes);
    _exit(EXIT_SUCCESS);
}

/* How has the receiver ended? */
static void wait_for_end(pid_t receiver)
{
    int status;

    CHECK(waitpid(receiver, &status, 0));
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
        say("waitpid(receiver) -> killed: SIGBUS");
    else if (WIFSIGNALED(status))
        say("waitpid(receiver) -> killed: %d", WTERMSIG(status));
    else
        say("waitpid(receiver) -> exited: %d", WEXITSTATUS(status));
}

/* The receiver has mapped the memory before the sender tries to cut it. */
static void cut_while_mapped(int seals)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t receiver = CHECK(fork());
    if (receiver == 0) {
        CHECK(close(sv[0]));
        run_reader(sv[1]);
    }
    CHECK(close(sv[1]));

    role("sender");
    int memory = new_memory_with_tea();
    CHECK(fcntl(memory, F_ADD_SEALS, seals));
    send_descriptor(sv[0], "x", 1, memory);
    wait_for_dot(sv[0]);
    cut(memory);
    send_dot(sv[0]);
    wait_for_end(receiver);

    CHECK(close(memory));
    CHECK(close(sv[0]));
}

/* Sends a memory from this process to itself: from here on one process plays
 * the sender and the receiver. Returns the receiver's descriptor. It belongs to
 * the same open file as the sender's. */
static int send_to_myself(int memory)
{
    int sv[2];
    char byte;
    int received;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    send_descriptor(sv[0], "x", 1, memory);
    receive_descriptor(sv[1], &byte, 1, &received);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
    return received;
}

static void try_to_write(int memory, const char *text)
{
    const char *result =
        RESULT(pwrite(memory, text, strlen(text), PLACE), EPERM);

    say("pwrite(memory, \"%s\", %d) = %s", text, PLACE, result);
}

/* A mapping for reading and writing, shared with all who have the memory. It
 * may be refused: either result is printed. */
static void try_to_map_shared(int memory)
{
    char *bytes = mmap(NULL, SIZE, READ_WRITE, MAP_SHARED, memory, 0);

    if (bytes == MAP_FAILED && errno == EPERM) {
        say("mmap(PROT_READ | PROT_WRITE, MAP_SHARED) = -1 EPERM");
        return;
    }
    if (bytes == MAP_FAILED)
        fail("mmap()", __FILE__, __LINE__);
    say("mmap(PROT_READ | PROT_WRITE, MAP_SHARED) = an address");
    unmap_memory(bytes);
}

static void try_to_seal(int memory, int seal)
{
    const char *result = RESULT(fcntl(memory, F_ADD_SEALS, seal), EBUSY);

    say("fcntl(memory, F_ADD_SEALS, %s) = %s", seal_names(seal), result);
}

/* The sender has a mapping for writing, and removes it. Then the memory is
 * sealed and sent. */
static void seal_against_writing(void)
{
    role("sender");
    int memory = new_memory_with_tea();
    char *bytes = map_memory(memory, READ_WRITE, MAP_SHARED);
    try_to_seal(memory, F_SEAL_WRITE);
    int unmapped = CHECK(munmap(bytes, SIZE));
    say("munmap(bytes) = %d", unmapped);
    try_to_seal(memory, F_SEAL_WRITE);
    int received = send_to_myself(memory);
    try_to_write(memory, "cake");

    role("receiver");
    try_to_map_shared(received);
    char *own = map_memory(received, READ_WRITE, MAP_PRIVATE);
    say("mmap(PROT_READ | PROT_WRITE, MAP_PRIVATE) = an address");
    change_text(own, "gold");

    role("sender");
    read_text(memory);
    cut(memory);

    unmap_memory(own);
    CHECK(close(received));
    CHECK(close(memory));
}

/* The sender keeps its mapping. The receiver comes when the seal is there. */
static void seal_against_new_writers(void)
{
    role("sender");
    int memory = new_memory_with_tea();
    char *bytes = map_memory(memory, READ_WRITE, MAP_SHARED);
    try_to_seal(memory, F_SEAL_FUTURE_WRITE);
    int received = send_to_myself(memory);
    try_to_write(memory, "cake");
    try_to_map_shared(memory);

    role("receiver");
    try_to_map_shared(received);
    say("mmap(PROT_READ, MAP_SHARED) ...");
    char *seen = map_memory(received, PROT_READ, MAP_SHARED);
    const char *allowed = RESULT(mprotect(seen, SIZE, READ_WRITE), EACCES);
    say("mprotect(seen, PROT_READ | PROT_WRITE) = %s", allowed);

    role("sender");
    change_text(bytes, "cake");
    role("receiver");
    show_text(seen);

    unmap_memory(seen);
    unmap_memory(bytes);
    CHECK(close(received));
    CHECK(close(memory));
}

/* The receiver looks, and tries to add a seal of its own. */
static void look_and_seal(int memory)
{
    look_at(memory);
    const char *added =
        RESULT(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK), EPERM);
    say("fcntl(memory, F_ADD_SEALS, %s) = %s", seal_names(F_SEAL_SHRINK),
        added);
}

/* The text of the message says how large the memory is, or is said to be. When
 * the receiver has done what it can, the sender tries to cut the memory. */
static void offer_memory(const char *sender, unsigned flags, int seals,
                         off_t size)
{
    int sv[2];
    char text[ROOM];
    int received;

    role(sender);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    int memory = new_memory(flags, size);
    if (seals != 0)
        CHECK(fcntl(memory, F_ADD_SEALS, seals));
    snprintf(text, sizeof(text), "%d", SIZE);
    send_memory(sv[0], text, memory);

    role("receiver");
    receive_descriptor(sv[1], text, sizeof(text), &received);
    look_and_seal(received);
    role(sender);
    cut(memory);

    CHECK(close(received));
    CHECK(close(memory));
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* ann does not allow seals, bob allows them and adds none, and carol has added
 * one. Each of the three says that the memory has 1048576 bytes. */
static void look_before_mapping(void)
{
    offer_memory("ann", 0, 0, SIZE);
    offer_memory("bob", MFD_ALLOW_SEALING, 0, SIZE);
    offer_memory("carol", MFD_ALLOW_SEALING, F_SEAL_SHRINK, SMALL);
}

/* An older kernel, or one that is set up in another way, cannot show this. */
static void need_seals(void)
{
    int memory = memfd_create("try", MFD_CLOEXEC);

    if (memory == -1 && errno == ENOSYS)
        skip("this lab needs memfd_create(): Linux 3.17 or later");
    CHECK(memory);
    int seals = CHECK(fcntl(memory, F_GET_SEALS));
    CHECK(close(memory));
    if (seals != F_SEAL_SEAL)
        skip("the kernel adds seals of its own: sysctl vm.memfd_noexec=0");

    memory = CHECK(memfd_create("try", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    int added = fcntl(memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
    if (added == -1 && errno == EINVAL)
        skip("this lab needs F_SEAL_FUTURE_WRITE: Linux 5.1 or later");
    CHECK(added);
    CHECK(close(memory));
}

int main(void)
{
    need_seals();

    step("The memory changes after sendmsg(). What does the receiver see?");
    send_and_change();

    step("The sender cuts the memory. What becomes of the receiver?");
    cut_while_mapped(0);
    cut_while_mapped(F_SEAL_SHRINK);

    step("The memory is sealed against writing. What can still be done?");
    seal_against_writing();

    step("Only new writers are kept out. Who can still write?");
    seal_against_new_writers();

    step("Three memories come. In which is byte 1048575 safe?");
    look_before_mapping();
}
