# helper.bash -- a suite of its own for each test, with a lab planted in it
#
# The suite lies in a directory with a blank in its name. TMPDIR is private and
# checked to be empty after each test: nobody may leave anything behind.

# shellcheck disable=SC2154 # status, output and BATS_* are bats's own
setup() {
    origin=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export box
    box=$(mktemp -d)
    export TMPDIR="$box/tmp"
    mkdir -p "$TMPDIR" "$box/the suite/labs" "$box/the suite/expected"
    cd "$box/the suite" || return 1
    cp -R "$origin/Makefile" "$origin/common" "$origin/scripts" .
    unset MAKELEVEL LAB_PAUSE TIMEOUT RUNS
    export MAKEFLAGS=" -- CFLAGS=" # it compiles faster so
}

teardown() {
    local left
    left=$(
        ls -A "$TMPDIR"
        grep -lzs "^LAB_RUN=$TMPDIR/" /proc/[0-9]*/environ
    )
    rm -rf "$box"
    [[ -z $left ]] || {
        echo "left behind: $left"
        return 1
    }
}

# Makes lab 90, whose main() is $1, and which is expected to print $2.
plant() {
    mkdir -p labs/90-planted
    cat >labs/90-planted/planted.c <<END
/*
 * 90-planted -- is the fault that was planted here found?
 */
#include <fcntl.h>
#include "../../common/lab.h"

int main(void)
{
    $1
}
END
    printf '%s\n' "$2" >expected/90-planted.txt
}

# The command succeeds; its output is kept for said.
passes() {
    run "$@"
    ((status == 0)) || {
        printf 'status %d:\n%s\n' "$status" "$output"
        return 1
    }
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
# What comes in on standard input is typed there.
on_terminal() {
    : >"$box/screen"
    script -qefc "$*" "$box/screen" >/dev/null
}

# The command that was run last said this, somewhere.
said() {
    [[ $output == *"$1"* ]] || {
        printf 'no "%s" in:\n%s\n' "$1" "$output"
        return 1
    }
}
