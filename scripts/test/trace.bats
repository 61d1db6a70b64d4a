#!/usr/bin/env bats
# trace.bats -- do shake and fault find a planted fault?

# shellcheck disable=SC2154 # box is set by helper.bash
load helper

# Two processes speak, and nothing but time orders them: main waits $1 us, and
# the child $2.
plant_race() {
    plant "step(\"Who is first?\");
           pid_t child = CHECK(fork());
           if (child == 0) {
               role(\"child\"); usleep($2); say(\"hello\"); _exit(0);
           }
           usleep($1); say(\"hello\"); reap(child);" "$3"
}

# The planted lab includes <$1>, too.
include() {
    sed -i "0,/^#include/s,,#include <$1>\n&," labs/90-planted/planted.c
}

main_first=$'1. Who is first?\nmain      hello\nchild     hello'
child_first=$'1. Who is first?\nchild     hello\nmain      hello'

# The smallest lab with a call that may fail: $1 makes copy, a descriptor, of
# descriptor 0; what $2 does (close it) has a result that is said.
plant_copy() {
    plant "step(\"What is closed?\");
           int copy = $1;
           say(\"close() = %d\", ${2:-CHECK(close(copy))});" \
        $'1. What is closed?\nmain      close() = 0'
}

# The last output has a number followed by " $3", from $1 to $2. Nothing may
# depend on one call that some C library makes, too.
counts() {
    [[ $output =~ ([0-9]+)" $3" ]] || said " $3"
    ((BASH_REMATCH[1] >= $1 && BASH_REMATCH[1] <= $2)) || {
        printf '%d %s, not from %d to %d\n' "${BASH_REMATCH[1]}" "$3" "$1" "$2"
        return 1
    }
}

# The last output says that fewer injections came than four fifths.
too_few_came() {
    said 'not ok - 90 planted: only '
    [[ $output =~ only\ ([0-9]+)\ of\ ([0-9]+)\ came\;\ is\ the\ program\ static ]]
    ((BASH_REMATCH[1] > 0 && BASH_REMATCH[1] * 5 < BASH_REMATCH[2] * 4))
}

# A server in one process, of which $1 is how it accepts, as $peer.
plant_server() {
    plant "step(\"Who is there?\");
           struct sockaddr_un addr = {AF_UNIX, \"\"};
           sprintf(addr.sun_path + 1, \"lab-%d\", getpid());
           int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
           CHECK(bind(listener, (struct sockaddr *)&addr, 20));
           CHECK(listen(listener, 1));
           int client = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
           CHECK(connect(client, (struct sockaddr *)&addr, 20));
           $1
           say(\"write() = %d\", (int)${2:-CHECK(write(peer, \"hello\", 5))});
           CHECK(close(peer)); CHECK(close(client)); CHECK(close(listener));" \
        $'1. Who is there?\nmain      write() = 5'
    include sys/socket.h
    include sys/un.h
}

@test "shake: what orders two processes is not time" {
    needs_strace
    plant_race 0 0 "$main_first"
    fails make -s shake-90
    said 'not ok - 90 planted: '
    said 'schedules, 2 outputs'
    said ', such as: strace -f -e inject='
    said '# +main      hello'
}

@test "shake: nor is a sleep" {
    needs_strace
    plant_race 20000 0 "$child_first"
    fails make -s shake-90
    said 'schedules, 2 outputs'
}

@test "shake: not even that of a child, and a long one" {
    needs_strace
    plant_race 0 400000 "$main_first"
    fails make -s shake-90
    said 'schedules, 2 outputs'
    said ' -e inject=/nanosleep:error=EINTR build/'
}

@test "shake: processes in order have one output" {
    needs_strace
    plant 'step("Who is first?");
           pid_t child = CHECK(fork());
           if (child == 0) { role("child"); say("hello"); _exit(0); }
           reap(child); say("hello");' "$child_first"
    passes make -s shake
    said '1 passed, 0 failed, 0 skipped'
    passes cat build/results/shake/90-planted.tap
    said 'ok - 90 planted: '
    said 'schedules, 1 output'
}

@test "shake: nor does it matter that one child was born first" {
    needs_strace
    plant 'step("Who is first?");
           pid_t ann = CHECK(fork());
           if (ann == 0) {
               role("ann");
               for (int i = 0; i < 4; i++) CHECK(getppid() - 1);
               say("hello");
               _exit(0);
           }
           for (volatile int i = 0; i < 999999; i++);
           pid_t bob = CHECK(fork());
           if (bob == 0) { role("bob"); say("hello"); _exit(0); }
           reap(ann); reap(bob);' \
        $'1. Who is first?\nann       hello\nbob       hello'
    fails make -s shake-90
    said 'schedules, 2 outputs'
    said ' -E LD_PRELOAD=build/chosen.so build/90-planted'
}

@test "shake: one output that is not the expected one is a failure" {
    needs_strace
    plant 'step("What is expected?");' 'something else'
    fails make -s shake-90
    said 'schedules, 1 output'
    said '-something else'
}

@test "shake and fault: what goes wrong after the first run is not left out" {
    needs_strace
    local first="access(\"$box/been\", F_OK) && symlink(\"x\", \"$box/been\") == 0"
    plant "step(\"Who?\");
           if (!($first)) { fputs(\"no\", stderr); return 77; }" '1. Who?'
    fails make -s shake-90
    said ' schedules, 1 output'
    said '# SKIP 90 planted: no'
    rm "$box/been"
    plant "step(\"Who?\"); if (!($first)) _exit(3); CHECK(close(0));" '1. Who?'
    fails make -s fault-90
    said 'exit status 3, not as expected, but no fault in the log'
}

# In step 7 the child hears that it may speak. What makes main late is the write()
# after the seven headings, on entry.
@test "shake: the seventh of eight steps is not too late" {
    needs_strace
    plant 'char byte = 0;
           int go[2];
           for (int i = 1; i <= 8; i++) {
               step("Who is first?");
               if (i != 7)
                   continue;
               CHECK(pipe(go));
               pid_t child = CHECK(fork());
               if (child == 0) {
                   role("child"); CHECK(read(go[0], &byte, 1));
                   poll(NULL, 0, 20); say("hello"); _exit(0);
               }
               CHECK(write(go[1], &byte, 1));
               say("hello"); reap(child);
               CHECK(close(go[0])); CHECK(close(go[1]));
           }' ''
    make -s accept-90
    fails make -s shake-90
    said 'schedules, 2 outputs'
    said 'inject=write:delay_enter=40000:when='
}

@test "shake: what is seen of a file is not a matter of time, either" {
    needs_strace
    plant 'step("Who is first?");
           pid_t child = CHECK(fork());
           if (child == 0) { CHECK(mkdir("here", 0700)); _exit(0); }
           poll(NULL, 0, 20);
           int here = access("here", F_OK);
           reap(child);
           say("access() = %d", here);
           CHECK(rmdir("here"));' \
        $'1. Who is first?\nmain      access() = 0'
    include poll.h
    include sys/stat.h
    fails make -s shake-90
    said 'schedules, 2 outputs'
    said ' -e inject=mkdir:delay_enter='
}

@test "shake: no schedule that did not come is counted" {
    needs_strace
    # Six of close are late on entry and three on exit; then two of write, two of
    # poll and two of wait (lab.h looks for leaks), and exit. If all were late on
    # exit, there would be 19.
    plant 'step("Who?");
           for (int i = 0; i < 6; i++) CHECK(close(CHECK(dup(0))));' \
        '1. Who?'
    passes make -s shake-90
    counts 15 18 'schedules, 1 output'
    plant "step(\"Who?\");
           if (!access(\"$box/been\", F_OK)) return 0;
           for (int i = 0; i < 9; i++)
               CHECK(close(CHECK(creat(\"$box/been\", 0600))));
           CHECK(close(0));" '1. Who?'
    fails make -s shake-90
    too_few_came
    # Five of fork and three, two of write, two of poll, three of wait, the exit
    # of main, and one for the exits of all children. With one for each there
    # would be 22.
    plant 'step("Who?");
           signal(SIGCHLD, SIG_IGN);
           for (int i = 0; i < 5; i++) if (CHECK(fork()) == 0) _exit(0);
           wait(NULL);' '1. Who?'
    passes make -s shake-90
    counts 17 21 'schedules, 1 output'
}

# A child is killed while it is delayed, and strace complains (6.1 does).
@test "shake: what strace says of a process that is killed is not the lab's" {
    needs_strace
    plant 'step("Who?");
           pid_t child = CHECK(fork());
           if (child == 0) { CHECK(mkdir("here", 0700)); pause(); }
           poll(NULL, 0, 20);
           CHECK(kill(child, SIGKILL)); wait(NULL);
           rmdir("here");' '1. Who?'
    include sys/stat.h
    passes make -s shake-90
    said 'schedules, 1 output'
    # What the lab says otherwise is a difference, though strace complains, too.
    sed -i 's/rmdir("here")/say("rmdir() = %d", &)/' labs/90-planted/planted.c
    echo 'main      rmdir() = 0' >>expected/90-planted.txt
    fails make -s shake-90
    said ' outputs'
    said '# +main      rmdir() = -1'
}

@test "shake: what a lab with a clock does in a loop is left alone" {
    needs_strace
    local with without
    local loop='for (int i = 0; i < 1000; i++) CHECK(close(CHECK(dup(0))));'
    plant "step(\"How long?\"); $loop" '1. How long?'
    passes make -s shake-90
    counts 11 15 'schedules, 1 output' # three of close, write, poll, wait, exit
    without=${BASH_REMATCH[1]}
    plant "struct timespec now; clock_gettime(0, &now);
           step(\"How long?\"); $loop" '1. How long?'
    include time.h
    passes make -s shake-90
    counts 3 "$without" 'schedules, 1 output'
    with=${BASH_REMATCH[1]}
    ((without - with >= 5)) # those of close, twice three
}

@test "fault: a call that is checked is survived" {
    needs_strace
    plant_copy 'CHECK(dup(0))' 'close(copy) == -1 && close(copy) == 0'
    fails make -s fault-90
    said 'inject=close:error=EIO'
    said 'exit status 0, but it did not print just what is expected'
    plant_copy 'CHECK(dup(0))'
    passes make -s fault-90
    said 'ok - 90 planted: '
    said ' survived'
    plant_server 'int peer = CHECK(accept(listener, NULL, NULL));'
    CALL=accept passes make -s fault
    said 'fault/90-planted .. ok'
    said '1 passed, 0 failed, 0 skipped'
    passes cat build/results/fault/90-planted.tap
    counts 8 99 survived # each call of a server, though CALL names one
}

@test "fault: the first five of a long loop, and only what came" {
    needs_strace
    plant 'step("Who?");
           for (int i = 0; i < 1000; i++) CHECK(close(CHECK(dup(0))));' \
        '1. Who?'
    passes make -s fault-90
    counts 11 14 'faults, ' # five of each, and one write
    plant "step(\"Who?\");
           if (!access(\"$box/been\", F_OK)) return 0;
           for (int i = 0; i < 9; i++)
               CHECK(close(CHECK(creat(\"$box/been\", 0600))));
           CHECK(close(0));" '1. Who?'
    fails make -s fault-90 # of write and of access they come
    too_few_came
}

@test "fault: an error that is ignored is found" {
    needs_strace
    plant_copy 'dup(0)'
    fails make -s fault-90
    said 'strace -f -e inject=dup:error=EMFILE:when=1 build/90-planted'
    said 'exit status 1; no message names dup (Too many open files)'
    said 'close(copy) = -1 (EBADF, Bad file descriptor)'
    plant 'struct sched_param usual = {0};
           step("Who?");
           say("%d", sched_setscheduler(0, SCHED_OTHER, &usual));' \
        $'1. Who?\nmain      0'
    include sched.h
    fails make -s fault-90
    said 'inject=sched_setscheduler:error=EPERM:when=1 build/90-planted'
}

@test "fault: each process fails by itself, a thread, too" {
    needs_strace
    plant 'step("Who closes?");
           CHECK(close(CHECK(dup(0))));
           pid_t ann = CHECK(fork());
           if (ann == 0) { CHECK(close(0)); _exit(0); }
           reap(ann);
           pid_t bob = CHECK(fork());
           if (bob == 0) { role("bob"); say("%d", close(0)); _exit(0); }
           reap(bob);' $'1. Who closes?\nbob       0'
    fails make -s fault-90
    said ' -E CHOSEN=2,'
    said 'exit status 0, but it did not print just what is expected'
    plant 'pthread_t id;
           step("Who closes?");
           CHECK(close(CHECK(dup(0))));
           pthread_create(&id, NULL, ann, NULL); pthread_join(id, NULL);
           pthread_create(&id, NULL, bob, NULL); pthread_join(id, NULL);' \
        $'1. Who closes?\nbob       0'
    sed -i '/^int main/i\
        void *ann(void *p) { CHECK(close(0)); return p; }\
        void *bob(void *p) { role("bob"); say("%d", close(2)); return p; }
        ' labs/90-planted/planted.c
    include pthread.h
    fails make -s fault-90
    said ' -E CHOSEN=2,'
    said 'exit status 0, but it did not print just what is expected'
}

# Each time another dup() fails, and the lab ends in another way.
@test "fault: it is not enough to name the call, or the reason, or to end" {
    needs_strace
    local ends says lab='' nth=0
    local ways='_exit(1):exit status 1; no message names dup (Too many
perror("open()"); _exit(1):exit status 1; no message names dup (Too many
fputs("dup() failed", stderr); _exit(1):exit status 1; no message names dup
perror("dup()"); _exit(77):exit status 77, as if the kernel lacked something
perror("dup()"); _exit(0):exit status 0, but it did not print just what is
perror("dup()"); dup(0):exit status 0, but it did not print just what
perror("dup()"); usleep(2200000); _exit(1):it took
perror("dup()"); for (;;) pause():it did not end'
    while IFS=: read -r ends says; do
        lab+="if (dup(0) == -1) { $ends; }"
    done <<<"$ways"
    plant "step(\"Who?\"); $lab say(\"done\"); _exit(0);" $'1. Who?\nmain      done'
    TIMEOUT=3 fails make -s fault-90
    said 'not ok - 90 planted: '
    while IFS=: read -r ends says; do
        said "dup:error=EMFILE:when=$((++nth)) build/90-planted"$'\n'"#   $says"
    done <<<"$ways"
}

# A child comes as far, so only the first process is traced, and strace does not
# wait for what that one starts, or kill it.
@test "fault: a process and an abstract name that are left are found" {
    needs_strace
    local child='pid_t child = CHECK(fork());
        if (child == 0) { accept(-1, NULL, NULL); _exit(0); }
        reap(child);'
    plant_server "$child"'int peer = accept(listener, NULL, NULL);
        if (peer == -1) {
            perror("accept()");
            return system("sleep 9 >/dev/null 2>&1 &") + 1;
        }'
    fails make -s fault-90 CALL=accept
    said 'not ok - 90 planted: it left something behind'
    said '90-planted left behind, now removed: process sleep'
    plant_server "$child"'int peer = accept(listener, NULL, NULL);
        if (peer == -1) {
            perror("accept()");
            return system("cd /; exec env -i sleep 4 >/dev/null 2>&1 &") + 1;
        }'
    fails make -s fault-90 CALL=accept
    said 'it left abstract names behind: @lab-'
}

@test "fault: one call, live" {
    needs_strace
    plant_server 'int peer = CHECK(accept(listener, NULL, NULL));' \
        'write(peer, "hello", 5)'
    passes make -s fault-90 CALL=accept ERROR=ENFILE
    said 'strace -f -e inject=accept:error=ENFILE:when=1 build/90-planted'
    said '1. Who is there?'
    said ': main: accept(listener, NULL, NULL) = -1 (ENFILE, Too many open files'
    said 'ok - 90 planted: survived: it said so, exit status 1'
    passes make -s fault-90 CALL=printf
    said 'inject=write:error=EIO:when=1 '
    plant_server 'int peer = CHECK(accept(listener, NULL, NULL));'
    passes make -s fault-90 CALL=write
    said 'inject=write:error=EIO:when=2 '
    plant 'step("Who?");
           for (int i = 0; i < 2; i++) {
               pid_t child = CHECK(fork());
               if (child == 0) { CHECK(chdir(".")); _exit(0); }
               reap(child);
           }' '1. Who?'
    passes make -s fault-90 CALL=chdir
    said 'strace -f -e inject=chdir:error=EACCES:when=1 build/90-planted'
}

@test "fault: what cannot be tried is refused in one line" {
    needs_strace
    plant_server 'int peer = CHECK(accept(listener, NULL, NULL));'
    fails make -s fault-90 CALL=recvmsg
    said "CALL=recvmsg: lab 90 makes no such call that can fail; these can, by \
the kernel's names: accept bind close"
    fails make -s fault-90 CALL='rec*'
    said "CALL=rec*: no function's name"
    for error in EWHAT 24 EMFILE:signal=KILL; do
        fails make -s fault-90 CALL=accept ERROR="$error"
        said "ERROR=$error: no such error; see errno(3)"
    done
    fails make -s fault-90 ERROR=EMFILE
    said 'ERROR=EMFILE: for which call?'
}

@test "shake and fault: without strace refused; where it may not trace, skipped" {
    plant 'step("Who?");' '1. Who?'
    make -s build/90-planted build/chosen.so
    mkdir "$box/bin"
    ln -s /usr/bin/* "$box/bin"
    rm -f "$box/bin/strace"
    for verb in shake fault; do
        PATH=$box/bin fails make -s "$verb-90"
        said "$verb.sh: strace is missing: install the package strace"
        PATH=$box/bin fails make -s "$verb"
        said '0 passed, 1 failed, 0 skipped'
    done
    PATH=$box/bin fails make -s fault-90 CALL=write ERROR=EIO
    said 'fault.sh: strace is missing: install the package strace'
    printf '#!/bin/sh\necho "strace: ptrace: Operation not permitted" >&2
exit 1\n' >"$box/bin/strace"
    chmod +x "$box/bin/strace"
    for verb in shake fault; do
        PATH=$box/bin passes make -s "$verb"
        said 'skipped: 90 planted: strace may not trace here: strace: ptrace: Op'
        said '0 passed, 0 failed, 1 skipped'
    done
}

@test "shake and fault: the path need not be ASCII" {
    needs_strace
    local copy=$box/$'na\303\257ve'
    cp -R . "$copy"
    cd "$copy"
    plant 'step("Who?");' '1. Who?'
    LC_ALL=C passes make -s shake-90 fault-90
}

@test "shake and fault: who ends them early finds nothing left" {
    needs_strace
    local loop='for (int i = 0; i < 99; i++) CHECK(close(CHECK(dup(0))));'
    plant "step(\"Who?\"); $loop" '1. Who?'
    make -s build/90-planted build/chosen.so
    set -m # a process group for each, as a terminal has it
    for verb in shake fault; do
        "scripts/prove/$verb.sh" build/90-planted &
        await compgen -G 'build/work.*/runs/*'
        kill -TERM -- "-$!"
        ! wait "$!" || false
    done # and teardown looks into TMPDIR
}

@test "shake and fault: a lab that is skipped is no pass, a broken one fails" {
    needs_strace
    plant 'fputs("no such sockets in this kernel\n", stderr); return 77;' hello
    for verb in shake fault; do
        passes make -s "$verb"
        said 'skipped: 90 planted: no such sockets in this kernel'
        said '0 passed, 0 failed, 1 skipped'
    done
    plant 'step("Who?"); CHECK(close(-1));' '1. Who?'
    for verb in shake fault; do
        fails make -s "$verb-90"
        said 'not ok - 90 planted: it fails under strace, before anything'
        said 'Bad file descriptor'
    done
    plant 'no such thing' hello
    for verb in shake fault; do
        fails make -s "$verb-90"
        said 'not ok - 90 planted: it does not compile'
    done
}
