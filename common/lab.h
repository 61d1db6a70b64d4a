/*
 * lab.h -- what every lab needs and no lab is about.
 *
 *     step(question)        the heading over the evidence that follows
 *     role(name)            from here on, this process or thread speaks as name
 *     say(fmt, ...)         one line of evidence, tagged with who speaks
 *     say_measured(fmt, ..) the same, with figures that differ on each run: the
 *                           line begins with ~, and no figure in it is judged
 *     CHECK(call)           the call's result; if it is -1, the lab ends here
 *     check(result, ...)    like CHECK, for a result that one has already
 *     CHECK_PTHREAD(call)   the same for a call that returns its error
 *     RESULT(call, error)   the result as text: "3", or "-1 EAGAIN" if the call
 *                           failed with just that error; any other ends the lab
 *     error_name(error)     "EAGAIN" for the number EAGAIN
 *     fail(call, ...)       the call has failed, see errno: the lab ends here
 *     reap(child)           wait for a child; if it failed, the lab ends
 *     skip(reason)          this machine cannot show what the lab is about
 *     need_proc()           skip the lab if there is no /proc
 *     need_own_directory()  skip the lab if it may not make files here
 *     as_ordinary_user()    from here on, permissions count for root, too
 *
 * Nothing here makes a socket, an address, a message or a process. But a step
 * has to close what it opens, and to wait for the processes that it makes: see
 * look_for_leaks().
 */
#ifndef LAB_H
#define LAB_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error_name.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static pid_t lab_process;      // the process that called step()
static int lab_step;           // the number of the last heading
static int lab_descriptors;    // how many were open at that heading
static int lab_inherited;      // did the starter of the lab leave it a child?
static int lab_leaks;          // has a step left something behind?
static _Thread_local const char *lab_role = "main";    // of each thread

/* A process that fails takes the whole lab with it: otherwise a server would
 * wait for ever for a client that gave up. Without a file, the place is the
 * step: then it is not the lab's own call that failed. */
static inline _Noreturn void fail(const char *call, const char *file, int line)
{
    int error = errno;
    char place[200] = "";
    char text[600];

    if (file)
        snprintf(place, sizeof(place), "%s:%d: ", file, line);
    snprintf(text, sizeof(text), "%sstep %d: %s: %s = -1 (%s, %s)\n", place,
             lab_step, lab_role, call, error_name(error), strerror(error));
    fputs(text, stderr);    // at once: another process may say something, too
    if (lab_process > 0 && lab_process != getpid())
        kill(lab_process, SIGTERM);
    _exit(EXIT_FAILURE);
}

/* All results in these labs fit in an int. */
static inline int check(long result, const char *call, const char *file,
                        int line)
{
    if (result == -1)
        fail(call, file, line);
    return (int)result;
}

static inline void check_pthread(int error, const char *call, const char *file,
                                 int line)
{
    errno = error;
    if (error != 0)
        fail(call, file, line);
}

static inline const char *result_text(long result, int error, const char *name,
                                      const char *call, const char *file,
                                      int line)
{
    static _Thread_local char text[32];    // good until the next RESULT

    if (result == -1 && errno == error)
        snprintf(text, sizeof(text), "-1 %s", name);
    else
        snprintf(text, sizeof(text), "%d", check(result, call, file, line));
    return text;
}

#define CHECK(call) check((call), #call, __FILE__, __LINE__)
#define CHECK_PTHREAD(call) check_pthread((call), #call, __FILE__, __LINE__)
#define RESULT(call, error)                                                    \
    result_text((call), (error), #error, #call, __FILE__, __LINE__)

/* Also the name that ps, ss -p and strace -Y show. The kernel kills a child
 * when the thread that has forked it ends, mostly with the first process. So a
 * child of a child calls no role(). See prctl(2). */
static inline void role(const char *name)
{
    lab_role = name;
    check(prctl(PR_SET_NAME, name), "prctl(PR_SET_NAME)", NULL, 0);
    if (lab_process > 0 && lab_process != getpid()) {
        check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl(PR_SET_PDEATHSIG)", NULL,
              0);
        if (getppid() != lab_process)
            _exit(EXIT_FAILURE);    // it was gone before we asked
    }
}

/* With LAB_PAUSE and a terminal, a class thinks before it sees the evidence:
 * "1" waits for Enter after each question, "line" also after each line. */
static inline int pauses(const char *when)
{
    const char *wanted = getenv("LAB_PAUSE");

    return wanted && strcmp(wanted, when) == 0 && isatty(STDIN_FILENO);
}

/* From a terminal, one read() gets what was typed before one Enter. */
static inline void wait_for_enter(void)
{
    char typed[256];

    check(read(STDIN_FILENO, typed, sizeof(typed)), "read()", NULL, 0);
}

/* One write() a line, so that the lines of two processes never mix. */
static inline void say_line(const char *mark, const char *f, va_list ap)
{
    char text[240];
    int width = 9 - (int)strlen(mark);

    vsnprintf(text, sizeof(text), f, ap);
    check(printf("%s%-*s %s\n", mark, width, lab_role, text), "printf()", NULL,
          0);
    if (pauses("line"))
        wait_for_enter();
}

static inline void __attribute__((format(printf, 1, 2))) say(const char *f, ...)
{
    va_list ap;

    va_start(ap, f);
    say_line("", f, ap);
    va_end(ap);
}

static inline void __attribute__((format(printf, 1, 2)))
say_measured(const char *f, ...)
{
    va_list ap;

    va_start(ap, f);
    say_line("~", f, ap);
    va_end(ap);
}

/* SIGALRM is the watchdog's. SIGPIPE comes to who writes and nobody reads, as
 * does what a lab prints into a pager that was left. SIGTERM comes from a child
 * that failed, and has said why. */
static inline void end_lab(int sig)
{
    static const char hangs[] = "the watchdog ended the lab: this step hangs\n";
    static const char unread[] =
        "SIGPIPE ended the lab: it wrote to what is closed\n";
    ssize_t written = 0;

    if (sig == SIGALRM)
        written = write(STDERR_FILENO, hangs, sizeof(hangs) - 1);
    if (sig == SIGPIPE)
        written = write(STDERR_FILENO, unread, sizeof(unread) - 1);
    if (written < 0 || lab_process == getpid())
        _exit(EXIT_FAILURE);
    kill(lab_process, SIGTERM);
    _exit(EXIT_FAILURE);
}

/* How many descriptors this process has open, of the first 64: poll() says
 * POLLNVAL of those that are not open. It takes no more than the limit of the
 * process. See poll(2), getrlimit(2). */
static inline int open_descriptors(void)
{
    enum { MOST = 64 };
    struct pollfd all[MOST];
    struct rlimit limit;
    int most = MOST;
    int count = 0;

    check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit()", NULL, 0);
    if (limit.rlim_cur < MOST)
        most = (int)limit.rlim_cur;
    for (int fd = 0; fd < most; fd++)
        all[fd] = (struct pollfd){.fd = fd};
    check(poll(all, (nfds_t)most, 0), "poll()", NULL, 0);
    for (int fd = 0; fd < most; fd++)
        if (!(all[fd].revents & POLLNVAL))
            count++;
    return count;
}

/* Is there a child that nobody has waited for? WNOWAIT leaves it as it is: who
 * should wait for it can still do so. See waitid(2). */
static inline int has_child(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Says on standard error what a step has left behind: a descriptor that the
 * first process has not closed, or a child that it has not waited for. No line
 * of evidence shows either. */
static inline void look_for_leaks(void)
{
    int open = open_descriptors();

    if (open > lab_descriptors) {
        fprintf(stderr, "step %d: it leaves descriptors open: %d\n", lab_step,
                open - lab_descriptors);
        lab_leaks = 1;
    }
    lab_descriptors = open;
    if (!lab_inherited && has_child()) {
        fprintf(stderr, "step %d: it does not wait for a child\n", lab_step);
        lab_leaks = 1;
    }
}

/* At exit() of the first process: the last step, too, may leave something. */
static inline void end_without_leaks(void)
{
    if (lab_process != getpid())
        return;
    look_for_leaks();
    if (lab_leaks)
        _exit(EXIT_FAILURE);
}

/* A step may take ten seconds, unless somebody looks at it line by line. What
 * the starter of the lab does with signals is not what the lab is about. */
static inline void step(const char *question)
{
    sigset_t none;

    alarm(0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGALRM, end_lab);
    signal(SIGTERM, end_lab);
    signal(SIGPIPE, end_lab);
    signal(SIGCHLD, SIG_DFL);
    lab_process = getpid();
    if (lab_step == 0) {
        setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
        lab_descriptors = open_descriptors();
        lab_inherited = has_child();
        atexit(end_without_leaks);
    } else {
        look_for_leaks();
    }
    lab_step++;
    check(printf("%s%d. %s\n", lab_step > 1 ? "\n" : "", lab_step, question),
          "printf()", NULL, 0);
    if (pauses("1") || pauses("line"))
        wait_for_enter();
    if (!pauses("line"))
        alarm(10);
}

/* Waits for a child, and ends the lab if the child did not succeed. One that
 * called fail() has said why; one that was killed has not. See waitpid(2). */
static inline void reap(pid_t child)
{
    int status;

    check(waitpid(child, &status, 0), "waitpid()", NULL, 0);
    if (WIFSIGNALED(status))
        fprintf(stderr, "step %d: %s: a child was killed: %s\n", lab_step,
                lab_role, strsignal(WTERMSIG(status)));
    if (status != 0)
        _exit(EXIT_FAILURE);
}

/* For the first process, before step 1. The reason says what to do. */
static inline _Noreturn void skip(const char *reason)
{
    fprintf(stderr, "%s\n", reason);
    exit(77);
}

/* A container need not have it. */
static inline void need_proc(void)
{
    int found = access("/proc/self/fd", F_OK);

    if (found == -1 && errno == ENOENT)
        skip("this lab reads /proc: mount -t proc proc /proc");
    check(found, "access(\"/proc/self/fd\")", NULL, 0);
}

/* Who has given up root's rights needs the permission to make files. */
static inline void need_own_directory(void)
{
    int allowed = access(".", W_OK | X_OK);

    if (allowed == -1 && errno == EACCES)
        skip("this lab makes files here: run it in a directory of your own");
    check(allowed, "access(\".\")", NULL, 0);
}

/* The process has no capabilities afterwards, so permissions hold for root as
 * for everybody. An ordinary user has none to lose. See capset(2); these are
 * the structures of <linux/capability.h>, which musl does not have. */
static inline void as_ordinary_user(void)
{
    const struct {
        unsigned version;
        int pid;    // 0 is this process
    } header = {.version = 0x20080522};
    const struct {
        unsigned effective, permitted, inheritable;
    } none[2] = {{0}};    // this version has 64 capabilities, 32 in each

    check(syscall(SYS_capset, &header, none), "capset()", NULL, 0);
}

#endif
