#!/usr/bin/env bats
# places.bats -- a checkout or a TMPDIR in an odd place, and another user

# shellcheck disable=SC2154 # box is set by helper.bash
load helper

root=()
((EUID == 0)) || root=(--user --map-root-user)

needs_mounts() {
    unshare "${root[@]}" --mount true 2>/dev/null ||
        skip 'nothing may be mounted here'
}

# Runs the command with a TMPDIR of its own: a tmpfs, mounted with options $1 in
# a namespace of its own, and full if it has a size.
with_tmpfs() {
    mkdir -p "$box/mounted"
    # shellcheck disable=SC2016 # it is bash that expands them
    unshare "${root[@]}" --mount bash -ec '
        mount -t tmpfs -o "$1" tmpfs "$0"
        [[ $1 != size=* ]] || cat /dev/zero >"$0/full" 2>/dev/null || true
        export TMPDIR=$0
        exec "${@:2}"' "$box/mounted" "$@"
}

@test "a TMPDIR where nothing can be executed: every verb works" {
    needs_mounts
    plant 'step("Who?");
    say("hello");' $'1. Who?\nmain      hello'
    printf '%s\n' '## Break it' '**Edit 1.** x' '```diff' \
        '-    say("hello");' '+    say("hi");' '```' '**Edit 2.** x' '```diff' \
        '-    say("hello");' '+    ;' '```' >labs/90-planted/README.md
    printf '%s\n' '## What the edits do' '**Edit 1.** x' '**Edit 2.** x' \
        >labs/90-planted/answers.md
    for verb in lab check break accept; do
        passes with_tmpfs noexec make -s "$verb-90"
    done
    strace -f -qq -o /dev/null true 2>/dev/null || return 0
    for verb in shake fault; do
        passes with_tmpfs noexec make -s "$verb-90"
        [[ $output != *skipped* ]]
    done
}

@test "a TMPDIR that is full is an error, and says so" {
    needs_mounts
    plant 'puts("hello");' hello
    make -s build/90-planted
    fails with_tmpfs size=64k make -s check-90
    said 'No space left on device'
    said '0 passed, 1 failed'
}

@test "shake and fault refuse a checkout whose path has a colon" {
    plant 'puts("hello");' hello
    mv "$PWD" "$box/the:suite"
    cd "$box/the:suite"
    passes make -s check-90
    for verb in shake fault; do
        fails make -s "$verb-90"
        said 'a path with : or ; in it cannot be traced: move the suite'
    done
}

@test "as an ordinary user: one lab that is skipped and one that differs" {
    ((EUID == 0)) || skip 'you are one'
    plant "return access(\"$box/x\", F_OK) == 0 || errno != EACCES ? 0 : 77;" hello
    plant 'printf("%s\n", geteuid() == 0 ? "hello" : "hi");' hello 91-other
    make -s build/90-planted build/91-other
    chmod 700 "$box"
    yields 0 scripts/prove/as-user.sh build/90-planted
    said 'ok - 90 planted'
    said '# SKIP'
    yields 1 scripts/prove/as-user.sh build/90-planted build/91-other
    said 'not ok - 91 other'
}
