/*
 * 71-long-names -- what if a path does not fit?
 *
 * sun_path has 108 bytes. bind() refuses a longer path if the program passes
 * its true length, and cuts the path if the program does not. Two long paths
 * can be cut to the same name. A shorter name of the same file helps: a
 * relative name, or a name through a symbolic link or a descriptor of the
 * directory.
 *
 *     the path     dddddddddddd ... ddddd/server-ann.sock     115 letters
 *     sun_path     [ 108 bytes                    ]
 *
 * See unix(7), open(2) for O_PATH, proc(5), symlink(7), snprintf(3).
 */
#define _GNU_SOURCE    // for O_PATH
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    WHOLE = sizeof(struct sockaddr_un),                              // 110
    PATH_ROOM = sizeof(struct sockaddr_un) - sizeof(sa_family_t),    // 108
    DIRECTORY_LETTERS = 99,
    LONGEST = 256,    // more letters than any path here has
    BACKLOG = 4       // more than ever wait in a queue here
};

/* As struct sockaddr_un, but with room for a path that is too long. */
struct long_address {
    sa_family_t family;
    char path[LONGEST];
};

/* The directory of steps 3 to 5, and the two long paths: 115 letters each. */
static char directory[DIRECTORY_LETTERS + 1];
static char ann_path[LONGEST];
static char bob_path[LONGEST];

static void choose_paths(void)
{
    memset(directory, 'd', DIRECTORY_LETTERS);
    snprintf(ann_path, sizeof(ann_path), "%s/server-ann.sock", directory);
    snprintf(bob_path, sizeof(bob_path), "%s/server-bob.sock", directory);
}

/* A long name as the lab shows it: how it ends, and how many letters it has. A
 * name that is shorter than that of the directory is shown whole. */
static const char *path_text(const char *path)
{
    static char text[LONGEST + 64];    // good until the next call
    size_t letters = strlen(path);
    const char *slash = strrchr(path, '/');

    if (letters < DIRECTORY_LETTERS)
        snprintf(text, sizeof(text), "\"%s\"", path);
    else if (slash)
        snprintf(text, sizeof(text), "\"...%s\", %zu letters", slash, letters);
    else
        snprintf(text, sizeof(text), "%zu letters", letters);
    return text;
}

/* The length of an address: the family, and this many bytes of sun_path. */
static socklen_t address_length(size_t path_bytes)
{
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes);
}

/* An address with a path of so many letters, all alike. Zeros follow. */
static struct long_address address_of(size_t letters, char letter)
{
    struct long_address address = {.family = AF_UNIX};

    memset(address.path, letter, letters);
    return address;
}

/* Copies as much of the path as fits. snprintf() returns how many letters the
 * whole path has. The callers of step 3 do not look at this. */
static struct sockaddr_un cut_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    int letters = snprintf(address.sun_path, PATH_ROOM, "%s", path);
    say("snprintf(%d bytes) = %d, sun_path: %s", PATH_ROOM, letters,
        path_text(address.sun_path));
    return address;
}

/* The path is short enough. Otherwise the lab ends. */
static struct sockaddr_un short_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    int letters = snprintf(address.sun_path, PATH_ROOM, "%s", path);
    if (letters >= PATH_ROOM) {
        errno = ENAMETOOLONG;
        fail("snprintf(sun_path)", __FILE__, __LINE__);
    }
    return address;
}

static int new_socket(int type)
{
    return CHECK(socket(AF_UNIX, type, 0));
}

static int bind_to(int fd, const struct sockaddr_un *address)
{
    return bind(fd, (const struct sockaddr *)address, sizeof(*address));
}

static int connect_to(int fd, const struct sockaddr_un *address)
{
    return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

/* The one socket file in a directory: its name in `name`. There must be one. */
static void find_socket_file(const char *where, char name[LONGEST])
{
    struct stat status;
    int files = 0;
    DIR *listing = opendir(where);

    if (!listing)
        fail("opendir()", __FILE__, __LINE__);
    errno = 0;    // readdir() returns NULL at the end, and if it fails
    struct dirent *entry = readdir(listing);
    while (entry) {
        CHECK(fstatat(dirfd(listing), entry->d_name, &status,
                      AT_SYMLINK_NOFOLLOW));
        if (S_ISSOCK(status.st_mode)) {
            snprintf(name, LONGEST, "%s", entry->d_name);
            files++;
        }
        entry = readdir(listing);
    }
    if (errno != 0)
        fail("readdir()", __FILE__, __LINE__);
    CHECK(closedir(listing));
    if (files != 1) {
        errno = ENOENT;
        fail("find_socket_file()", __FILE__, __LINE__);
    }
}

/* bind() with a path of so many letters, and an address of so many bytes. If it
 * makes a file: how long is the name of that file? */
static void bind_letters(size_t letters, socklen_t length)
{
    struct long_address address = address_of(letters, 's');
    char name[LONGEST];
    int server = new_socket(SOCK_STREAM);

    const char *result =
        RESULT(bind(server, (struct sockaddr *)&address, length), EINVAL);
    say("bind(%zu letters, address of %u bytes) = %s", letters, length, result);
    if (strcmp(result, "0") == 0) {
        find_socket_file(".", name);
        say("the socket file: %zu letters", strlen(name));
        CHECK(unlink(name));
    }
    CHECK(close(server));
}

/* A whole address has room for 108 letters. So the first path leaves room for a
 * zero byte, and the third has one letter more than its address. The fourth
 * passes its true length. */
static void which_lengths(void)
{
    role("server");
    bind_letters(107, WHOLE);
    bind_letters(108, WHOLE);
    bind_letters(109, WHOLE);
    bind_letters(109, WHOLE + 1);
}

/* A datagram socket whose name has so many letters. */
static int open_client(size_t letters)
{
    struct long_address address = address_of(letters, 'c');
    int client = new_socket(SOCK_DGRAM);

    int bound = CHECK(
        bind(client, (struct sockaddr *)&address, sizeof(struct sockaddr_un)));
    say("bind(%zu letters, address of %zu bytes) = %d", letters,
        sizeof(struct sockaddr_un), bound);
    return client;
}

static void ask(int client, const struct sockaddr_un *to)
{
    CHECK(
        sendto(client, "tea", 3, 0, (const struct sockaddr *)to, sizeof(*to)));
}

/* Answers with the length that recvfrom() has stored, as many servers do. If
 * this length is more than the room was, the server answers once more, and
 * passes the room as the length. */
static void answer(int server)
{
    char text[16];
    struct sockaddr_un from = {0};
    const socklen_t room = sizeof(from);
    socklen_t length = room;

    CHECK(recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&from,
                   &length));
    size_t letters = strnlen(from.sun_path, PATH_ROOM);
    say("recvfrom() -> %zu letters, length: %u => %u", letters, room, length);
    const char *result =
        RESULT(sendto(server, "1 euro", 6, 0, (struct sockaddr *)&from, length),
               EINVAL);
    say("sendto(\"1 euro\", address of the stored length) = %s", result);

    if (length > room) {
        int n = CHECK(
            sendto(server, "1 euro", 6, 0, (struct sockaddr *)&from, room));
        say("sendto(\"1 euro\", address of %u bytes) = %d", room, n);
    }
}

static void receive(int client)
{
    char text[16];

    int n = CHECK(recv(client, text, sizeof(text), 0));
    say("recv() = %d \"%.*s\"", n, n, text);
}

static void remove_letters(size_t letters)
{
    struct long_address address = address_of(letters, 'c');

    CHECK(unlink(address.path));
}

/* ann's path fits with a zero byte behind it, bob's fits without. */
static void answer_long_names(void)
{
    struct sockaddr_un server_address = short_address("server.sock");
    int server = new_socket(SOCK_DGRAM);

    CHECK(bind_to(server, &server_address));
    role("ann");
    int ann = open_client(107);
    ask(ann, &server_address);
    role("server");
    answer(server);
    role("ann");
    receive(ann);

    role("bob");
    int bob = open_client(108);
    ask(bob, &server_address);
    role("server");
    answer(server);
    role("bob");
    receive(bob);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(server));
    remove_letters(107);
    remove_letters(108);
    CHECK(unlink(server_address.sun_path));
}

static void make_directory(void)
{
    CHECK(mkdir(directory, 0700));
}

/* carol wants bob's server. She cuts its path as the servers cut theirs, and
 * reads who has got her. */
static void ask_for_bob(int ann)
{
    char text[16];
    int carol = new_socket(SOCK_STREAM);

    role("carol");
    struct sockaddr_un address = cut_address(bob_path);
    int connected = CHECK(connect_to(carol, &address));
    say("connect(sun_path) = %d", connected);

    int to_carol = CHECK(accept(ann, NULL, NULL));
    CHECK(write(to_carol, "I am ann", 8));
    int n = CHECK(read(carol, text, sizeof(text)));
    say("read() = %d \"%.*s\"", n, n, text);
    CHECK(close(to_carol));
    CHECK(close(carol));
}

/* Two servers of two users. Each has a path of its own, and neither looks at
 * what snprintf() returns. */
static void cut_two_paths(void)
{
    char name[LONGEST];
    int ann = new_socket(SOCK_STREAM);
    int bob = new_socket(SOCK_STREAM);

    make_directory();
    role("ann");
    struct sockaddr_un ann_address = cut_address(ann_path);
    int bound = CHECK(bind_to(ann, &ann_address));
    say("bind(sun_path) = %d", bound);
    CHECK(listen(ann, BACKLOG));
    find_socket_file(directory, name);
    say("the socket file in the directory: \"%s\"", name);

    role("bob");
    struct sockaddr_un bob_address = cut_address(bob_path);
    const char *result = RESULT(bind_to(bob, &bob_address), EADDRINUSE);
    say("bind(sun_path) = %s", result);
    ask_for_bob(ann);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(unlink(ann_address.sun_path));
    CHECK(rmdir(directory));
}

/* With O_PATH the descriptor is good for finding files in the directory, and
 * not for reading the directory. */
static int open_directory(void)
{
    int fd = CHECK(open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC));

    say("open(%s, O_PATH) -> N", path_text(directory));
    return fd;
}

/* A name that leads through a descriptor of the directory. The number of the
 * descriptor is a part of this name. */
static struct sockaddr_un through_descriptor(int fd, const char *name)
{
    char path[LONGEST];

    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", fd, name);
    return short_address(path);
}

/* The number of a descriptor may differ on each run: the lab shows N. */
static const char *masked(const char *path)
{
    static char text[LONGEST];    // good until the next call
    static const char start[] = "/proc/self/fd/";

    if (strncmp(path, start, strlen(start)) != 0)
        return path;
    snprintf(text, sizeof(text), "%sN%s", start, strrchr(path, '/'));
    return text;
}

static void connect_with(int fd, const struct sockaddr_un *address)
{
    const char *result = RESULT(connect_to(fd, address), ENOENT);

    say("connect(\"%s\") = %s", masked(address->sun_path), result);
}

static void try_to_connect(const struct sockaddr_un *address)
{
    int fd = new_socket(SOCK_STREAM);

    connect_with(fd, address);
    CHECK(close(fd));
}

static void connect_by_whole_path(void)
{
    struct long_address address = {.family = AF_UNIX};
    int fd = new_socket(SOCK_STREAM);

    snprintf(address.path, sizeof(address.path), "%s", ann_path);
    const char *result = RESULT(connect(fd, (struct sockaddr *)&address,
                                        address_length(strlen(ann_path) + 1)),
                                EINVAL);
    say("connect(%s) = %s", path_text(ann_path), result);
    CHECK(close(fd));
}

static void enter_directory(void)
{
    int changed = CHECK(chdir(directory));

    say("chdir(%s) = %d", path_text(directory), changed);
}

/* A process of its own, because the current directory belongs to the process.
 * "short" is a relative name, too: the last call shows that it does not lead
 * anywhere in the new directory. */
static void run_carol(void)
{
    struct sockaddr_un by_link = short_address("short/server-ann.sock");
    struct sockaddr_un relative = short_address("server-ann.sock");

    role("carol");
    connect_by_whole_path();
    try_to_connect(&by_link);

    int fd = open_directory();
    struct sockaddr_un by_descriptor =
        through_descriptor(fd, "server-ann.sock");
    try_to_connect(&by_descriptor);
    CHECK(close(fd));

    enter_directory();
    try_to_connect(&relative);
    try_to_connect(&by_link);
}

/* carol tries five names for one file. The server itself binds through the
 * symbolic link. It removes the file by its whole path: unlink() takes a path
 * and no address, so this path may be long. */
static void try_five_names(void)
{
    struct sockaddr_un by_link = short_address("short/server-ann.sock");
    char name[LONGEST];
    int server = new_socket(SOCK_STREAM);

    make_directory();
    role("server");
    int linked = CHECK(symlink(directory, "short"));
    say("symlink(%s, \"short\") = %d", path_text(directory), linked);
    CHECK(bind_to(server, &by_link));
    CHECK(listen(server, BACKLOG));
    find_socket_file(directory, name);
    say("the socket file in the directory: \"%s\"", name);

    pid_t carol = CHECK(fork());
    if (carol == 0) {
        CHECK(close(server));
        run_carol();
        _exit(EXIT_SUCCESS);
    }
    reap(carol);

    role("server");
    CHECK(close(server));
    int removed = CHECK(unlink(ann_path));
    say("unlink(%s) = %d", path_text(ann_path), removed);
    CHECK(unlink("short"));
    CHECK(rmdir(directory));
}

/* What the socket itself remembers of bind(): here a short path, with zeros
 * behind it. */
static struct sockaddr_un ask_for_own_name(int server)
{
    struct sockaddr_un own = {0};
    socklen_t length = sizeof(own);

    CHECK(getsockname(server, (struct sockaddr *)&own, &length));
    say("getsockname() -> \"%s\"", masked(own.sun_path));
    return own;
}

static int open_current_directory(void)
{
    return CHECK(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* `before` is a descriptor of the directory to go back to. */
static void listen_in_directory(int server, int before)
{
    struct sockaddr_un relative = short_address("server-ann.sock");

    CHECK(chdir(directory));
    int bound = CHECK(bind_to(server, &relative));
    CHECK(listen(server, BACKLOG));
    int back = CHECK(fchdir(before));
    say("chdir(%s), bind(\"%s\") = %d, fchdir(back) = %d", path_text(directory),
        relative.sun_path, bound, back);
}

/* ann's server goes into the directory for bind(), and leaves it. Then it
 * connects to its own name, as a client would that was told this name. For
 * comparison, it makes the same call in the directory. */
static void use_relative_name(void)
{
    int server = new_socket(SOCK_STREAM);
    int before = open_current_directory();

    role("ann");
    listen_in_directory(server, before);
    struct sockaddr_un own = ask_for_own_name(server);
    try_to_connect(&own);
    enter_directory();
    try_to_connect(&own);

    CHECK(fchdir(before));
    CHECK(close(before));
    CHECK(close(server));
    CHECK(unlink(ann_path));
}

/* bob's server binds through a descriptor, which it closes later. The socket of
 * the last connect() is made before: a new one would get the number N, which is
 * free again. */
static void use_name_through_descriptor(void)
{
    int server = new_socket(SOCK_STREAM);
    int client = new_socket(SOCK_STREAM);

    role("bob");
    int fd = open_directory();
    struct sockaddr_un address = through_descriptor(fd, "server-bob.sock");
    int bound = CHECK(bind_to(server, &address));
    say("bind(\"%s\") = %d", masked(address.sun_path), bound);
    CHECK(listen(server, BACKLOG));

    struct sockaddr_un own = ask_for_own_name(server);
    try_to_connect(&own);
    int closed = CHECK(close(fd));
    say("close(N) = %d", closed);
    connect_with(client, &own);

    CHECK(close(client));
    CHECK(close(server));
    CHECK(unlink(bob_path));
}

static void use_own_names(void)
{
    make_directory();
    use_relative_name();
    use_name_through_descriptor();
    CHECK(rmdir(directory));
}

int main(void)
{
    need_proc();
    choose_paths();

    step("How many letters does bind() take?");
    which_lengths();

    step("The name of a client has 107 or 108 letters. Can it be answered?");
    answer_long_names();

    step("Two paths are too long, and are cut. Who gets whose client?");
    cut_two_paths();

    step("Which other names lead to a file whose path is too long?");
    try_five_names();

    step("Does the socket's own name lead to it?");
    use_own_names();
}
