/*
 * chosen.c -- take one child of a lab further than all the others
 *
 * usage: CHOSEN=CHILD,NUMBER,AHEAD LD_PRELOAD=chosen.so PROGRAM
 *
 * strace counts the calls of each process by itself, so its third send() is the
 * third of every child. The chosen one (the first that is born is 1; a thread
 * is born, too) begins with AHEAD calls of that NUMBER that come to nothing. If
 * no other ever makes as many, its third one is what strace takes for number
 * AHEAD + 3, and nobody else's. A child of vfork() or posix_spawn(), and so of
 * system(), is not seen here: no lab makes one.
 * See strace(1), ld.so(8), pthread_atfork(3).
 */
#define _GNU_SOURCE    // for RTLD_NEXT, syscall
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static long chosen, number, ahead;
static long *births;                 // in all processes of the lab together
static _Thread_local long unborn;    // the child that this thread is making

struct thread {
    void *(*start)(void *);
    void *arg;
    long child;
};

static void go_ahead(long child)
{
    for (long i = 0; child == chosen && i < ahead; i++)
        (void)syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
}

static void before_fork(void)
{
    unborn = __atomic_add_fetch(births, 1, __ATOMIC_RELAXED);
}

static void after_fork(void)
{
    go_ahead(unborn);
}

static void *begin(void *arg)
{
    struct thread thread = *(struct thread *)arg;
    free(arg);
    go_ahead(thread.child);
    return thread.start(thread.arg);
}

/* The lab calls this one, and it the C library's. */
int pthread_create(pthread_t *id, const pthread_attr_t *attr,
                   void *(*start)(void *), void *arg)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *),
                  void *) = dlsym(RTLD_NEXT, "pthread_create");
    struct thread *thread = malloc(sizeof(*thread));
    if (!thread)
        abort();
    before_fork();
    *thread = (struct thread){start, arg, unborn};
    int error = create(id, attr, begin, thread);
    if (error != 0)
        free(thread);
    return error;
}

/* A program that the lab executes is not to begin again. */
__attribute__((constructor)) static void prepare(void)
{
    const char *choice = getenv("CHOSEN");
    if (!choice || sscanf(choice, "%ld,%ld,%ld", &chosen, &number, &ahead) != 3)
        abort();
    unsetenv("LD_PRELOAD");
    unsetenv("LD_LIBRARY_PATH");
    births = mmap(NULL, sizeof(*births), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (births == MAP_FAILED || pthread_atfork(before_fork, NULL, after_fork))
        abort();
}
