/*
 * 45-across-mounts -- what does a mounted socket file lead to?
 *
 * A bind mount shows a file, or a directory, at a second path. What is shown
 * is the file that was there when mount() was called. If the server starts
 * anew, it makes another file, and the mounted one leads to nobody. A mounted
 * directory shows the files that are in it now.
 *
 *     run/  - - mounted at - ->  box/run/
 *       |                          |
 *       server.sock                server.sock     the new file
 *
 *     (no name) - mounted at ->  box/server.sock   the old file
 *
 * See mount(2), mount_namespaces(7), chroot(2), unix(7).
 */
#define _GNU_SOURCE    // for unshare()
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { ROOM = 64 };    // longer than anything that is sent here

/* What the first process makes before each step, and removes after it. The
 * server's directory is run, and box is what becomes the container's. */
static const char *const directories[] = {"run", "box", "box/run", "private"};
static const char file_in_run[] = "run/notes";
static const char file_in_box[] = "box/server.sock";    // an ordinary file
static const char server_path[] = "run/server.sock";

static void make_file(const char *path)
{
    int fd = CHECK(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));

    CHECK(close(fd));
}

static void make_files(void)
{
    for (size_t i = 0; i < ARRAY_LEN(directories); i++)
        CHECK(mkdir(directories[i], 0755));
    make_file(file_in_run);
    make_file(file_in_box);
}

/* From the last to the first: box/run is in box. */
static void remove_files(void)
{
    CHECK(unlink(file_in_box));
    CHECK(unlink(file_in_run));
    for (size_t i = ARRAY_LEN(directories); i > 0; i--)
        CHECK(rmdir(directories[i - 1]));
}

/* The calls that a step looks at may fail with one of these errors. */
static int is_expected(int error)
{
    static const int errors[] = {EADDRINUSE, EBUSY, ECONNREFUSED, ENOENT,
                                 EROFS};

    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        if (error == errors[i])
            return 1;
    }
    return 0;
}

/* One line: a call with a path, and its result. */
static void say_result(const char *call, const char *path, int result)
{
    char text[ROOM];

    snprintf(text, ROOM, "%s(\"%s\")", call, path);
    if (result == -1 && !is_expected(errno))
        fail(text, __FILE__, __LINE__);
    if (result == -1)
        say("%s = -1 %s", text, error_name(errno));
    else
        say("%s = %d", text, result);
}

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

static void try_to_bind(int fd, const char *path)
{
    struct sockaddr_un address = address_of(path);
    int result = bind(fd, (const struct sockaddr *)&address, sizeof(address));

    say_result("bind", path, result);
}

/* A client that only tries whether it can connect. */
static void try_to_connect(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    int result =
        connect(fd, (const struct sockaddr *)&address, sizeof(address));

    say_result("connect", path, result);
    CHECK(close(fd));
}

static void try_to_unlink(const char *path)
{
    int result = unlink(path);

    say_result("unlink", path, result);
}

static int open_server(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(bind(fd, (const struct sockaddr *)&address, sizeof(address)));
    CHECK(listen(fd, 8));    // eight clients may wait for accept()
    return fd;
}

/* The gate is a pair. A byte says: "I have done what I had to do, go on." */
static void pass_on(int gate)
{
    CHECK(send(gate, ".", 1, 0));
}

static void wait_at(int gate)
{
    char byte;
    int n = CHECK(recv(gate, &byte, 1, 0));

    if (n == 0)
        _exit(EXIT_FAILURE);    // the other process has failed
}

/* What the calling process mounts from here on is seen by nobody else, because
 * the mount namespace is made together with a user namespace. When the process
 * ends, its mounts end, too. See mount_namespaces(7). */
static void enter_mount_namespace(void)
{
    CHECK(unshare(CLONE_NEWUSER | CLONE_NEWNS));
}

static void mount_at(const char *source, const char *target)
{
    int result = CHECK(mount(source, target, NULL, MS_BIND, NULL));

    say("mount(\"%s\", \"%s\", MS_BIND) = %d", source, target, result);
}

/* In a user namespace the kernel refuses to take away flags that the mount has,
 * such as nosuid. So they are given once more. */
static void make_read_only(const char *target)
{
    struct statvfs found;

    CHECK(statvfs(target, &found));
    unsigned long kept = found.f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC);
    int result = CHECK(mount(NULL, target, NULL,
                             MS_REMOUNT | MS_BIND | MS_RDONLY | kept, NULL));
    say("mount(\"%s\", MS_REMOUNT | MS_BIND | MS_RDONLY) = %d", target, result);
}

/* A process inside, which is in a mount namespace of its own. It needs no
 * listener that it has inherited. */
static void begin_inside(int listener)
{
    role("inside");
    CHECK(close(listener));
    enter_mount_namespace();
}

/* How many names the file has in directories. */
static void count_names(const char *path)
{
    struct stat found;

    CHECK(stat(path, &found));
    const char *type = S_ISSOCK(found.st_mode) ? "socket" : "other";
    say("stat(\"%s\") -> type: %s, names: %lu", path, type,
        (unsigned long)found.st_nlink);
}

/* Connects before the server starts anew, and after that. */
static _Noreturn void run_client_of_two_mounts(int listener, int gate)
{
    begin_inside(listener);
    mount_at(server_path, "box/server.sock");
    mount_at("run", "box/run");
    try_to_connect("box/server.sock");
    try_to_connect("box/run/server.sock");
    pass_on(gate);

    wait_at(gate);
    try_to_connect("box/server.sock");
    try_to_connect("box/run/server.sock");
    count_names("box/server.sock");
    _exit(EXIT_SUCCESS);
}

static void server_starts_anew(void)
{
    int gate[2];

    role("server");
    int listener = open_server(server_path);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, gate));
    pid_t inside = CHECK(fork());
    if (inside == 0) {
        CHECK(close(gate[0]));
        run_client_of_two_mounts(listener, gate[1]);
    }
    CHECK(close(gate[1]));
    wait_at(gate[0]);

    CHECK(close(listener));
    say("unlink(\"%s\") ...", server_path);
    CHECK(unlink(server_path));
    say("bind(\"%s\") ...", server_path);
    listener = open_server(server_path);
    pass_on(gate[0]);

    reap(inside);
    CHECK(close(gate[0]));
    CHECK(close(listener));
    CHECK(unlink(server_path));
}

/* Tries to remove the mount point, and removes the name of the file that is
 * mounted there. Then the first process removes the file at the mount point,
 * from outside. */
static _Noreturn void run_remover(int listener, int gate)
{
    begin_inside(listener);
    mount_at(server_path, "box/server.sock");
    try_to_unlink("box/server.sock");
    try_to_unlink(server_path);
    try_to_connect(server_path);
    try_to_connect("box/server.sock");
    pass_on(gate);

    wait_at(gate);
    try_to_connect("box/server.sock");
    _exit(EXIT_SUCCESS);
}

static void names_are_removed(void)
{
    int gate[2];

    role("outside");
    int listener = open_server(server_path);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, gate));
    pid_t inside = CHECK(fork());
    if (inside == 0) {
        CHECK(close(gate[0]));
        run_remover(listener, gate[1]);
    }
    CHECK(close(gate[1]));
    wait_at(gate[0]);

    try_to_connect("box/server.sock");
    try_to_unlink("box/server.sock");
    pass_on(gate[0]);

    reap(inside);
    CHECK(close(gate[0]));
    CHECK(close(listener));
    make_file(file_in_box);    // for remove_files()
}

/* Tries to write in each way that there is to write in a directory. */
static _Noreturn void run_writer(int listener)
{
    struct sockaddr_un address = address_of("box/run/server.sock");
    const char hello[] = "hello";

    begin_inside(listener);
    mount_at("run", "box/run");
    make_read_only("box/run");
    int emptied = truncate("box/run/notes", 0);
    say_result("truncate", "box/run/notes", emptied);
    int own = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    try_to_bind(own, "box/run/own.sock");
    try_to_unlink("box/run/server.sock");

    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    int result =
        connect(to_server, (const struct sockaddr *)&address, sizeof(address));
    say_result("connect", address.sun_path, result);
    int n = CHECK(write(to_server, hello, strlen(hello)));
    say("write(to_server, \"%s\") = %d", hello, n);
    try_to_bind(own, "run/own.sock");
    _exit(EXIT_SUCCESS);
}

static void read_only(void)
{
    char text[ROOM];

    role("server");
    int listener = open_server(server_path);
    pid_t inside = CHECK(fork());
    if (inside == 0)
        run_writer(listener);
    reap(inside);

    int to_client = CHECK(accept(listener, NULL, NULL));
    int n = CHECK(read(to_client, text, sizeof(text)));
    say("read(to_client) = %d \"%.*s\"", n, n, text);

    CHECK(close(to_client));
    CHECK(close(listener));
    CHECK(unlink(server_path));
    CHECK(unlink("run/own.sock"));
}

static void change_root(const char *directory)
{
    say("chroot(\"%s\") ...", directory);
    CHECK(chroot(directory));
}

/* At first the process is still in the directory in which it was. */
static _Noreturn void run_with_empty_root(int listener)
{
    begin_inside(listener);
    try_to_connect("run/server.sock");
    change_root("box");
    try_to_connect("/run/server.sock");
    try_to_connect("run/server.sock");

    int result = chdir("/");
    say_result("chdir", "/", result);
    try_to_connect("run/server.sock");
    _exit(EXIT_SUCCESS);
}

static _Noreturn void run_with_mount_in_root(int listener)
{
    begin_inside(listener);
    mount_at("run", "box/run");
    change_root("box");
    try_to_connect("/run/server.sock");
    _exit(EXIT_SUCCESS);
}

static void another_root(void)
{
    role("server");
    int listener = open_server(server_path);
    pid_t first = CHECK(fork());
    if (first == 0)
        run_with_empty_root(listener);
    reap(first);
    pid_t second = CHECK(fork());
    if (second == 0)
        run_with_mount_in_root(listener);
    reap(second);

    CHECK(close(listener));
    CHECK(unlink(server_path));
}

/* At the path run, this process has a directory of its own. It listens until
 * the first process closes the other end of the gate. */
static _Noreturn void run_private_server(int listener, int gate)
{
    char byte;

    begin_inside(listener);
    try_to_connect(server_path);
    mount_at("private", "run");
    try_to_connect(server_path);
    int own = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    try_to_bind(own, server_path);
    CHECK(listen(own, 8));
    try_to_connect(server_path);
    pass_on(gate);

    CHECK(recv(gate, &byte, 1, 0));
    _exit(EXIT_SUCCESS);
}

static void private_directory(void)
{
    int gate[2];

    role("outside");
    int listener = open_server(server_path);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, gate));
    pid_t inside = CHECK(fork());
    if (inside == 0) {
        CHECK(close(gate[0]));
        run_private_server(listener, gate[1]);
    }
    CHECK(close(gate[1]));
    wait_at(gate[0]);

    say("close(listener) ...");
    CHECK(close(listener));
    try_to_connect(server_path);
    try_to_connect("private/server.sock");

    CHECK(close(gate[0]));
    reap(inside);
    CHECK(unlink(server_path));
    CHECK(unlink("private/server.sock"));
}

/* Tries in a child, because no process can leave a user namespace again.
 * Returns 0 if the child has been allowed to do what the steps need. */
static int try_mounts(void)
{
    int status;
    pid_t child = CHECK(fork());

    if (child == 0) {
        close(STDERR_FILENO);    // it is no failure of the lab, so say nothing
        enter_mount_namespace();
        CHECK(mount("run", "box/run", NULL, MS_BIND, NULL));
        CHECK(chroot("box"));
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0));
    return status;
}

/* One failure may be chance: a system call may fail once. A machine that
 * forbids this fails twice. */
static void need_mounts(void)
{
    make_files();
    int refused = try_mounts();
    if (refused)
        refused = try_mounts();
    remove_files();
    if (refused)
        skip("mounts in a user namespace are not allowed here (`unshare --user "
             "--mount true` fails), or do not lead into this directory");
}

int main(void)
{
    umask(022);    // whatever umask the lab was started with
    need_mounts();

    step("A file and its directory are mounted. The server starts anew. Who "
         "finds it?");
    make_files();
    server_starts_anew();
    remove_files();

    step("Which name can be removed, and what still leads to the server?");
    make_files();
    names_are_removed();
    remove_files();

    step("The directory is mounted read-only. What can still be written?");
    make_files();
    read_only();
    remove_files();

    step("The root directory is another one. Which path leads to the server?");
    make_files();
    another_root();
    remove_files();

    step("Another directory is mounted over the server's. Who finds whom?");
    make_files();
    private_directory();
    remove_files();
}
