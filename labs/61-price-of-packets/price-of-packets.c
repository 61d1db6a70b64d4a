/*
 * 61-price-of-packets -- what is the price of packets?
 *
 * AF_UNIX puts what each send() brings into the peer's queue, as a piece of its
 * own. TCP makes packets of it. Each packet also says what has come from the
 * other side. A side that has nothing to send says this by a packet without
 * data. The price is paid for each message or packet, much more than for each
 * byte. So a program with many small messages can join them: writev() joins
 * them for both families, MSG_MORE only for TCP.
 *
 *     AF_UNIX    send()  ----------------------------->  [message]  recv()
 *     TCP        send()  ---------- packet ----------->  [ bytes ]  recv()
 *                        <--- "the bytes have come" --
 *
 * A line that begins with ~ is measured. Its figures are different on each run,
 * and only its words are compared.
 *
 * See unix(7), tcp(7), send(2), writev(2), getrusage(2), clock_gettime(2).
 */
#define _GNU_SOURCE    // for struct tcp_info and sched_setaffinity()
#include <arpa/inet.h>
#include <netinet/in.h>
#ifdef __GLIBC__    // the <netinet/tcp.h> of glibc lacks tcpi_data_segs_out
#include <linux/tcp.h>
#else
#include <netinet/tcp.h>
#endif
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"
#include "../../common/loopback.h"

/* Steps 1 to 3 send a few messages, step 4 sends questions to a child, and step
 * 5 sends many messages. */
enum { SIZE = 16, FEW = 5, QUESTIONS = 10, MANY = 50 };

/* Two connected sockets. */
struct connection {
    int client;
    int server;
};

/* socketpair() makes no TCP sockets, so one socket connects to the other. With
 * TCP_NODELAY each send() makes a packet at once. */
static struct connection open_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *name = (struct sockaddr *)&address;
    socklen_t length = sizeof(address);
    struct connection connection;
    int on = 1;

    int listener = CHECK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK(bind(listener, name, length));    // to a port that the kernel chooses
    CHECK(getsockname(listener, name, &length));
    CHECK(listen(listener, 1));

    connection.client = CHECK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK(connect(connection.client, name, length));
    connection.server = CHECK(accept(listener, NULL, NULL));
    CHECK(close(listener));

    CHECK(setsockopt(connection.client, IPPROTO_TCP, TCP_NODELAY, &on,
                     sizeof(on)));
    CHECK(setsockopt(connection.server, IPPROTO_TCP, TCP_NODELAY, &on,
                     sizeof(on)));
    return connection;
}

static struct connection open_unix(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    struct connection connection = {.client = sv[0], .server = sv[1]};
    return connection;
}

/* From here on, the lines are about this family. */
static struct connection open_connection(int family)
{
    if (family == AF_UNIX) {
        role("AF_UNIX");
        return open_unix();
    }
    role("TCP");
    return open_tcp();
}

static void close_connection(struct connection connection)
{
    CHECK(close(connection.client));
    CHECK(close(connection.server));
}

/* MSG_WAITALL: what comes over TCP may come in pieces. */
static int receive(int fd, int size)
{
    char buf[MANY * SIZE];

    return CHECK(recv(fd, buf, (size_t)size, MSG_WAITALL));
}

/* Sends `count` messages, each by a call of its own. The last call has no
 * flags, because after it no more comes. */
static void send_apart(int fd, int count, int flags)
{
    char message[SIZE] = "";

    for (int i = 1; i < count; i++)
        CHECK(send(fd, message, SIZE, flags));
    CHECK(send(fd, message, SIZE, 0));
}

/* Sends `count` messages by one call. */
static void send_joined(int fd, int count)
{
    char message[SIZE] = "";
    struct iovec parts[MANY];

    for (int i = 0; i < count; i++)
        parts[i] = (struct iovec){.iov_base = message, .iov_len = SIZE};
    CHECK(writev(fd, parts, count));
}

/* How many packets this socket has sent. What had to be sent again, because the
 * machine was busy, is counted once. */
struct packets {
    int all;
    int with_data;
};

static struct packets count_packets(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    struct packets packets;

    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
    packets.all = (int)(info.tcpi_segs_out - info.tcpi_total_retrans);
    packets.with_data =
        (int)(info.tcpi_data_segs_out - info.tcpi_total_retrans);
    return packets;
}

/* One thread plays both ends. Each message is answered before the next one is
 * sent. */
static void go_there_and_back(struct connection connection)
{
    int came = 0;
    int back = 0;

    for (int i = 0; i < FEW; i++) {
        send_apart(connection.client, 1, 0);
        came += receive(connection.server, SIZE);
        send_apart(connection.server, 1, 0);
        back += receive(connection.client, SIZE);
    }
    say("%d round trips of %d bytes: %d bytes came, %d came back", FEW, SIZE,
        came, back);
}

/* The same traffic as on TCP, but no packets: the kernel has no such counts. */
static void packets_on_unix(void)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);

    struct connection connection = open_connection(AF_UNIX);
    go_there_and_back(connection);
    const char *result = RESULT(
        getsockopt(connection.client, IPPROTO_TCP, TCP_INFO, &info, &length),
        EOPNOTSUPP);
    say("getsockopt(client, TCP_INFO) = %s", result);
    close_connection(connection);
}

/* How many packets have no data, and say only that bytes have come, depends on
 * time. */
static void packets_on_tcp(void)
{
    struct connection connection = open_connection(AF_INET);
    struct packets client = count_packets(connection.client);
    struct packets server = count_packets(connection.server);
    say("getsockopt(client, TCP_INFO) -> packets sent: %d, with data: %d",
        client.all, client.with_data);

    go_there_and_back(connection);
    struct packets client_now = count_packets(connection.client);
    struct packets server_now = count_packets(connection.server);
    say("client, packets with data: %d => %d", client.with_data,
        client_now.with_data);
    say("server, packets with data: %d => %d", server.with_data,
        server_now.with_data);
    say_measured("client, packets without data: %d => %d",
                 client.all - client.with_data,
                 client_now.all - client_now.with_data);
    say_measured("server, packets without data: %d => %d",
                 server.all - server.with_data,
                 server_now.all - server_now.with_data);
    close_connection(connection);
}

/* The kernel's memory that messages from this socket take until they are read.
 * On TCP the same request counts something else. (TIOCOUTQ is the same number
 * as SIOCOUTQ in tcp(7).) */
static int memory(int fd)
{
    int bytes;

    CHECK(ioctl(fd, TIOCOUTQ, &bytes));
    return bytes;
}

/* The memory of one message alone, to compare with. */
static int memory_of_one(struct connection connection)
{
    send_apart(connection.client, 1, 0);
    int one = memory(connection.client);
    receive(connection.server, SIZE);
    return one;
}

/* Says what the messages took, and reads them. */
static void say_memory(struct connection connection, int one)
{
    int all = memory(connection.client);

    say_measured("memory of the kernel: %d bytes", all);
    say("memory: %.1f x that of one message", (double)all / one);
    int came = receive(connection.server, FEW * SIZE);
    say("recv(%d bytes) = %d", FEW * SIZE, came);
}

/* The messages wait in the queue: how much memory do they take there? */
static void wait_on_unix(void)
{
    struct connection connection = open_connection(AF_UNIX);
    int one = memory_of_one(connection);

    say("send(%d bytes), %d times ...", SIZE, FEW);
    send_apart(connection.client, FEW, 0);
    say_memory(connection, one);

    close_connection(connection);
}

/* The same messages on TCP: how many packets are they? */
static void wait_on_tcp(void)
{
    struct connection connection = open_connection(AF_INET);

    struct packets before = count_packets(connection.client);
    say("send(%d bytes), %d times ...", SIZE, FEW);
    send_apart(connection.client, FEW, 0);
    struct packets after = count_packets(connection.client);
    say("packets with data: %d", after.with_data - before.with_data);
    int came = receive(connection.server, FEW * SIZE);
    say("recv(%d bytes) = %d", FEW * SIZE, came);

    close_connection(connection);
}

/* Joined in two ways: is the memory less than that of five messages? */
static void join_on_unix(void)
{
    struct connection connection = open_connection(AF_UNIX);
    int one = memory_of_one(connection);

    say("send(%d bytes, MSG_MORE), %d times, the last without ...", SIZE, FEW);
    send_apart(connection.client, FEW, MSG_MORE);
    say_memory(connection, one);

    say("writev(%d x %d bytes) ...", FEW, SIZE);
    send_joined(connection.client, FEW);
    say_memory(connection, one);

    close_connection(connection);
}

/* TCP does not wait for ever for what MSG_MORE has promised. If the machine is
 * so busy that the last send() comes 0.2 seconds later, there are two packets.
 * So the first count is measured. */
static void join_on_tcp(void)
{
    struct connection connection = open_connection(AF_INET);

    say("send(%d bytes, MSG_MORE), %d times, the last without ...", SIZE, FEW);
    send_apart(connection.client, FEW, MSG_MORE);
    struct packets more = count_packets(connection.client);
    say_measured("packets with data: %d", more.with_data);
    int came = receive(connection.server, FEW * SIZE);
    say("recv(%d bytes) = %d", FEW * SIZE, came);

    say("writev(%d x %d bytes) ...", FEW, SIZE);
    send_joined(connection.client, FEW);
    struct packets all = count_packets(connection.client);
    say("packets with data: %d", all.with_data - more.with_data);
    came = receive(connection.server, FEW * SIZE);
    say("recv(%d bytes) = %d", FEW * SIZE, came);

    close_connection(connection);
}

/* From here on, this process and its children run on one processor. If there
 * were several, the answer might be there before the parent has fallen asleep,
 * and then nobody has to wake up. See sched_setaffinity(2). */
static void stay_on_one_processor(void)
{
    int processor = CHECK(sched_getcpu());
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((size_t)processor, &one);
    CHECK(sched_setaffinity(0, sizeof(one), &one));
}

/* How often the processor went from this process to another one: because this
 * process fell asleep (ru_nvcsw), or because another process was to run at once
 * (ru_nivcsw). */
static long context_switches(void)
{
    struct rusage usage;

    CHECK(getrusage(RUSAGE_SELF, &usage));
    return usage.ru_nvcsw + usage.ru_nivcsw;
}

/* The child answers `count` times, each time as soon as it has `size` bytes. */
static _Noreturn void answer(int to_parent, int count, int size)
{
    role("child");
    for (int i = 0; i < count; i++) {
        receive(to_parent, size);
        send_apart(to_parent, 1, 0);
    }
    _exit(EXIT_SUCCESS);
}

/* Sends `count` messages by one call, and waits for one answer, `turns` times.
 * Returns in how many of these turns the processor left the parent. */
static int ask_in_turns(int to_child, int turns, int count)
{
    int switched = 0;

    for (int i = 0; i < turns; i++) {
        long before = context_switches();
        send_joined(to_child, count);
        receive(to_child, SIZE);
        if (context_switches() > before)
            switched++;
    }
    return switched;
}

/* The parent asks, and a child answers once in each turn. */
static void ask_child(int family, int turns, int count)
{
    struct connection connection = open_connection(family);
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(connection.client));
        answer(connection.server, turns, count * SIZE);
    }
    CHECK(close(connection.server));

    say("%d times: writev(%d x %d bytes), recv() ...", turns, count, SIZE);
    long start = context_switches();
    int switched = ask_in_turns(connection.client, turns, count);
    long end = context_switches();
    say("turns with a context switch: %d of %d", switched, turns);
    say_measured("context switches of the parent: %ld", end - start);

    reap(child);
    CHECK(close(connection.client));
}

static double microseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now));
    return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

/* The three ways of step 5. */
enum way { APART, WITH_MORE, JOINED };

static const char *name_of(enum way way)
{
    if (way == APART)
        return "send()";
    if (way == WITH_MORE)
        return "send(MSG_MORE)";
    return "writev()";
}

static void send_many(int fd, enum way way)
{
    if (way == APART)
        send_apart(fd, MANY, 0);
    if (way == WITH_MORE)
        send_apart(fd, MANY, MSG_MORE);
    if (way == JOINED)
        send_joined(fd, MANY);
}

/* How long sending and reading took once, in microseconds, and how many bytes
 * came. */
struct timing {
    double sending;
    double reading;
    int came;
};

/* One thread plays both ends, so this is the cost of the calls alone. Over TCP
 * the last packets may come after send() has returned. So recv(MSG_PEEK) waits
 * for them before the reading is timed. The answer at the end acknowledges all:
 * otherwise an acknowledgement could be handled during the next timing, and
 * cost it time. */
static struct timing time_once(struct connection connection, enum way way)
{
    char buf[MANY * SIZE];

    double start = microseconds();
    send_many(connection.client, way);
    double sent = microseconds();

    CHECK(recv(connection.server, buf, sizeof(buf), MSG_PEEK | MSG_WAITALL));
    double ready = microseconds();
    int came = receive(connection.server, MANY * SIZE);
    double end = microseconds();

    send_apart(connection.server, 1, 0);
    receive(connection.client, SIZE);
    struct timing timing = {
        .sending = sent - start, .reading = end - ready, .came = came};
    return timing;
}

/* The fastest of several times counts: something else may have disturbed the
 * others. */
static void time_many(int family, enum way way)
{
    enum { TIMES = 5 };
    double sending = 1e9;
    double reading = 1e9;
    int came = 0;

    struct connection connection = open_connection(family);
    for (int i = 0; i < TIMES; i++) {
        struct timing timing = time_once(connection, way);
        came += timing.came;
        if (timing.sending < sending)
            sending = timing.sending;
        if (timing.reading < reading)
            reading = timing.reading;
    }
    say("%d messages by %s, %d times: %d bytes came", MANY, name_of(way), TIMES,
        came);
    say_measured("sending %.1f us, recv() %.1f us, together %.1f us", sending,
                 reading, sending + reading);
    if (family == AF_INET) {
        struct packets packets = count_packets(connection.client);
        say_measured("packets with data: %d, for %d messages",
                     packets.with_data, TIMES * MANY);
    }
    close_connection(connection);
}

int main(void)
{
    need_loopback();

    step("Messages go there, and answers come back. How many packets?");
    packets_on_unix();
    packets_on_tcp();

    step("Five small messages wait. What has become of them?");
    wait_on_unix();
    wait_on_tcp();

    step("What joins them: MSG_MORE, or writev()?");
    join_on_unix();
    join_on_tcp();

    step("Another process answers. How many context switches?");
    stay_on_one_processor();
    ask_child(AF_UNIX, QUESTIONS, 1);
    ask_child(AF_UNIX, QUESTIONS / FEW, FEW);
    ask_child(AF_INET, QUESTIONS, 1);
    ask_child(AF_INET, QUESTIONS / FEW, FEW);

    step("How long do fifty small messages take, apart and joined?");
    time_many(AF_UNIX, APART);
    time_many(AF_UNIX, WITH_MORE);
    time_many(AF_UNIX, JOINED);
    time_many(AF_INET, APART);
    time_many(AF_INET, WITH_MORE);
    time_many(AF_INET, JOINED);
}
