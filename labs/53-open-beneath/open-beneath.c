/*
 * 53-open-beneath -- how does a server stay below its directory?
 *
 * It opens paths for guests, and a path can lead out: from the root, by "..",
 * or through a symbolic link. The text of a path does not show where the path
 * leads. openat2() with RESOLVE_BENEATH looks at each step of the way. Without
 * openat2(), the server opens one name after the other and follows no link.
 * Either may still hand out a directory, from which a guest can go up. So the
 * server must look at what it has opened, and hand out files only.
 *
 *     guest  to_server ------ path --------------------> to_guest  server
 *            file      <----- error, or a descriptor --- file
 *
 * See openat2(2), open(2), path_resolution(7), symlink(7), unix(7).
 */
#define _GNU_SOURCE    // for O_PATH, strsep()
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/descriptors.h"
#include "../../common/lab.h"

/* The C library may be older than the call. These are from <linux/openat2.h>
 * and <asm/unistd.h>. */
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef RESOLVE_BENEATH
#define RESOLVE_BENEATH 0x08
#endif

/* What openat2() is told: the structure open_how of its manual page. */
struct open_rules {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

/* A type of function: it opens a path in dir for reading, and returns the
 * descriptor, or -1 and errno. It may write to path. Each server of the lab is
 * started with a pointer to such a function. */
typedef int open_function(int dir, char *path);

/* One server, as the guest knows it. */
struct server {
    const char *name;
    int to_server;
    pid_t process;
};

static const char diary[] = "door/house/diary";

static int refuse(int error)
{
    errno = error;
    return -1;
}

/* Some errors are answers to the guest. Any other ends the lab. */
static int check_open(int fd, const char *call)
{
    if (fd == -1 && errno != EXDEV && errno != ELOOP && errno != ENOTDIR)
        fail(call, __FILE__, __LINE__);
    return fd;
}

/* Server plain: what the guest asks for. */
static int open_plain(int dir, char *path)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

    return check_open(fd, "openat(dir, path)");
}

/* Server text: nothing that begins with a slash, and no ".." in the path. */
static int open_by_text(int dir, char *path)
{
    if (path[0] == '/' || strstr(path, "..") != NULL)
        return refuse(EXDEV);
    return open_plain(dir, path);
}

/* Server no_follow: the same, and a flag. */
static int open_no_follow(int dir, char *path)
{
    if (path[0] == '/' || strstr(path, "..") != NULL)
        return refuse(EXDEV);
    int fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return check_open(fd, "openat(dir, path, O_NOFOLLOW)");
}

/* Server beneath: the kernel compares. At each ".." it must know that it is
 * still below dir. If anybody on this machine has renamed a file meanwhile, the
 * kernel cannot know, and the error is EAGAIN. The manual page says: call
 * again. */
static int open_beneath(int dir, char *path)
{
    const struct open_rules rules = {
        .flags = O_RDONLY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH,
    };
    int fd;

    do {
        fd = (int)syscall(SYS_openat2, dir, path, &rules, sizeof(rules));
    } while (fd == -1 && errno == EAGAIN);
    return check_open(fd, "openat2(dir, path, RESOLVE_BENEATH)");
}

/* For a name on the way to the file. With O_NOFOLLOW, openat() stops at a link,
 * and with O_DIRECTORY it refuses whatever is not a directory: so also a link.
 * O_PATH makes a descriptor that only marks a place. */
static int open_directory(int at, const char *name)
{
    int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int next = check_open(fd, "openat(at, name)");

    if (next == -1) {
        int error = errno;
        say("openat(at, \"%s\", O_PATH | O_DIRECTORY | O_NOFOLLOW) = -1 %s",
            name, error_name(error));
        return refuse(error);
    }
    say("openat(at, \"%s\", O_PATH | O_DIRECTORY | O_NOFOLLOW) = next", name);
    return next;
}

/* For the last name. */
static int open_file(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int file = check_open(fd, "openat(at, name)");

    if (file == -1) {
        int error = errno;
        say("openat(at, \"%s\", O_RDONLY | O_NOFOLLOW) = -1 %s", name,
            error_name(error));
        return refuse(error);
    }
    say("openat(at, \"%s\", O_RDONLY | O_NOFOLLOW) = file", name);
    return file;
}

/* A path that begins with a slash begins with an empty name. */
static int open_name(int at, const char *name, int is_last)
{
    if (strcmp(name, "") == 0 || strcmp(name, "..") == 0) {
        say("name: \"%s\"", name);
        return refuse(EXDEV);
    }
    if (is_last)
        return open_file(at, name);
    return open_directory(at, name);
}

/* Server by_name: each name in the directory that the name before it has led
 * to. This directory is open. So what somebody else renames meanwhile does not
 * matter. */
static int open_by_name(int dir, char *path)
{
    // as dup(): a second descriptor, so that dir stays open
    int at = CHECK(fcntl(dir, F_DUPFD_CLOEXEC, 0));

    while (path != NULL && at != -1) {
        // strsep() cuts off the first name; path is the rest then, or NULL
        const char *name = strsep(&path, "/");
        int next = open_name(at, name, path == NULL);
        int error = errno;
        CHECK(close(at));
        errno = error;
        at = next;
    }
    return at;
}

/* Server files_only: as beneath, but what it hands out must be a file. */
static int open_files_only(int dir, char *path)
{
    struct stat status;
    int fd = open_beneath(dir, path);

    if (fd == -1)
        return -1;
    CHECK(fstat(fd, &status));
    if (S_ISREG(status.st_mode))
        return fd;
    CHECK(close(fd));
    return refuse(EISDIR);
}

/* The error is a message without a descriptor, and 0 is one with a descriptor.
 * The guest has a descriptor of its own then. */
static void answer(int to_guest, int fd)
{
    int error = errno;

    if (fd == -1) {
        CHECK(send(to_guest, &error, sizeof(error), MSG_NOSIGNAL));
        return;
    }
    error = 0;
    send_descriptor(to_guest, &error, sizeof(error), fd);
    CHECK(close(fd));
}

/* The server goes into the house while the door is open, says so by a dot, and
 * answers until the guest closes its end. */
static _Noreturn void run_server(int to_guest, open_function *open_path)
{
    char path[64];    // longer than any path that is sent here

    role("server");
    CHECK(chdir("door/house"));
    int dir = CHECK(open("files", O_PATH | O_DIRECTORY | O_CLOEXEC));
    CHECK(send(to_guest, ".", 1, MSG_NOSIGNAL));

    int n = CHECK(recv(to_guest, path, sizeof(path) - 1, 0));
    while (n > 0) {
        path[n] = '\0';
        int fd = open_path(dir, path);
        answer(to_guest, fd);
        n = CHECK(recv(to_guest, path, sizeof(path) - 1, 0));
    }
    CHECK(close(dir));
    CHECK(close(to_guest));
    _exit(EXIT_SUCCESS);
}

/* When this returns, the server is in the house, and the door is shut. */
static struct server start_server(const char *name, open_function *open_path)
{
    int sv[2];
    char dot;
    struct server server = {.name = name};

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
    server.process = CHECK(fork());
    if (server.process == 0) {
        CHECK(close(sv[0]));    // or the server would never see the end
        run_server(sv[1], open_path);
    }
    CHECK(close(sv[1]));
    server.to_server = sv[0];

    CHECK(recv(server.to_server, &dot, 1, 0));
    CHECK(chmod("door", 0));
    role("guest");
    return server;
}

static void stop_server(const struct server *server)
{
    CHECK(close(server->to_server));
    reap(server->process);
    CHECK(chmod("door", 0700));
}

/* As open(), but the server opens. file is -1 if no descriptor has come: then
 * the server has sent the reason. */
static int ask(const struct server *server, const char *path)
{
    int error, file;

    CHECK(send(server->to_server, path, strlen(path), MSG_NOSIGNAL));
    int n = receive_descriptor(server->to_server, &error, sizeof(error), &file);
    if (n != (int)sizeof(error))
        return refuse(ECONNRESET);
    errno = error;
    return file;
}

static void read_file(const char *call, int file)
{
    char text[64];    // longer than any text in a file here
    int n = CHECK(read(file, text, sizeof(text)));

    say("%s = %d \"%.*s\"", call, n, n, text);
    CHECK(close(file));
}

/* Asks, and reads what has come. */
static void fetch(const struct server *server, const char *path)
{
    char call[100];

    snprintf(call, sizeof(call), "fetch(%s, \"%s\")", server->name, path);
    int file = ask(server, path);
    if (file == -1)
        say("%s = -1 %s", call, error_name(errno));
    else
        read_file(call, file);
}

static void try_to_open_diary(void)
{
    const char *result = RESULT(open(diary, O_RDONLY | O_CLOEXEC), EACCES);

    say("open(\"%s\") = %s", diary, result);
}

/* The six paths of the README. */
static void ask_all(const struct server *server)
{
    fetch(server, "notes/today");
    fetch(server, "notes/../notes/today");
    fetch(server, "today");
    fetch(server, "notes/../../diary");
    fetch(server, "way-out/diary");
    fetch(server, "/proc/self/cwd/diary");
}

/* First the guest tries without the server. */
static void whatever_is_asked_for(void)
{
    struct server plain = start_server("plain", open_plain);

    try_to_open_diary();
    ask_all(&plain);
    stop_server(&plain);
}

/* The second server gets those paths only that the first one lets through. */
static void look_at_the_path(void)
{
    struct server text = start_server("text", open_by_text);
    ask_all(&text);
    stop_server(&text);

    struct server no_follow = start_server("no_follow", open_no_follow);
    fetch(&no_follow, "notes/today");
    fetch(&no_follow, "today");
    fetch(&no_follow, "way-out/diary");
    stop_server(&no_follow);
}

static void look_at_the_way(void)
{
    struct server beneath = start_server("beneath", open_beneath);

    ask_all(&beneath);
    stop_server(&beneath);
}

/* This server prints what it does. The guest's line follows when the answer has
 * come. */
static void one_name_after_the_other(void)
{
    struct server by_name = start_server("by_name", open_by_name);

    fetch(&by_name, "notes/today");
    fetch(&by_name, "today");
    fetch(&by_name, "notes/../notes/today");
    fetch(&by_name, "way-out/diary");
    stop_server(&by_name);
}

/* The guest asks for a directory of which everything is below the server's
 * directory, and goes on from there without the server. */
static void hand_out_a_directory(void)
{
    struct server beneath = start_server("beneath", open_beneath);
    try_to_open_diary();
    int notes = CHECK(ask(&beneath, "notes"));
    say("ask(%s, \"notes\") = notes", beneath.name);
    int file = CHECK(openat(notes, "../../diary", O_RDONLY | O_CLOEXEC));
    read_file("read(openat(notes, \"../../diary\"))", file);
    CHECK(close(notes));
    stop_server(&beneath);

    struct server files_only = start_server("files_only", open_files_only);
    fetch(&files_only, "notes");
    fetch(&files_only, "notes/today");
    stop_server(&files_only);
}

static void make_file(const char *path, const char *text)
{
    int fd = CHECK(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));

    CHECK(write(fd, text, strlen(text)));
    CHECK(close(fd));
}

static void make_house(void)
{
    CHECK(mkdir("door", 0700));
    CHECK(mkdir("door/house", 0700));
    make_file(diary, "secret");
    CHECK(mkdir("door/house/files", 0700));
    CHECK(mkdir("door/house/files/notes", 0700));
    make_file("door/house/files/notes/today", "milk");
    CHECK(symlink("notes/today", "door/house/files/today"));
    CHECK(symlink("..", "door/house/files/way-out"));
}

static void remove_house(void)
{
    CHECK(unlink("door/house/files/way-out"));
    CHECK(unlink("door/house/files/today"));
    CHECK(unlink("door/house/files/notes/today"));
    CHECK(rmdir("door/house/files/notes"));
    CHECK(rmdir("door/house/files"));
    CHECK(unlink(diary));
    CHECK(rmdir("door/house"));
    CHECK(rmdir("door"));
}

/* Linux has it since 5.6, but a container may forbid it. */
static void need_openat2(void)
{
    const struct open_rules rules = {.flags = O_PATH | O_CLOEXEC};
    long fd = syscall(SYS_openat2, AT_FDCWD, ".", &rules, sizeof(rules));

    if (fd == -1 && (errno == ENOSYS || errno == EPERM))
        skip("this lab is about openat2(): it is missing or forbidden here");
    CHECK(close(check(fd, "openat2(\".\")", __FILE__, __LINE__)));
}

int main(void)
{
    need_proc();
    need_openat2();
    as_ordinary_user();    // root may pass the door
    need_own_directory();

    step("The server opens whatever it is asked for. What can be read?");
    make_house();
    whatever_is_asked_for();

    step("The server looks at the path first. What can still be read?");
    look_at_the_path();

    step("The kernel looks at the way. What can still be read?");
    look_at_the_way();

    step("Without openat2(): one name after the other. Where does it stop?");
    one_name_after_the_other();

    step("A directory is handed out. Where does it lead?");
    hand_out_a_directory();
    remove_house();
}
