/*
 * lab.h -- what every lab needs and no lab is about.
 *
 *     step(question)      the heading over the evidence that follows
 *     role(name)          from here on, this process or thread speaks as name
 *     say(fmt, ...)       one line of evidence, tagged with who speaks
 *     CHECK(call)         the call's result; on -1, report it and end the lab
 *     FAILS(call, error)  the result, as text, of a call that should fail
 *     reap(child)         wait for a child, and insist that it succeeded
 *
 * Nothing here makes a socket, an address, a message or a process.
 */
#ifndef LAB_H
#define LAB_H

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
static pid_t lab_process;    // the first one
static _Thread_local const char *lab_role = "main";

/* Says what failed, where and why, and ends the lab as a whole: the first
 * process by a signal, its other children with it (see role). Otherwise a
 * server would wait for ever for a client that gave up. */
static inline _Noreturn void fail(const char *call, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s: %s = -1 (%s)\n", file, line, lab_role, call,
            strerror(errno));
    if (lab_process > 0 && lab_process != getpid())
        kill(lab_process, SIGTERM);
    _exit(EXIT_FAILURE);
}

// clang-format off
/* The choice is by type, so that an fd stays int and a byte count ssize_t. */
#define CHECK(call) \
    _Generic((call), int: check_int, long: check_long)( \
        (call), #call, __FILE__, __LINE__)
// clang-format on

static inline long check_long(long result, const char *call, const char *file,
                              int line)
{
    if (result == -1)
        fail(call, file, line);
    return result;
}

static inline int check_int(int result, const char *call, const char *file,
                            int line)
{
    return (int)check_long(result, call, file, line);
}

/* "-1 EAGAIN" if it failed with just that error, its result if it did not fail
 * (the check will show the difference). Any other error ends the lab. */
#define FAILS(call, error)                                                     \
    fails((call), (error), "-1 " #error, #call, __FILE__, __LINE__)

static inline const char *fails(long result, int error, const char *failure,
                                const char *call, const char *file, int line)
{
    static _Thread_local char number[24];    // good until the next FAILS

    if (result == -1 && errno == error)
        return failure;
    check_long(result, call, file, line);
    snprintf(number, sizeof(number), "%ld", result);
    return number;
}

/* Also the name that ps, ss and strace show. A child of the first process asks
 * the kernel to be killed when that one ends. See prctl(2). */
static inline void role(const char *name)
{
    lab_role = name;
    CHECK(prctl(PR_SET_NAME, name));
    if (lab_process > 0 && lab_process != getpid()) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL));
        if (getppid() != lab_process)
            _exit(EXIT_FAILURE);    // it was gone before we asked
    }
}

/* Standard output is line buffered (see step): one write() a line, so that the
 * lines of two processes never mix, and fork() copies no half-full buffer. */
static inline void __attribute__((format(printf, 1, 2))) say(const char *f, ...)
{
    char text[240];
    va_list ap;

    va_start(ap, f);
    vsnprintf(text, sizeof(text), f, ap);
    va_end(ap);
    CHECK(printf("%-9s %s\n", lab_role, text));
}

/* SIGALRM comes from the watchdog in step(), SIGTERM from a child's fail(). */
static inline void end_lab(int sig)
{
    static const char text[] = "the watchdog ended the lab: this step hangs\n";

    if (sig == SIGALRM)
        (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(EXIT_FAILURE);
}

/* With LAB_PAUSE=1 and a terminal, a class thinks before it sees the evidence.
 * Then the evidence has ten seconds. */
static inline void step(const char *question)
{
    static int number;
    const char *pause = getenv("LAB_PAUSE");

    alarm(0);
    signal(SIGALRM, end_lab);
    signal(SIGTERM, end_lab);
    lab_process = getpid();
    if (number++ == 0)
        setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    CHECK(printf("%s%d. %s\n", number > 1 ? "\n" : "", number, question));
    if (pause && strcmp(pause, "1") == 0 && isatty(STDIN_FILENO))
        for (int c = 0; c != '\n' && c != EOF; c = getchar())
            continue;
    alarm(10);
}

/* A child that called fail() has said why; one that was killed has not. */
static inline void reap(pid_t child)
{
    int status;

    CHECK(waitpid(child, &status, 0));
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: a child was killed: %s\n", lab_role,
                strsignal(WTERMSIG(status)));
    if (status != 0)
        exit(EXIT_FAILURE);
}

#endif
