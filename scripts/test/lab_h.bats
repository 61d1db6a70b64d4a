#!/usr/bin/env bats
# lab_h.bats -- does common/lab.h do what a lab relies on?

# shellcheck disable=SC2154 # box, output and status are set elsewhere
load helper

# A child that goes on speaking, and a first process that says nothing.
plant_talkers() {
    plant 'step("Who goes on speaking?");
           if (CHECK(fork()) == 0) {
               role("child");
               for (;;) { say("here"); usleep(1000); }
           }
           for (;;) pause();' '1. Who goes on speaking?'
}

# No process of the planted lab is left.
none_left() {
    ! grep -qs "$box/the suite/build/90-planted" /proc/[0-9]*/cmdline
}

# Builds the lab and runs it as it is, in an empty directory, with the command
# that follows before it.
by_hand() {
    make -s build/90-planted
    mkdir -p "$box/empty"
    (cd "$box/empty" && "$@" "$box/the suite/build/90-planted")
}

# Starts the lab with the command $1 and reads three lines of it. It has to end
# in less than two seconds then, and to leave no process.
leave_early() {
    local took
    passes timeout 20 bash -c "$1 | { head -n 3; date +%s%N >'$box/left'; }"
    took=$((($(date +%s%N) - $(<"$box/left")) / 1000000))
    said $'1. Who goes on speaking?\nchild     here\nchild     here'
    ((took < 2000)) || {
        echo "it took $took ms to end"
        return 1
    }
    await none_left
}

@test "a pager that was left ends the lab at once, also from a child" {
    plant_talkers
    make -s build/90-planted
    leave_early 'make -s lab-90'
    leave_early 'build/90-planted 2>err'
    passes cat err
    said 'SIGPIPE ended the lab: it wrote to what is closed'
}

@test "whoever starts the lab may have SIGCHLD ignored" {
    env --ignore-signal=CHLD true 2>/dev/null ||
        skip 'env(1) cannot ignore a signal'
    plant 'step("Who?"); pid_t child = CHECK(fork());
           if (child == 0) _exit(0);
           reap(child); say("reaped");' '1. Who?'
    passes by_hand env --ignore-signal=CHLD
    said 'main      reaped'
}

@test "an error has its place, its step, its role, its name and its text" {
    plant 'step("Who?"); step("And now?"); role("ann"); CHECK(close(-1));' ''
    yields 1 by_hand env
    said 'planted.c:10: step 2: ann: close(-1) = -1 (EBADF, Bad file descriptor)'
    plant 'step("Who?"); CHECK_PTHREAD(EAGAIN);' ''
    yields 1 by_hand env
    said 'step 1: main: EAGAIN = -1 (EAGAIN, Resource temporarily unavailable)'
}

@test "where the lab cannot print, the place is the step" {
    plant 'step("Who?"); say("hello");' ''
    make -s build/90-planted
    yields 1 bash -c 'build/90-planted >/dev/full'
    [[ $output == 'step 1: main: printf() = -1 (ENOSPC, No space left on device)' ]]
}

@test "RESULT is a number, or the error that is allowed, or the end" {
    plant 'step("What?");
           say("%s", RESULT(dup2(0, 9), EBADF));
           say("%s", RESULT(close(-1), EBADF));
           say("%s", RESULT(close(-1), EINTR));
           say("too far");' ''
    yields 1 by_hand env
    said $'1. What?\nmain      9\nmain      -1 EBADF\n'
    said 'step 1: main: close(-1) = -1 (EBADF, Bad file descriptor)'
    [[ $output != *'too far'* ]]
}

@test "the watchdog ends a step that hangs, and says so" {
    plant 'step("And now?"); raise(SIGALRM);' hello
    fails make -s check-90
    said 'the watchdog ended the lab'
}

@test "a call that fails in a child ends the lab at once, and says where" {
    plant 'step("Who waits for whom?");
           if (fork() == 0) { role("client"); CHECK(close(-1)); }
           for (;;) pause();' hello
    fails make -s check-90
    said 'planted.c:'
    said 'step 1: client: close(-1) = -1 (EBADF, Bad file descriptor)'
    said 'not ok - 90 planted: exit status 1'
}

@test "a call that fails in the first process ends its children" {
    plant 'step("Who waits for whom?");
           int ready[2]; char byte;
           CHECK(pipe(ready));
           if (fork() == 0) {
               role("server");
               close(ready[1]);
               for (;;) pause();
           }
           close(ready[1]);
           CHECK(read(ready[0], &byte, 1));
           CHECK(close(-1));' hello
    fails make -s check-90
    said 'step 1: main: close(-1) = -1 (EBADF, Bad file descriptor)'
    [[ $output != *'process server'* ]]
}

@test "reap insists that the child succeeded" {
    plant 'step("Who?"); pid_t child = CHECK(fork());
           if (child == 0) { raise(SIGKILL); }
           role("parent"); reap(child); say("too far");' ''
    yields 1 by_hand env
    said 'step 1: parent: a child was killed: Killed'
    [[ $output != *'too far'* ]]
    plant 'step("Who?"); pid_t child = CHECK(fork());
           if (child == 0) _exit(3);
           reap(child); say("too far");' ''
    yields 1 by_hand env
    [[ $output != *'too far'* ]]
}

@test "a child does not outlive the first process" {
    plant 'step("Who?");
           int ready[2]; char byte;
           CHECK(pipe(ready));
           if (CHECK(fork()) == 0) {
               role("child");
               CHECK(write(ready[1], "", 1));
               for (;;) pause();
           }
           CHECK(read(ready[0], &byte, 1));
           _exit(0);' ''
    passes by_hand env
    await none_left
}

@test "the figures of a line that was measured are not judged, its words are" {
    plant 'step("How long?"); say_measured("%d.5 us", getpid());' \
        $'1. How long?\n~main     # us'
    passes make -s check-90
    passes by_hand env
    [[ $output =~ ~main\ \ \ \ \ [0-9]+\.5\ us ]]
    plant 'step("How long?"); say_measured("%d.5 ms", getpid());' \
        $'1. How long?\n~main     # us'
    fails make -s check-90
    said '+~main     # ms'
    plant 'step("How many?"); say("%d", getpid());' $'1. How many?\nmain      #'
    fails make -s check-90
}

@test "skip says why, and is no failure" {
    plant 'skip("this kernel lacks something"); step("Never?");' '1. Never?'
    yields 77 by_hand env
    [[ $output == 'this kernel lacks something' ]]
    passes make -s check-90
    said 'this kernel lacks something'
    said '0 passed, 0 failed, 1 skipped'
}

@test "need_proc skips the lab where there is no /proc" {
    hidden=(unshare --mount sh -c 'mount -t tmpfs none /proc && exec "$@"' sh)
    "${hidden[@]}" true 2>/dev/null || skip 'only root may hide /proc'
    plant 'need_proc(); step("Who?");' '1. Who?'
    passes by_hand env
    yields 77 by_hand "${hidden[@]}"
    said 'this lab reads /proc: mount -t proc proc /proc'
}

@test "need_own_directory skips the lab where it may not make files" {
    plant 'as_ordinary_user(); need_own_directory(); step("Who?");' '1. Who?'
    passes by_hand env
    mkdir -m 555 "$box/shut"
    # shellcheck disable=SC2016 # it is expanded by the shell that it starts
    yields 77 bash -c 'cd "$1" && exec "$2"' sh "$box/shut" \
        "$box/the suite/build/90-planted"
    said 'this lab makes files here: run it in a directory of your own'
}

@test "as_ordinary_user: permissions hold for root, too" {
    plant 'step("Who may read?");
           CHECK(close(CHECK(open("file", O_CREAT | O_WRONLY, 0000))));
           if (geteuid() == 0) {
               int file = CHECK(open("file", O_RDONLY));
               say("%d", file > 2);
               CHECK(close(file));
               CHECK(chown("file", 65534, 65534));
           }
           as_ordinary_user();
           say("%s", RESULT(open("file", O_RDONLY), EACCES));
           CHECK(unlink("file"));' ''
    passes by_hand env
    said 'main      -1 EACCES'
}

@test "a descriptor that a step leaves open is found, and its step named" {
    plant 'step("What is left?"); say("one = 1");
           CHECK(dup(0)); int two = CHECK(dup(0));
           step("And now?"); CHECK(close(two)); say("two = 2");
           step("And at the end?"); CHECK(dup(0)); say("three = 3");' \
        $'1. What is left?\nmain      one = 1\n
2. And now?\nmain      two = 2\n\n3. And at the end?\nmain      three = 3'
    yields 1 by_hand env
    said $'step 1: it leaves descriptors open: 2\n'
    [[ $output != *'step 2:'* ]]
    said 'step 3: it leaves descriptors open: 1'
    said 'main      three = 3'
    fails make -s check-90
    said 'not ok - 90 planted: exit status 1'
}

@test "a child that a step does not wait for is found, and its step named" {
    plant 'step("Who?"); pid_t child = CHECK(fork());
           if (child == 0) _exit(0);
           step("And now?"); reap(child);
           step("And at the end?"); CHECK(fork());' ''
    yields 1 by_hand env
    said 'step 1: it does not wait for a child'
    [[ $output != *'step 2:'* ]]
    said 'step 3: it does not wait for a child'
}

@test "a child of whoever has started the lab is none of the lab's" {
    plant 'step("Who?"); say("one = 1"); step("And now?");' \
        $'1. Who?\nmain      one = 1\n\n2. And now?'
    make -s build/90-planted
    passes bash -c 'sleep 1 & exec build/90-planted'
    [[ $output != *wait* ]]
    passes bash -c 'ulimit -n 50; exec build/90-planted'
}

@test "what the lab was started with, and what a child leaves, is no leak" {
    plant 'int fd = CHECK(dup(0)); step("Who?"); pid_t child = CHECK(fork());
           if (child == 0) { CHECK(dup(0)); exit(0); }
           reap(child); CHECK(close(fd)); step("And now?");' ''
    passes by_hand env
    [[ $output != *step* ]]
}

@test "with LAB_PAUSE=1 and a terminal, a step waits for Enter" {
    plant 'step("First?"); say("evidence"); step("Second?");' hello
    {
        await grep -q First "$box/screen"
        sleep 0.2 # time for what must not happen
        cp "$box/screen" "$box/before"
        printf '\n'
        await grep -q Second "$box/screen"
        printf '\n'
    } | LAB_PAUSE=1 on_terminal make -s lab-90 || true
    fails grep evidence "$box/before"
    passes grep evidence "$box/screen"
}

@test "with LAB_PAUSE=1 and no terminal, nothing waits" {
    plant 'step("First?"); say("evidence");' $'1. First?\nmain      evidence'
    mkfifo "$box/silence"
    LAB_PAUSE=1 passes timeout 5 make -s lab-90 <>"$box/silence"
    LAB_PAUSE=1 passes make -s check-90
    LAB_PAUSE=1 passes timeout 5 build/90-planted <>"$box/silence"
}

@test "LAB_PAUSE=line on a terminal: each process waits after each line" {
    plant 'step("Who waits?");
           pid_t child = CHECK(fork());
           if (child == 0) {
               role("child"); say("c1"); say("c2"); _exit(0);
           }
           reap(child);
           say("m1"); say("m2");' ''
    local shown=()
    {
        for line in 'Who waits' c1 c2 m1 m2; do
            await grep -q "$line" "$box/screen"
            sleep 0.2 # time for what must not happen
            cp "$box/screen" "$box/after $line"
            printf '\n'
        done
    } | LAB_PAUSE=line on_terminal make -s lab-90 || true
    for line in 'Who waits' c1 c2 m1 m2; do
        passes grep -q "$line" "$box/after $line"
        shown+=("$(grep -cE 'Who waits|c1|c2|m1|m2' "$box/after $line")")
    done
    [[ ${shown[*]} == '1 2 3 4 5' ]]
}

@test "LAB_PAUSE=line without a terminal: nothing waits" {
    plant 'step("Who waits?"); say("m1");' $'1. Who waits?\nmain      m1'
    mkfifo "$box/silence"
    LAB_PAUSE=line passes timeout 5 make -s lab-90 <>"$box/silence"
    LAB_PAUSE=line passes make -s check-90
}
