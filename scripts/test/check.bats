#!/usr/bin/env bats
# check.bats -- what the scripts say of a program with a planted fault

# shellcheck disable=SC2154 # box is set by helper.bash
load helper

@test "as expected: 0" {
    sketch 'echo hello'
    yields 0 scripts/check.sh build/90-planted
    [[ $output == $'1..1\nok - 90 planted' ]]
}

@test "another output, or an unfinished last line: 1, and a diff" {
    sketch 'echo good-bye'
    yields 1 scripts/check.sh build/90-planted
    said 'not ok - 90 planted: it differs from expected/90-planted.txt'
    said '+good-bye'
    sketch 'printf hello'
    yields 1 scripts/check.sh build/90-planted
    said 'No newline at end of file'
}

@test "exit status 3, although the output is right: 1" {
    sketch 'echo hello; exit 3'
    yields 1 scripts/check.sh build/90-planted
    said 'not ok - 90 planted: exit status 3'
    yields 3 scripts/run.sh build/90-planted
    sketch 'echo hello; exit 255'
    yields 1 scripts/check.sh build/90-planted
    said 'not ok - 90 planted: exit status 255'
}

@test "something on standard error, although the output is right: 1" {
    sketch 'echo hello; echo oops >&2'
    yields 1 scripts/check.sh build/90-planted
    said 'not ok - 90 planted: it printed on standard error'
    said '# oops'
}

@test "ended by a signal: 1, no diff of what did not come any more, and the step" {
    sketch 'printf "1. Who?\nhello\n"; kill -SEGV $$'
    printf '1. Who?\nhello\n\n2. And then?\nagain\n' >expected/90-planted.txt
    yields 1 scripts/check.sh build/90-planted
    said 'not ok - 90 planted: ended by SIGSEGV'
    said "'make lab-90' shows how far it came"
    [[ $output != *again* && $output != *-hello* && $output != *'line '* ]]
    said $'# It came as far as this:\n# 1. Who?\n# hello'
    sed -i 's/hello/good-bye/' build/90-planted
    yields 1 scripts/check.sh build/90-planted
    said $'# -hello\n# +good-bye'
    [[ $output != *again* ]]
}

@test "all lines came, and it did not end well: no step is shown" {
    sketch 'echo hello; echo "step 1: it leaves descriptors open: 1" >&2; exit 1'
    yields 1 scripts/check.sh build/90-planted
    said '# step 1: it leaves descriptors open: 1'
    said '# All lines came, as expected.'
    [[ $output != *hello* ]]
}

@test "skipped: 77, with the reason" {
    sketch 'echo "no such sockets in this kernel" >&2; exit 77'
    yields 77 scripts/check.sh build/90-planted
    [[ $output == '1..0 # SKIP 90 planted: no such sockets in this kernel' ]]
}

@test "a program that hangs: 124, also if it will not listen to SIGTERM" {
    sketch 'exec sleep 60'
    TIMEOUT=0.3 yields 124 scripts/check.sh build/90-planted
    said 'not ok - 90 planted: the time was up'
    said 'not done after 0.3 s'
    sketch 'trap "" TERM; while :; do sleep 0.1; done'
    TIMEOUT=0.1 yields 124 scripts/check.sh build/90-planted
}

@test "a program that says 124 by itself was not too slow" {
    sketch 'echo hello; exit 124'
    TIMEOUT=5 yields 124 scripts/run.sh build/90-planted
    [[ $output == hello ]]
}

@test "a program that prints for ever does not fill the disk" {
    sketch 'exec yes hello'
    yields 1 scripts/check.sh build/90-planted
    said 'ended by SIGXFSZ'
}

@test "a process that is left is ended and named: 1" {
    for how in 'sleep 60' 'setsid sleep 60' 'env -i sleep 60'; do
        # it may not be sleep yet, when its parent is gone already
        sketch "echo hello; $how >/dev/null 2>&1 &"
        yields 1 scripts/check.sh build/90-planted
        said 'left behind, now removed: process'
        yields 1 scripts/run.sh build/90-planted
    done
    sketch 'echo hello; cd /; setsid sleep 60 >/dev/null 2>&1 &'
    yields 1 scripts/check.sh build/90-planted
    said 'left behind, now removed: process'
}

@test "a file that is left is removed and named: 1" {
    sketch 'echo hello; : >server.sock'
    yields 1 scripts/check.sh build/90-planted
    said 'left behind, now removed: file server.sock'
}

@test "a directory that is left locked is removed" {
    sketch 'mkdir door; : >door/knob; chmod 0 door; exit 1'
    user=()
    ((EUID != 0)) || user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod -R go+rwX "$box"
    yields 1 "${user[@]}" scripts/check.sh build/90-planted
    [[ $output != *'Permission denied'* ]] # and teardown looks into TMPDIR
}

@test "a program that was not built: 1" {
    yields 1 scripts/check.sh build/90-planted
    said 'not ok - 90 planted: it does not compile'
}

@test "standard input may be closed" {
    sketch 'echo hello; cat'
    passes scripts/check.sh --live build/90-planted <&-
}

@test "a check that says nothing, or less than it announced, is a failure" {
    sketch 'echo hello'
    printf '%s\n' '#!/bin/sh' 'exit 0' >scripts/check.sh
    yields 1 scripts/judge.sh check/90-planted
    said '0 passed, 1 failed, 0 skipped'
    printf '%s\n' '#!/bin/sh' 'echo 1..3' 'echo ok - one' \
        'echo "ok - two # SKIP no strace"' >scripts/check.sh
    yields 1 scripts/judge.sh check/90-planted
    said '1 passed, 1 failed, 1 skipped'
    sed -i s/1..3/1..2/ scripts/check.sh
    yields 0 scripts/judge.sh check/90-planted
    said '1 passed, 0 failed, 1 skipped'
    yields 2 scripts/judge.sh --one what/90-planted
    said 'what/90-planted: no such kind of check'
}

@test "what is said of a lab is TAP, as prove(1) reads it" {
    sketch 'echo hello'
    scripts/check.sh build/90-planted >"$box/good"
    sketch 'echo good-bye'
    scripts/check.sh build/90-planted >"$box/bad" || true
    sketch 'echo "no such sockets" >&2; exit 77'
    scripts/check.sh build/90-planted >"$box/skipped" || true
    passes prove -e cat "$box/good" "$box/skipped"
    said 'skipped: 90 planted: no such sockets'
    fails prove --parse -e cat "$box/bad"
    [[ $output == *'Failed 1/1'* && $output != *'Parse error'* ]]
}

@test "a figure of a line that begins with ~ is not judged, its words are" {
    # What it prints is in a file, because sketch sets what is expected, too.
    sketch "cat '$box/said'"
    printf '%s\n' '~hello # bytes: # us' 'hello 7' >expected/90-planted.txt
    for figures in '9 bytes: 12.25' '8 bytes: 3' '10 bytes: 0.5'; do
        printf '~hello %s us\nhello 7\n' "$figures" >"$box/said"
        passes scripts/check.sh build/90-planted
    done
    printf '~hello 8 bytes: 3 ms\nhello 8\n' >"$box/said"
    yields 1 scripts/check.sh build/90-planted
    said '+~hello # bytes: # ms'
    said '+hello 8'
    sketch 'date "+~%N"; echo hello 7'
    passes scripts/accept.sh build/90-planted
    printf '~#\nhello 7\n' | diff - expected/90-planted.txt
}

@test "a diff shows whole steps, and no others" {
    printf '1. Who?\na\nb\n\n2. Why?\nc\nd\n\n3. How?\ne\n' >"$box/said"
    sketch "cat '$box/said'"
    cp "$box/said" expected/90-planted.txt
    passes scripts/check.sh build/90-planted
    sed -i s/d/x/ "$box/said"
    yields 1 scripts/check.sh build/90-planted
    said $'#  2. Why?\n#  c\n# -d\n# +x\n'
    [[ $output != *Who* && $output != *How* ]]
}

@test "STEP=2 shows one step, and judges all" {
    printf '1. Who?\na\n\n2. Why?\nc\n\n3. How?\ne\n' >"$box/said"
    sketch "cat '$box/said'"
    cp "$box/said" expected/90-planted.txt
    STEP=2 passes scripts/check.sh --live build/90-planted
    said $'2. Why?\nc\n'
    [[ $output != *Who* && $output != *How* ]]
    said $'ok - 90 planted (all steps were compared)\nnext: labs/90-planted/README.md, and make predict-90'
    mkdir -p work/90-planted
    touch work/90-planted/prediction.txt
    STEP=2 passes scripts/check.sh --live build/90-planted
    said 'next: labs/90-planted/answers.md, paragraph 2'
    sed -i s/e/x/ "$box/said"
    STEP=2 yields 1 scripts/check.sh --live build/90-planted
    STEP=4 yields 2 scripts/check.sh --live build/90-planted
    said 'STEP=4: lab 90 has no such step; there are: 1 2 3'
    STEP=two yields 2 scripts/check.sh --live build/90-planted
    STEP=2 LAB_PAUSE=1 yields 2 scripts/check.sh --live build/90-planted
    LAB_PAUSE=yes yields 2 scripts/check.sh --live build/90-planted
    said 'LAB_PAUSE=yes: want 1 (after each question) or line'
}

@test "a TMPDIR that is relative, or has a bracket in its name" {
    mkdir "$TMPDIR/a[b"
    sketch 'echo hello; sleep 60 >/dev/null 2>&1 &'
    TMPDIR=$TMPDIR/a[b yields 1 scripts/check.sh build/90-planted
    said 'left behind, now removed: process'
    rmdir "$TMPDIR/a[b"
    mkdir here
    sketch 'echo hello'
    TMPDIR=here passes scripts/check.sh build/90-planted
    sketch 'echo hello; sleep 60 >/dev/null 2>&1 &'
    TMPDIR=here yields 1 scripts/check.sh build/90-planted
    said 'left behind, now removed: process'
}

@test "under load, one differing run among many is found" {
    sketch 'if [ -e ../once ]; then echo hello; else echo hullo; fi; : >../once'
    RUNS=2 yields 1 scripts/prove/load.sh build/90-planted
    rm "$TMPDIR/once"
    said 'not ok - 90 planted: 1 of 2 runs under load'
    said '+hullo'
    sketch 'exit 77'
    RUNS=1 yields 0 scripts/prove/load.sh build/90-planted
    said '# SKIP'
}

@test "wrong usage of a script is one line, and status 2" {
    for script in run check judge accept prove/{load,as-user,lint}; do
        yields 2 "scripts/$script.sh"
        [[ $output == *"usage: "*"scripts/$script.sh"* ]]
        [[ $output != *$'\n'* ]]
    done
    yields 2 scripts/check.sh build/planted
    TIMEOUT=08 yields 0 scripts/run.sh /bin/true
    TIMEOUT=soon yields 2 scripts/run.sh /bin/true
    said 'TIMEOUT=soon'
    RUNS=many yields 2 scripts/prove/load.sh build/90-planted
    said 'RUNS'
    TMPDIR=/nowhere yields 2 scripts/run.sh /bin/true
    said 'cannot make a directory in /nowhere: set TMPDIR'
}

@test "a check that fails after its last line is a failure" {
    mkdir -p build
    printf '#!/bin/sh\necho 1..1\necho ok - pretended\nexit 3\n' >scripts/check.sh
    fails scripts/judge.sh check/90-planted
    said 'Result: FAIL'
}

@test "a process that has hidden from /proc is noticed" {
    sketch 'echo hello; cd /; setsid env -i sleep 4 >/dev/null 2>&1 &'
    yields 1 scripts/check.sh build/90-planted
    said 'left a process behind that nobody finds'
}
