/*
 * floors.c -- what is paid even without a message?
 *
 * usage: floors PLACE SIZE METRIC SLICES MILLISECONDS PEER'S-CPU FLOOR...
 *
 * Measures for bench.sh a reading of the clock, a system call, copies, and what
 * it takes to wake another process (eventfd), or to be seen by one that does
 * not sleep (spin). Between two cores the wake-up is most of the time, and that
 * of a transport may be the shorter one: eventfd is a yardstick, no bound. The
 * rows are those of labs/62-transport-cost, without percentiles. Without a
 * peer, whose CPU is -1 then, one thread plays both ends.
 */
#define _GNU_SOURCE    // for sched_setaffinity(), syscall()
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../common/lab.h"

static size_t size;
static bool one_way;
static int event[2];    // by the end that reads

/* Not at the same place in a page, or a copy would take a load from the one for
 * a load of what the last has stored into the other, and wait for that. */
static char buf[2][(1 << 20) + 2048];

struct turns {
    _Alignas(128) _Atomic long of;    // each in cache lines of its own
};
static struct turns *turn;

static int64_t now(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &t));
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

/* The timed loops: of end 0, of end 1, or of both. */
enum end { FIRST = 1, SECOND = 2, BOTH = FIRST | SECOND };

static void clocks(enum end end, long count)
{
    for (; end == BOTH && count > 0; count--)
        now();
}

static void syscalls(enum end end, long count)
{
    for (; end == BOTH && count > 0; count--)
        CHECK(syscall(SYS_getppid));
}

/* Through a pointer, or the compiler would leave out a copy in vain. */
static void copies(enum end end, long count)
{
    static void *(*volatile copy)(void *, const void *, size_t) = memcpy;

    for (; end == BOTH && count > 0; count--) {
        copy(buf[1], buf[0], size);
        if (!one_way)
            copy(buf[0], buf[1], size);
    }
}

static void events(enum end end, long count)
{
    uint64_t n = 1;

    for (; count > 0; count--) {
        if (end & FIRST)
            CHECK(write(event[1], &n, sizeof(n)));
        if (end & SECOND) {
            CHECK(read(event[1], &n, sizeof(n)));
            CHECK(write(event[0], &n, sizeof(n)));
        }
        if (end & FIRST)
            CHECK(read(event[0], &n, sizeof(n)));
    }
}

/* The second makes equal what the first has made unequal. */
static void spins(enum end end, long count)
{
    for (; count > 0; count--) {
        if (end == FIRST)
            turn[0].of++;
        while ((turn[0].of == turn[1].of) == (end == SECOND))
            continue;
        if (end == SECOND)
            turn[1].of++;
    }
}

static const struct floor {
    const char *name;
    void (*trips)(enum end end, long count);
} floors[] = {
    {"eventfd", events},   {"spin", spins},   {"memcpy", copies},
    {"syscall", syscalls}, {"clock", clocks},
};

/* The first round trip tells each end that the other is ready. */
static int64_t measured(const struct floor *it, int peer_cpu, long count)
{
    enum end end = peer_cpu < 0 ? BOTH : FIRST;
    pid_t child = peer_cpu < 0 ? -1 : CHECK(fork());
    cpu_set_t set;

    if (child == 0) {
        role("peer");
        CPU_ZERO(&set);
        CPU_SET((size_t)peer_cpu, &set);
        CHECK(sched_setaffinity(0, sizeof(set), &set));
        it->trips(SECOND, count + 1);
        _exit(EXIT_SUCCESS);
    }
    it->trips(end, 1);
    int64_t start = now();
    it->trips(end, count);
    int64_t ns = now() - start;
    if (child > 0)
        reap(child);
    return ns;
}

/* So many that they take so long: by the fastest of five tries, because others
 * may have been interrupted. */
static long calibrated(const struct floor *it, int peer_cpu, double slice_ns)
{
    double ns = 0;
    long count;

    for (count = 1; ns < slice_ns / 8; count *= 2) {
        ns = (double)measured(it, peer_cpu, count);
        for (int i = 1; i < 5; i++) {
            double again = (double)measured(it, peer_cpu, count);
            ns = again < ns ? again : ns;
        }
    }
    return (long)((double)count / 2 * slice_ns / ns) + 1;
}

static void prepare(const char *bytes, const char *metric)
{
    size = strtoul(bytes, NULL, 10);
    one_way = strcmp(metric, "one-way") == 0;
    memset(buf, 1, sizeof(buf));    // or the first slice pays for the pages
    turn = mmap(NULL, 2 * sizeof(*turn), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (turn == MAP_FAILED)
        fail("mmap()", __FILE__, __LINE__);
    for (int end = 0; end < 2; end++)
        event[end] = CHECK(eventfd(0, 0));
}

int main(int argc, char *argv[])
{
    const struct floor *floor[ARRAY_LEN(floors)];
    long count[ARRAY_LEN(floors)];
    int chosen = 0;

    if (argc < 8)
        return 2;
    lab_process = getpid();    // or a peer that fails would not end this one
    prepare(argv[2], argv[3]);
    int peer_cpu = atoi(argv[6]);
    for (char **name = argv + 7; *name; name++) {
        const struct floor *it = floors;
        while (strcmp(it->name, *name) != 0)
            it++;
        floor[chosen] = it;
        count[chosen++] = calibrated(it, peer_cpu, 1e6 * atof(argv[5]));
    }
    for (int slice = 1; slice <= atoi(argv[4]); slice++)    // they take turns
        for (int i = 0; i < chosen; i++)
            printf("%s,%s,%s,0,%d,%ld,%ld,%jd\n", argv[1], argv[2],
                   floor[i]->name, slice, count[i], count[i],
                   measured(floor[i], peer_cpu, count[i]));
}
