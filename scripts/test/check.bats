#!/usr/bin/env bats
# check.bats -- what the scripts say of a program with a planted fault

# shellcheck disable=SC2154 # box is set by helper.bash
load helper

@test "as expected: 0" {
    sketch 'echo hello'
    yields 0 scripts/check.sh build/90-planted
    [[ $output == 'ok 90 - planted' ]]
}

@test "another output, or an unfinished last line: 1, and a diff" {
    sketch 'echo good-bye'
    yields 1 scripts/check.sh build/90-planted
    said 'not ok 90 - planted: it differs from expected/90-planted.txt'
    said '+good-bye'
    sketch 'printf hello'
    yields 1 scripts/check.sh build/90-planted
    said 'No newline at end of file'
}

@test "exit status 3, although the output is right: 1" {
    sketch 'echo hello; exit 3'
    yields 1 scripts/check.sh build/90-planted
    said 'not ok 90 - planted: exit status 3'
    yields 3 scripts/run.sh build/90-planted
    sketch 'echo hello; exit 255'
    yields 1 scripts/check.sh build/90-planted
    said 'not ok 90 - planted: exit status 255'
}

@test "something on standard error, although the output is right: 1" {
    sketch 'echo hello; echo oops >&2'
    yields 1 scripts/check.sh build/90-planted
    said 'not ok 90 - planted: it printed on standard error'
    said '# oops'
}

@test "ended by a signal: 1, and no diff of what did not come any more" {
    printf 'hello\nagain\n' >expected/90-planted.txt
    sketch 'echo hello; kill -SEGV $$'
    yields 1 scripts/check.sh build/90-planted
    said 'not ok 90 - planted: ended by SIGSEGV'
    said "'make lab-90' shows how far it came"
    [[ $output != *again* && $output != *hello* && $output != *'line '* ]]
    sketch 'echo good-bye; kill -SEGV $$'
    yields 1 scripts/check.sh build/90-planted
    said $'-hello\n+good-bye'
    [[ $output != *again* ]]
}

@test "skipped: 77, with the reason" {
    sketch 'echo "no such sockets in this kernel" >&2; exit 77'
    yields 77 scripts/check.sh build/90-planted
    [[ $output == 'ok 90 - planted # SKIP no such sockets in this kernel' ]]
}

@test "a program that hangs: 124, also if it will not listen to SIGTERM" {
    sketch 'exec sleep 60'
    TIMEOUT=0.3 yields 124 scripts/check.sh build/90-planted
    said 'not ok 90 - planted: the time was up'
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
    said 'not ok 90 - planted: it does not compile'
}

@test "standard input may be closed" {
    sketch 'echo hello; cat'
    passes scripts/check.sh --live build/90-planted <&-
}

@test "a check that says nothing, or less than it announced, is a failure" {
    : >"$box/nothing.tap"
    printf '1..3\nok 1 first\nok 2 second\n' >"$box/short.tap"
    printf 'ok 1 - one\nok 2 - two # SKIP no strace\n' >"$box/good.tap"
    yields 1 scripts/tally.sh "$box/nothing.tap" "$box/good.tap"
    said '1 passed, 1 failed, 1 skipped'
    yields 1 scripts/tally.sh "$box/short.tap" "$box/good.tap"
    said '3 passed, 1 failed, 1 skipped'
    yields 0 scripts/tally.sh "$box/good.tap"
    said '1 passed, 0 failed, 1 skipped'
}

@test "under load, one differing run among many is found" {
    sketch 'if [ -e ../once ]; then echo hello; else echo hullo; fi; : >../once'
    RUNS=2 yields 1 scripts/load.sh build/90-planted
    rm "$TMPDIR/once"
    said 'not ok 90 - planted: 1 of 2 runs under load'
    said '+hullo'
    sketch 'exit 77'
    RUNS=1 yields 0 scripts/load.sh build/90-planted
    said '# SKIP'
}

@test "wrong usage of a script is one line, and status 2" {
    for script in run check tally tap accept load as-user; do
        yields 2 "scripts/$script.sh"
        [[ $output == *"usage: "*"scripts/$script.sh"* ]]
        [[ $output != *$'\n'* ]]
    done
    yields 2 scripts/check.sh build/planted
    TIMEOUT=soon yields 2 scripts/run.sh /bin/true
    said 'TIMEOUT=soon'
    RUNS=many yields 2 scripts/load.sh build/90-planted
    said 'RUNS'
    TMPDIR=/nowhere yields 2 scripts/run.sh /bin/true
    said 'cannot make a directory in /nowhere: set TMPDIR'
}
