# helper.bash -- a suite of its own for each test, with a lab planted in it
#
# The suite lies in a directory with a blank in its name. TMPDIR is private and
# checked to be empty after each test: nobody may leave anything behind.

# shellcheck disable=SC2154 # status, output and BATS_* are bats's own
setup() {
    origin=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export box
    box=$(mktemp -d)
    cp /bin/true "$box/true"
    "$box/true" || {
        echo "$box: nothing can be executed there: set TMPDIR to another"
        return 1
    }
    export TMPDIR="$box/tmp"
    mkdir -p "$TMPDIR" "$box/the suite/labs" "$box/the suite/expected"
    cd "$box/the suite" || return 1
    cp -R "$origin/Makefile" "$origin/common" "$origin/scripts" .
    unset MAKELEVEL MAKEFLAGS LAB_PAUSE TIMEOUT RUNS MOST STEP CALL ERROR EDIT
}

# Without -O2 and warnings it compiles faster.
make() {
    command make CFLAGS= "$@"
}

# Waits until the command succeeds, and fails after a minute.
await() {
    local i
    for ((i = 0; i < 1200; i++)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.05
    done
    echo "in vain awaited: $*" >&2
    return 1
}

left_behind() {
    ls -A "$TMPDIR"
    grep -lzs "^LAB_RUN=$TMPDIR/" /proc/[0-9]*/environ
}

nothing_left() {
    [[ -z $(left_behind) ]]
}

# Who was interrupted may need a moment to clean up.
teardown() {
    await nothing_left || {
        echo "left behind: $(left_behind)"
        rm -rf "$box"
        return 1
    }
    rm -rf "$box"
}

# Makes lab 90 (or $3), whose main() is $1, and which is expected to print $2.
plant() {
    local name=${3:-90-planted}
    mkdir -p "labs/$name"
    cat >"labs/$name/${name#*-}.c" <<END
/*
 * $name -- is the fault that was planted here found?
 */
#include <fcntl.h>
#include <sys/socket.h>
#include "../../common/lab.h"

int main(void)
{
    $1
}
END
    printf '%s\n' "$2" >"expected/$name.txt"
}

# Makes the program of lab 90 without a compiler: a shell script, $1, which is
# expected to print hello.
sketch() {
    mkdir -p build
    printf '#!/bin/sh\n%s\n' "$1" >build/90-planted
    chmod +x build/90-planted
    echo hello >expected/90-planted.txt
}

# The command ends with status $1; its output is kept for said.
yields() {
    run "${@:2}"
    ((status == $1)) || {
        printf 'status %d, not %d:\n%s\n' "$status" "$1" "$output"
        return 1
    }
}

passes() {
    yields 0 "$@"
}

# The command fails; its output is kept for said.
fails() {
    run "$@"
    ((status != 0)) || {
        printf 'status 0:\n%s\n' "$output"
        return 1
    }
}

# Runs the command on a terminal of its own, whose screen is kept in a file.
# What comes in on standard input is typed there. Ctrl-C is heard even if who
# runs the tests (a job in the background) has it ignored, if env can do that.
on_terminal() {
    local heard=(env --default-signal=INT)
    "${heard[@]}" true 2>/dev/null || heard=()
    : >"$box/screen"
    "${heard[@]}" script -qefc "$*" "$box/screen" >/dev/null
}

# The command that was run last said this, somewhere.
said() {
    [[ $output == *"$1"* ]] || {
        printf 'no "%s" in:\n%s\n' "$1" "$output"
        return 1
    }
}

# make check has to pass where strace is not: then this test is skipped.
needs_strace() {
    strace -f -qq -o /dev/null true 2>/dev/null ||
        skip "strace is missing, or may not trace: 'scripts/setup.sh --dev'"
}
