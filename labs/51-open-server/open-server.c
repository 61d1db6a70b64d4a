/*
 * 51-open-server -- how does one process open files for another?
 *
 * The guest sends a name and flags. The server calls openat(), so the server's
 * permission counts, at this moment. The answer is a number: 0, with the open
 * file beside it, or the error. The server does what a stranger has asked for,
 * with its own rights: so it must choose which names and which flags it obeys.
 * Here it chooses badly: steps 4 and 5 show two holes.
 *
 *     vault/                  shut: mode 0
 *         desk/
 *             diary           "secret", not for guests
 *             notes/          the server has a descriptor of this directory
 *                 today       "milk"
 *
 *     guest  to_server ---- "today", O_RDONLY ----> to_guest  server
 *            file     <---- 0, the open file -----  file
 *
 * See open(2), unix(7), path_resolution(7), credentials(7).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/descriptors.h"    // the functions of lab 31
#include "../../common/lab.h"

static const char *const notes_path = "vault/desk/notes";
static const char *const today_path = "vault/desk/notes/today";
static const char *const diary_path = "vault/desk/diary";
static const char *const shut_path = "vault";

/* Guest and server are the same program, so they agree on this structure. A
 * request is one message of a SOCK_SEQPACKET pair. The answer is an int. */
struct request {
    int flags;    // as for open()
    char name[32];
};

static const char *flags_text(int flags)
{
    switch (flags) {
    case O_RDONLY:
        return "O_RDONLY";
    case O_WRONLY:
        return "O_WRONLY";
    case O_WRONLY | O_APPEND:
        return "O_WRONLY | O_APPEND";
    case O_RDONLY | O_TRUNC:
        return "O_RDONLY | O_TRUNC";
    default:
        return "other flags";
    }
}

/* A number of the answer: 0, or the name of the error. */
static const char *error_text(int error)
{
    if (error == 0)
        return "0";
    return error_name(error);
}

/* The server's rule: one name, which is not that of the directory above. The
 * rule has a hole (step 5). */
static int is_allowed(const char *name)
{
    return !strchr(name, '/') && strcmp(name, "..") != 0;
}

/* The server obeys all flags, which is the hole of step 4. It adds O_CLOEXEC
 * for its own descriptor. A real server sends every error to the guest. In this
 * lab openat() can fail only with EACCES. Any other error is a mistake of this
 * program, and ends the lab. Returns the descriptor, or -1 and the error in
 * errno. */
static int open_for_guest(int notes, const struct request *request)
{
    const int flags = request->flags;
    int file = openat(notes, request->name, flags | O_CLOEXEC);
    int error = errno;

    if (file == -1 && error != EACCES)
        fail("openat(notes)", __FILE__, __LINE__);
    if (file == -1)
        say("openat(notes, \"%s\", %s) = -1 %s", request->name,
            flags_text(flags), error_name(error));
    else
        say("openat(notes, \"%s\", %s) = file", request->name,
            flags_text(flags));
    errno = error;
    return file;
}

/* The answer to one request. A descriptor that was sent is closed here: the
 * guest has one of its own. */
static void answer(int to_guest, int notes, const struct request *request)
{
    int error = 0;

    if (!is_allowed(request->name)) {
        error = EPERM;
        CHECK(send(to_guest, &error, sizeof(error), 0));
        return;
    }

    int file = open_for_guest(notes, request);
    if (file == -1) {
        error = errno;
        CHECK(send(to_guest, &error, sizeof(error), 0));
        return;
    }
    send_descriptor(to_guest, &error, sizeof(error), file);
    CHECK(close(file));
}

/* The server opens its directory while the vault is open, and then shuts the
 * vault. The byte tells the guest that all is ready. End of file ends the
 * server. */
static _Noreturn void run_server(int to_guest)
{
    struct request request;
    char byte = 'x';

    role("server");
    int notes = CHECK(open(notes_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int changed = CHECK(chmod(shut_path, 0));
    say("chmod(\"%s\", 0) = %d", shut_path, changed);
    CHECK(send(to_guest, &byte, 1, 0));

    int n = CHECK(recv(to_guest, &request, sizeof(request), 0));
    while (n == sizeof(request)) {
        // The guest may have left out the end of the text.
        request.name[sizeof(request.name) - 1] = '\0';
        answer(to_guest, notes, &request);
        n = CHECK(recv(to_guest, &request, sizeof(request), 0));
    }
    CHECK(close(notes));
    CHECK(close(to_guest));
    _exit(n == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* The server opens its directory after fork(), so the guest does not have the
 * descriptor. When this returns, the vault is shut, and the server waits. */
static pid_t start_server(int *to_server)
{
    int sv[2];
    char byte;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    pid_t server = CHECK(fork());
    if (server == 0) {
        CHECK(close(sv[0]));    // or the server would never see the end
        run_server(sv[1]);
    }
    CHECK(close(sv[1]));
    CHECK(recv(sv[0], &byte, 1, 0));
    *to_server = sv[0];
    return server;
}

/* The next server needs the vault open. */
static void stop_server(pid_t server, int to_server)
{
    CHECK(close(to_server));
    reap(server);
    CHECK(chmod(shut_path, 0700));
}

/* From here on: the guest. ask() returns what open() would: the descriptor that
 * came, or -1 and the error in errno. */
static int ask(int to_server, const char *name, int flags)
{
    struct request request = {.flags = flags};
    int error = 0;
    int file;

    snprintf(request.name, sizeof(request.name), "%s", name);
    say("send(\"%s\", %s) ...", name, flags_text(flags));
    CHECK(send(to_server, &request, sizeof(request), 0));

    int n = receive_descriptor(to_server, &error, sizeof(error), &file);
    int descriptors = file == -1 ? 0 : 1;
    say("recvmsg() = %d, error: %s, descriptors: %d", n, error_text(error),
        descriptors);
    errno = error;
    return file;
}

static void read_file(int file)
{
    char text[64];
    int n = CHECK(read(file, text, sizeof(text)));

    say("read(file) = %d \"%.*s\"", n, n, text);
}

/* Asks, and shows what the guest can read from the descriptor, if one came. */
static void ask_and_read(int to_server, const char *name, int flags)
{
    int file = ask(to_server, name, flags);

    if (file != -1) {
        read_file(file);
        CHECK(close(file));
    }
}

/* What the guest can open by itself. */
static void try_to_open(const char *path)
{
    int file = open(path, O_RDONLY);

    if (file == -1 && errno != EACCES)
        fail("open()", __FILE__, __LINE__);
    if (file == -1) {
        say("open(\"%s\", O_RDONLY) = -1 %s", path, error_name(EACCES));
        return;
    }
    say("open(\"%s\", O_RDONLY) = file", path);
    CHECK(close(file));
}

/* The guest opens the file before the server has shut the vault, and tries it
 * again afterwards. Then it asks. */
static void read_today(void)
{
    int to_server;

    try_to_open(today_path);
    pid_t server = start_server(&to_server);
    try_to_open(today_path);
    ask_and_read(to_server, "today", O_RDONLY);

    stop_server(server, to_server);
}

/* The guest cannot go along the path. But it has a descriptor, and it is a
 * process of the file's owner: so fchmod() can change the mode. */
static void permission_lost(void)
{
    int to_server;
    pid_t server = start_server(&to_server);

    int file = CHECK(ask(to_server, "today", O_RDONLY));
    int changed = CHECK(fchmod(file, 0));
    say("fchmod(file, 0) = %d", changed);
    read_file(file);
    ask_and_read(to_server, "today", O_RDONLY);

    CHECK(fchmod(file, 0600));
    CHECK(close(file));
    stop_server(server, to_server);
}

/* Asks for today with these flags, and writes to what has come. */
static void add_bread(int to_server, int flags)
{
    const char *text = ", bread";
    int file = CHECK(ask(to_server, "today", flags));

    const char *result = RESULT(write(file, text, strlen(text)), EBADF);
    say("write(file, \"%s\") = %s", text, result);
    CHECK(close(file));
}

/* Two descriptors of the same file, for the same guest, from the same server.
 * Only the flags differ. */
static void write_today(void)
{
    int to_server;
    pid_t server = start_server(&to_server);

    add_bread(to_server, O_RDONLY);
    add_bread(to_server, O_WRONLY | O_APPEND);
    stop_server(server, to_server);
}

/* O_TRUNC means for open(): make the file empty. */
static void truncate_today(void)
{
    int to_server;
    pid_t server = start_server(&to_server);

    ask_and_read(to_server, "today", O_RDONLY);
    ask_and_read(to_server, "today", O_RDONLY | O_TRUNC);
    stop_server(server, to_server);
}

/* The guest's own call, with a descriptor of a directory. */
static int open_below(int directory, const char *path)
{
    int file = CHECK(openat(directory, path, O_RDONLY));

    say("openat(the descriptor, \"%s\", O_RDONLY) = file", path);
    return file;
}

/* The server's rule forbids the name "../diary", and the guest cannot open the
 * diary by its whole path. But the rule allows ".": with the descriptor of this
 * directory the guest opens "../diary" itself. */
static void leave_notes(void)
{
    const char *way = "../diary";
    int to_server;
    pid_t server = start_server(&to_server);

    ask_and_read(to_server, way, O_RDONLY);
    try_to_open(diary_path);
    int directory = CHECK(ask(to_server, ".", O_RDONLY));
    int today = open_below(directory, "today");
    int diary = open_below(directory, way);
    read_file(diary);

    CHECK(close(diary));
    CHECK(close(today));
    CHECK(close(directory));
    stop_server(server, to_server);
}

static void make_file(const char *path, const char *text)
{
    int file = CHECK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));

    CHECK(write(file, text, strlen(text)));
    CHECK(close(file));
}

static void make_vault(void)
{
    CHECK(mkdir("vault", 0700));
    CHECK(mkdir("vault/desk", 0700));
    CHECK(mkdir(notes_path, 0700));
    make_file(today_path, "milk");
    make_file(diary_path, "secret");
}

static void remove_vault(void)
{
    CHECK(unlink(diary_path));
    CHECK(unlink(today_path));
    CHECK(rmdir(notes_path));
    CHECK(rmdir("vault/desk"));
    CHECK(rmdir("vault"));
}

/* The first process is the guest. Each step has a server of its own. */
int main(void)
{
    as_ordinary_user();    // root may go through the vault whatever its mode is
    need_own_directory();

    step("Who opens the file that the guest reads?");
    role("guest");
    make_vault();
    read_today();

    step("The file gets the mode 0. Who is stopped?");
    permission_lost();

    step("Who may write?");
    write_today();

    step("What can a guest do to a file that it opens only for reading?");
    truncate_today();

    step("Which name leads out of the directory?");
    leave_notes();
    remove_vault();
}
