#!/usr/bin/env bats
# verbs.bats -- what make says of a lab with a planted fault

# shellcheck disable=SC2154 # box is set by helper.bash
load helper

@test "a lab that prints what is expected passes" {
    plant 'puts("hello");' hello
    passes make -s check-90
    said 'check/90-planted .. ok'
    said '1 passed, 0 failed, 0 skipped'
}

@test "a lab that prints something else fails, with a diff and a hint" {
    plant 'puts("good-bye");' hello
    fails make -s check-90
    said 'not ok - 90 planted: it differs from expected/90-planted.txt'
    said '--- expected/90-planted.txt'
    said '+++ yours'
    said '-hello'
    said '+good-bye'
    said "next: 'git checkout labs/90-planted' undoes a change; README.md,"
    said '0 passed, 1 failed, 0 skipped'
}

@test "a lab that crashes fails" {
    plant 'puts("hello"); fflush(stdout); raise(SIGSEGV);' hello
    fails make -s check-90
    said 'not ok - 90 planted: ended by SIGSEGV'
    said '0 passed, 1 failed'
}

@test "a lab without an expected output fails, and accept makes one" {
    plant 'puts("hello");' hello
    rm expected/90-planted.txt
    fails make -s check-90
    said 'there is no expected/90-planted.txt'
    said 'make accept-90'
    passes make -s accept-90
    said '+hello'
    passes make -s check-90
}

@test "accept refuses when two runs differ, or the lab fails" {
    plant 'printf("%d\n", getpid());' hello
    fails make -s accept-90
    said 'two runs differ; nothing was changed'
    plant 'puts("hi"); return 3;' hello
    fails make -s accept-90
    said 'nothing was changed'
    [[ "$(cat expected/90-planted.txt)" = hello ]]
}

@test "a lab that does not compile fails, and the others are still judged" {
    plant 'no such thing' hello
    plant 'puts("hi");' hi 91-other
    printf '#!/bin/sh\necho 1..1\necho ok 1 - pretended\n' >"$box/bats"
    chmod +x "$box/bats"
    PATH=$box:$PATH fails make -s check
    said 'not ok - 90 planted: it does not compile'
    [[ $output =~ check/91-other\ \.+\ ok ]]
    said 'passed, 1 failed, 0 skipped'
}

@test "a lab that no longer compiles is not judged by its old program" {
    plant 'puts("hello");' hello
    make -s check-90
    plant 'no such thing' hello
    fails make -s check-90
    said 'it does not compile'
}

@test "other flags mean building again" {
    plant 'puts(WORD);' hello
    passes make -s check-90 CPPFLAGS='-DWORD=\"hello\"'
    fails make -s check-90 CPPFLAGS='-DWORD=\"other\"'
}

@test "an unknown lab is refused, with the list of labs" {
    plant 'puts("hello");' hello
    for verb in lab check accept; do
        fails make -s "$verb-99"
        said 'there is no lab 99; the labs are: 90'
    done
}

@test "a TMPDIR longer than a socket's path may be" {
    plant 'puts("hello");' hello
    long=$TMPDIR/$(printf 'x%.0s' {1..120})
    mkdir "$long"
    TMPDIR=$long passes make -s check-90
    rmdir "$long"
}

@test "a TMPDIR where one cannot write is refused in one line" {
    plant 'puts("hello");' hello
    TMPDIR=/nowhere fails make -s check-90
    said 'cannot write to TMPDIR, /nowhere: set it to another directory'
}

@test "a locale that is not installed, or a CDPATH, changes no verdict" {
    plant 'step("Who?");' '1. Who?'
    passes env LC_ALL=xx_XX.UTF-8 CDPATH=.: make -s check-90
    passes env LC_ALL=xx_XX.UTF-8 CDPATH=.: make -s shake-90 fault-90
    fails env CDPATH=.: make -s break-90
    said 'break.sh: labs/90-planted/README.md: no such file'
}

@test "a lab that is skipped is not an error of make" {
    plant 'fputs("no such sockets in this kernel\n", stderr); return 77;' hello
    for verb in lab-90 labs check-90; do
        passes make -s "$verb"
        said 'no such sockets in this kernel'
        [[ $output =~ skipped(\ -|:)\ 90\ planted ]]
    done
    said '0 passed, 0 failed, 1 skipped'
}

@test "make lab-90 shows the output, and says that it is as expected" {
    plant 'puts("hello");' hello
    passes make -s lab-90
    [[ $output == 'hello'*'ok - 90 planted' ]]
}

@test "make lab-90 shows the output, and the diff where it differs" {
    plant 'puts("good-bye");' hello
    fails make -s lab-90
    [[ $output == 'good-bye'*'not ok - 90 planted: it differs'*'-hello'* ]]
}

@test "make labs goes on after one that fails, and fails" {
    plant 'puts("good-bye");' hello
    plant 'puts("hi");' hi 91-other
    fails make -s labs
    said 'not ok - 90 planted'
    said 'ok - 91 other'
}

@test "Ctrl-C during make lab-90 leaves nothing" {
    plant 'step("Waiting"); open("server.sock", O_CREAT | O_WRONLY, 0600);
           if (fork() == 0) { role("server"); say("ready"); pause(); }
           pause();' hello
    {
        await grep -q ready "$box/screen"
        printf '\003'
    } | fails on_terminal make -s lab-90
}

@test "Ctrl-C during make check ends the tests of the pages, too" {
    plant 'puts("hello");' hello
    mkdir "$box/bin"
    printf '%s\n' '#!/bin/bash' ': >started' \
        "exec -a $box/bin/bats sleep 60" >"$box/bin/bats"
    chmod +x "$box/bin/bats"
    {
        await test -e started
        printf '\003'
    } | PATH=$box/bin:$PATH fails on_terminal make check
    no_bats() { ! grep -qs "$box/bin/bat[s]" /proc/[0-9]*/cmdline; }
    await no_bats
}

@test "colour is for terminals that want it" {
    plant 'puts("good-bye");' hello
    TERM=xterm fails on_terminal make -s lab-90 </dev/null
    passes grep $'\e\\[31m-hello' "$box/screen"
    for setting in NO_COLOR=1 TERM=dumb; do
        fails on_terminal env TERM=xterm "$setting" make -s lab-90 </dev/null
        passes grep 'not ok - 90' "$box/screen"
        fails grep $'\e' "$box/screen"
    done
}

# The colour in which the screen shows the lines of role $1.
colour_of() {
    sed -nE "s/^.*"$'\e'"\\[([0-9]+)m$1  .*/\\1/p" "$box/screen"
}

@test "each role has a colour, on terminals that want it" {
    plant 'step("Who?"); say("hello");
           role("ann"); say("hello");
           role("main"); say_measured("hello");' \
        $'1. Who?\nmain      hello\nann       hello\n~main     hello'
    TERM=xterm passes on_terminal make -s lab-90 </dev/null
    local main ann measured
    main=$(colour_of main)
    ann=$(colour_of ann)
    measured=$(colour_of '~main')
    [[ $main =~ ^[0-9]+$ && $ann =~ ^[0-9]+$ && $main != "$ann" ]]
    [[ $measured == "$main" ]]
    passes grep -F $'\e[1m1. Who?' "$box/screen"
    for setting in NO_COLOR=1 TERM=dumb; do
        passes on_terminal env TERM=xterm "$setting" make -s lab-90 </dev/null
        passes grep '^ann       hello' "$box/screen"
        fails grep $'\e' "$box/screen"
    done
    TERM=xterm passes on_terminal 'make -s lab-90 | cat' </dev/null
    passes grep '^ann       hello' "$box/screen"
    fails grep $'\e' "$box/screen"
}

@test "a checkout that one may not write to is refused in one line" {
    plant 'puts("hello");' hello
    chmod -R go+rX,a-w "$box"
    user=()
    ((EUID != 0)) || user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    fails "${user[@]}" make -s lab-90
    chmod -R u+w "$box"
    said 'cannot write below'
    said 'copy the suite'
    (($(grep -vc '^make: ' <<<"$output") == 1))
}
