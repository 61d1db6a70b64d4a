#!/usr/bin/env bats
# study-trace.bats -- does a trace say who did what, and only what the log tells?

# shellcheck disable=SC2154 # origin, box and output: helper.bash and bats
load helper

# The table of a log that comes in on standard input.
events() {
    awk -f scripts/study/events.awk -f scripts/study/messages.awk
}

# A log of two processes. Nothing in it needs a strace that knows -Y or -yy.
plant_log() {
    cat <<'END'
70 execve("build/90-planted", ["build/90-planted"], 0x7ffd5 /* 9 vars */) = 0
70 write(1</tmp/out>, "1. Who?\n", 8)  = 8
70 socketpair(AF_UNIX, SOCK_STREAM, 0, [3<socket:[81]>, 4<socket:[82]>]) = 0
70 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f0) = 71
71 set_robust_list(0x7f2, 24)           = 0
71 close(3<socket:[81]> <unfinished ...>
70 prctl(PR_SET_NAME, "ann")            = 0
71 <... close resumed>)                 = 0
70 read(3<socket:[81]>,  <unfinished ...>
71 prctl(PR_SET_NAME, "bob")            = 0
71 write(1</tmp/out>, "bob       write(\"hi\") ...\n", 26) = 26
71 write(4<socket:[82]>, "hi", 2 <unfinished ...>
70 <... read resumed> "hi", 64)         = 2
71 <... write resumed> )                = 2
71 exit_group(0)                        = ?
70 wait4(71, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 71
70 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=71} ---
70 read(3<socket:[81]>, 0x7ffe0001, 64) = -1 ECONNRESET (Connection reset by peer)
END
}

@test "roles and ends, from a log of any strace" {
    diff - <(plant_log | events | awk -f scripts/study/trace.awk) <<'END'
1. Who?
    main      socketpair(AF_UNIX, SOCK_STREAM, 0, [3:A1, 4:A2]) = 0
    main      clone() = bob
    bob       close(3:A1) = 0
    ann       read(3:A1, ...
bob       write("hi") ...
    bob       write(4:A2, "hi", 2) = 2
    ann       ... read(3:A1, "hi", 64) = 2
    bob       exit_group(0) = ?
    ann       wait4(bob, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = bob
    ann       read(3:A1, ..., 64) = -1 ECONNRESET
END
}

# A log of what musl calls, and of a process that is killed.
plant_killed() {
    cat <<'END'
70 writev(1</tmp/out>, [{iov_base="1. Who?", iov_len=7}, {iov_base="\n", iov_len=1}], 2) = 8
70 setitimer(ITIMER_REAL, {it_interval={tv_sec=0}}, NULL) = 0
70 fork()                               = 71
71 prctl(PR_SET_NAME, "bob")            = 0
71 writev(1</tmp/out>, [{iov_base="bob       kill(\"me\")", iov_len=19}, {iov_base="\n", iov_len=1}], 2) = 20
70 wait4(71,  <unfinished ...>
71 kill(71, SIGKILL)                    = ?
71 +++ killed by SIGKILL +++
70 <... wait4 resumed>[{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], 0, NULL) = 71
END
}

@test "another C library prints with writev(); and a role is killed" {
    diff - <(plant_killed | events | awk -f scripts/study/trace.awk) <<'END'
1. Who?
    main      fork() = bob
bob       kill("me")
    main      wait4(bob, ...
    bob       kill(bob, SIGKILL) = ?
    bob       +++ killed by SIGKILL +++
    main      ... wait4(bob, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], 0,
                  NULL) = bob
END
}

# A log of a pid namespace in which ann and then bob have the pid 2. Outside they
# are 72 and 73.
plant_namespace() {
    cat <<'END'
70 clone(child_stack=NULL, flags=SIGCHLD) = 71
70 wait4(71,  <unfinished ...>
71 write(1</tmp/out>, "1. Who?\n", 8)  = 8
71 prctl(PR_SET_NAME, "server")         = 0
71 clone(child_stack=NULL, flags=SIGCHLD) = 2 /* 72 in strace's PID NS */
72 prctl(PR_SET_NAME, "ann")            = 0
71 waitid(P_PID, 2 /* 72 in strace's PID NS */,  <unfinished ...>
72 exit_group(0)                        = ?
71 <... waitid resumed>{si_signo=SIGCHLD, si_pid=2 /* 72 in strace's PID NS */}, WEXITED|WNOWAIT, NULL) = 0
71 wait4(2 /* 72 in strace's PID NS */, NULL, 0, NULL) = 2
71 kill(2, 0)                           = -1 ESRCH (No such process)
71 getsockopt(4, SOL_SOCKET, SO_PEERCRED, {pid=2, uid=0, gid=0}, [12]) = 0
71 clone(child_stack=NULL, flags=SIGCHLD) = 2 /* 73 in strace's PID NS */
73 prctl(PR_SET_NAME, "bob")            = 0
71 getsockopt(4, SOL_SOCKET, SO_PEERCRED, {pid=2 /* 73 in strace's PID NS */, uid=0, gid=0}, [12]) = 0
71 kill(2 /* 73 in strace's PID NS */, SIGKILL) = 0
73 +++ killed by SIGKILL +++
71 wait4(2,  <unfinished ...>
71 <... wait4 resumed>NULL, 0, NULL)    = 2
71 exit_group(0)                        = ?
70 <... wait4 resumed>NULL, 0, NULL)    = 71
END
}

@test "in a pid namespace, a role is who has the pid now" {
    diff - <(plant_namespace | events | awk -f scripts/study/trace.awk) <<'END'
1. Who?
    server    clone() = ann
    server    waitid(P_PID, ann, ...
    ann       exit_group(0) = ?
    server    ... waitid(P_PID, ann, {si_signo=SIGCHLD, si_pid=ann}, WEXITED|
                  WNOWAIT, NULL) = 0
    server    wait4(ann, NULL, 0, NULL) = ann
    server    kill(ann, 0) = -1 ESRCH
    server    getsockopt(4, SOL_SOCKET, SO_PEERCRED, {pid=ann, uid=0, gid=0},
                  [12]) = 0
    server    clone() = bob
    server    getsockopt(4, SOL_SOCKET, SO_PEERCRED, {pid=bob, uid=0, gid=0},
                  [12]) = 0
    server    kill(bob, SIGKILL) = 0
    bob       +++ killed by SIGKILL +++
    server    wait4(bob, NULL, 0, NULL) = bob
    server    exit_group(0) = ?
END
}

# Two clients of one server: 71 is connected after 72 was, or meanwhile ($1).
plant_accepts() {
    cat <<'END'
70 write(1</tmp/out>, "1. Who?\n", 8)  = 8
70 socket(AF_UNIX, SOCK_STREAM, 0)      = 3<socket:[80]>
70 bind(3<socket:[80]>, {sa_family=AF_UNIX, sun_path="s"}, 110) = 0
71 socket(AF_UNIX, SOCK_STREAM, 0)      = 3<socket:[81]>
72 socket(AF_UNIX, SOCK_STREAM, 0)      = 3<socket:[82]>
72 connect(3<socket:[82]>, {sa_family=AF_UNIX, sun_path="s"}, 110 <unfinished ...>
END
    [[ $1 != after ]] || echo '72 <... connect resumed>) = 0'
    echo '71 connect(3<socket:[81]>, {sa_family=AF_UNIX, sun_path="s"}, 110) = 0'
    [[ $1 == after ]] || echo '72 <... connect resumed>) = 0'
    cat <<'END'
70 accept(3<socket:[80]>, NULL, NULL)   = 4<socket:[83]>
70 accept(3<socket:[80]>, NULL, NULL)   = 5<socket:[84]>
END
}

@test "who is accepted: the first; and if the log does not tell, nobody" {
    plant_accepts after | events >table
    grep -q $'accept(3:A, NULL, NULL) = 4:C2$' table
    grep -q $'accept(3:A, NULL, NULL) = 5:B2$' table
    plant_accepts meanwhile | events >table
    grep -q $'accept(3:A, NULL, NULL) = 4:D$' table
    grep -q $'accept(3:A, NULL, NULL) = 5:E$' table
}

@test "what is long is cut, and goes on in the next line" {
    local text
    text=$(printf '\\0%.0s' {1..200})
    {
        printf '%s\n' '70 write(1</tmp/out>, "1. Who?\n", 8) = 8'
        for i in {1..30}; do
            echo "70 sendto(3<socket:[8$i]>, \"$text\"..., 900, MSG_DONTWAIT," \
                "{sa_family=AF_UNIX, sun_path=\"a-long-name.sock\"}, 110) = 900"
        done
        echo '70 dup(3<socket:[81]>) = 4<socket:[81]>'
        echo '70 dup(3<socket:[81]>) = 4<socket:[81]>'
    } | events | awk -f scripts/study/trace.awk >"$box/shown"
    fails grep -E '.{81}' "$box/shown"
    grep -q 'dup(3:A) = 4:A   (2 times)' "$box/shown"
    grep -q 'sendto(3:AD, "' "$box/shown"
}

# What comes in on standard input, without the figures that nobody judges.
masked() {
    sed -E -f scripts/mask.sed
}

# Lab 90 is the real lab $1.
use_lab() {
    mkdir -p labs/90-planted
    cp "$origin/labs/$1-"*/*.c labs/90-planted/planted.c
    cp "$origin/expected/$1-"*.txt expected/90-planted.txt
}

@test "at the margin stands what the lab prints, and no number of a process" {
    needs_strace
    for lab in 01 05 12; do
        use_lab "$lab"
        passes make -s trace-90
        diff <(masked <expected/90-planted.txt) \
            <(grep -v '^  ' <<<"$output" | masked)
        fails grep -E '.{81}|socket:|[^0-9"][0-9]{5}|0x|/tmp' <<<"$output"
    done
}

@test "a student sees who waits, and on which end" {
    needs_strace
    use_lab 01
    STEP=3 passes make -s trace-90
    [[ $output == '3. When does'* ]]
    said $'child     exit ...\n    child     exit_group(0) = ?\n'
    said '    parent    recvfrom(3:C1, ..., 1, MSG_DONTWAIT, NULL, NULL) = -1 EAGAIN'
    said $'parent    close(sv[1]) ...\n    parent    close(4:C2) = 0\n'
}

@test "an unknown lab, or step, is refused in one line" {
    needs_strace
    plant 'step("Who?"); say("hello"); step("And now?"); say("hello");' hello
    fails make -s trace-99
    said 'there is no lab 99; the labs are: 90'
    make -s build/90-planted
    STEP=x yields 2 scripts/study/trace.sh build/90-planted
    said "trace.sh: STEP=x: want a step's number"
    STEP=3 yields 2 scripts/study/trace.sh build/90-planted
    [[ $output == 'trace.sh: STEP=3: lab 90 has no such step; there are: 1 2' ]]
    yields 2 scripts/study/trace.sh
    said 'usage: [STEP=3] scripts/study/trace.sh PROGRAM'
}

@test "without strace, or where it may not trace: one line, and no success" {
    sketch 'echo "1. Who?"'
    mkdir "$box/bin"
    ln -s /usr/bin/* "$box/bin"
    rm -f "$box/bin/strace"
    PATH=$box/bin yields 1 scripts/study/trace.sh build/90-planted
    [[ $output == 'trace.sh: strace is missing: install the package strace' ]]
    printf '#!/bin/sh\necho "strace: ptrace: Operation not permitted" >&2
exit 1\n' >"$box/bin/strace"
    chmod +x "$box/bin/strace"
    PATH=$box/bin yields 1 scripts/study/trace.sh build/90-planted
    [[ $output == 'trace.sh: strace may not trace here: strace: ptrace: Op'* ]]
    [[ $output != *$'\n'* && -z $(ls -d build/work.* 2>/dev/null) ]]
}

@test "a lab that fails is shown as far as it came; one that is skipped is not" {
    needs_strace
    plant 'step("Who?"); CHECK(close(CHECK(dup(0)))); CHECK(close(-1));' hello
    fails make -s trace-90
    said '    main      close(-1) = -1 EBADF'
    said 'main: close(-1) = -1 (EBADF, Bad file descriptor)'
    said 'not ok - 90 planted: it did not end well, but with status 1'
    plant 'skip("no such sockets in this kernel");' hello
    passes make -s trace-90
    [[ $output == 'skipped - 90 planted: no such sockets in this kernel' ]]
    plant 'return 3;' hello
    fails make -s trace-90
    said 'not ok - 90 planted: it did not come to its first step'
    plant 'no such thing' hello
    fails make -s trace-90
    said 'not ok - 90 planted: it does not compile'
    [[ -z $(ls -d build/work.* 2>/dev/null) ]]
}

@test "the path need not be ASCII, and who ends it early finds nothing left" {
    needs_strace
    local copy=$box/$'na\303\257ve (it\'s)'
    cp -R . "$copy"
    cd "$copy"
    plant 'step("Who?"); CHECK(pause());' '1. Who?'
    make -s build/90-planted
    set -m # a process group, as a terminal has it
    scripts/study/trace.sh build/90-planted &
    await compgen -G 'build/work.*/build/90-planted.log'
    kill -TERM -- "-$!"
    ! wait "$!" || false
    [[ -z $(ls -d build/work.* 2>/dev/null) ]]
}
