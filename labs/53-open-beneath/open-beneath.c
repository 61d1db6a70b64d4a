/*
 * 53-open-beneath -- how does a server stay below its directory?
 *
 * It opens paths for strangers, and a path can climb out: from the root, by
 * "..", or through a symbolic link. What counts is not how it is written but
 * where it goes. openat2() watches that; without it, go one name at a time.
 *
 *     client  sv[0] ------ path -----------------> sv[1]  server
 *             file  <----- error, SCM_RIGHTS ----- file
 *
 * See openat2(2), open(2), path_resolution(7), unix(7), cmsg(3).
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

#include "../../common/lab.h"

#ifndef SYS_openat2
#define SYS_openat2 437    // the headers are older than the call
#endif

/* One of the ways to open a path in dir, for reading. It may write to path. */
typedef int way(int dir, char *path);

static const char *const paths[] = {
    "notes/today",       "/proc/self/comm", "../diary",
    "notes/../../diary", "way-out/diary",   "today",
};

static int refuse(int error)
{
    errno = error;
    return -1;
}

static int as_it_is(int dir, char *path)
{
    return openat(dir, path, O_RDONLY | O_CLOEXEC);
}

static int by_its_text(int dir, char *path)
{
    if (*path == '/' || strstr(path, ".."))    // refuses "a..b" as well
        return refuse(EXDEV);
    return openat(dir, path, O_RDONLY | O_CLOEXEC);
}

static int no_follow(int dir, char *path)
{
    if (*path == '/' || strstr(path, ".."))
        return refuse(EXDEV);
    return openat(dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens name in directory at, if that leads neither up nor through a link. A
 * path that begins with a slash begins with an empty name. */
static int one_name(int at, const char *name, int flags)
{
    struct stat found;

    if (*name == '\0' || strcmp(name, "..") == 0)
        return refuse(EXDEV);
    int fd = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1)
        return -1;
    CHECK(fstat(fd, &found));
    if (!S_ISLNK(found.st_mode))
        return fd;
    CHECK(close(fd));    // O_PATH opened the link itself
    return refuse(ELOOP);
}

/* Each name in the directory before it, which is held open: whatever somebody
 * renames or replaces meanwhile, what was looked at is what is used. */
static int by_hand(int dir, char *path)
{
    int at = dir;

    while (path && at != -1) {
        const char *name = strsep(&path, "/");
        int next = one_name(at, name, path ? O_PATH : O_RDONLY);
        if (at != dir)
            CHECK(close(at));
        at = next;
    }
    return at;
}

/* Not every kernel has it (Linux 5.6), not every container lets it through,
 * not every C library knows it; and at a ".." it gives up (EAGAIN) if anything
 * at all has been renamed meanwhile. */
static int beneath(int dir, char *path)
{
    enum { NO_SYMLINKS = 0x04, BENEATH = 0x08 };    // <linux/openat2.h>
    const struct {
        uint64_t flags, mode, resolve;
    } how = {O_RDONLY | O_CLOEXEC, 0, BENEATH | NO_SYMLINKS};
    int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

    if (fd == -1 && (errno == ENOSYS || errno == EPERM || errno == EAGAIN))
        return by_hand(dir, path);
    return fd;
}

static void reply(int client, int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    int error = fd == -1 ? errno : 0;
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
    CHECK(sendmsg(client, &msg, MSG_NOSIGNAL));
    if (fd != -1)
        CHECK(close(fd));    // the client has its own
}

static _Noreturn void server(int client, way *open_path)
{
    char path[64];    // longer than anything that is sent here
    ssize_t n;

    role("server");
    int dir = CHECK(open("files", O_PATH | O_DIRECTORY | O_CLOEXEC));
    while ((n = CHECK(recv(client, path, sizeof(path) - 1, 0))) > 0) {
        path[n] = '\0';
        reply(client, open_path(dir, path));
    }
    _exit(EXIT_SUCCESS);
}

/* Like open(), but it is the server that opens. */
static int ask_open(int server, const char *path)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    int error, fd = -1;
    struct iovec iov = {&error, sizeof(error)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    CHECK(send(server, path, strlen(path), MSG_NOSIGNAL));
    msg.msg_control = control;
    msg.msg_controllen = CMSG_LEN(sizeof(int));    // not two: lab 33
    ssize_t n = CHECK(recvmsg(server, &msg, MSG_CMSG_CLOEXEC));
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    if (cmsg && cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
    errno = n == sizeof(error) ? error : ECONNRESET;
    return fd;
}

static void show(int server, const char *path)
{
    char text[64] = "";
    int file = ask_open(server, path);

    if (file == -1) {
        if (errno != EXDEV && errno != ELOOP)
            fail("ask_open(server, path)", __FILE__, __LINE__);
        say("ask_open(\"%s\") = -1 %s", path,
            errno == EXDEV ? "EXDEV" : "ELOOP");
        return;
    }
    ssize_t n = CHECK(read(file, text, sizeof(text) - 1));    // one line
    say("ask_open(\"%s\"), read(it) = %zd \"%.*s\\n\"", path, n, (int)n - 1,
        text);
    CHECK(close(file));
}

static void try_all(way *open_path)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(sv[0]));    // or the server would never see the end
        server(sv[1], open_path);
    }
    CHECK(close(sv[1]));
    role("client");
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        show(sv[0], paths[i]);
    CHECK(close(sv[0]));
    reap(child);
}

static void make_file(const char *path, const char *text)
{
    int fd = CHECK(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));

    CHECK(write(fd, text, strlen(text)));
    CHECK(close(fd));
}

static void make_files(void)
{
    CHECK(mkdir("files", 0700));
    CHECK(mkdir("files/notes", 0700));
    make_file("files/notes/today", "milk\n");
    make_file("diary", "secret\n");
    CHECK(symlink("..", "files/way-out"));
    CHECK(symlink("notes/today", "files/today"));
}

static void remove_files(void)
{
    CHECK(unlink("files/today"));
    CHECK(unlink("files/way-out"));
    CHECK(unlink("diary"));
    CHECK(unlink("files/notes/today"));
    CHECK(rmdir("files/notes"));
    CHECK(rmdir("files"));
}

int main(void)
{
    need_proc();

    step("What if the server opens whatever it is asked for?");
    make_files();
    try_all(as_it_is);

    step("Is it enough to refuse what is written as a way out?");
    try_all(by_its_text);

    step("Does O_NOFOLLOW close the last hole?");
    try_all(no_follow);

    step("What does openat2() let through, where there is one?");
    try_all(beneath);

    step("And where there is no openat2()?");
    try_all(by_hand);
    remove_files();
}
