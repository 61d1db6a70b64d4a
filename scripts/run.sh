#!/usr/bin/env bash
# run.sh -- run one program the way a lab is to be run, and leave nothing behind
#
# usage: scripts/run.sh [--live] PROGRAM
#
# The program gets an empty directory, LC_ALL=C, umask 022, no core file,
# /dev/null as standard input (with --live: yours), and TIMEOUT seconds (10;
# 0 is for ever, and so is --live with LAB_PAUSE=1, where a class is thinking).
# A process or a file that it leaves is removed, named, and a failure.
#
# Exit status: the program's own, 128+N if signal N ended it; 1 if it left
# something; 2 for wrong usage; 124 if the time was up.
set -euo pipefail

die() {
    printf 'run.sh: %s\n' "$1" >&2
    exit 2
}

# Every process that the program started carries LAB_RUN in its environment,
# whatever session it is in and whoever its parent is now.
pids_left() {
    grep -lzxsF "LAB_RUN=$directory" /proc/[0-9]*/environ | grep -oE '[0-9]+' || true
}

# Prints the name of each process that it ended. One that was just killed may
# need a moment, so it looks until none is left, but not for ever.
end_processes() {
    local pid pids
    for _ in {1..100}; do
        pids=$(pids_left)
        [[ -n $pids ]] || break
        for pid in $pids; do
            cat "/proc/$pid/comm" 2>/dev/null || true
            kill -KILL "$pid" 2>/dev/null || true
        done
    done | sort -u
}

clean_up() {
    end_processes >/dev/null
    rm -rf "$directory"
}

# Prints what the program left, a line each.
leftovers() {
    local name
    end_processes | sed 's/^/process /'
    shopt -s nullglob dotglob
    for name in *; do
        printf 'file %s\n' "$name"
    done
}

main() {
    local limit=${TIMEOUT:-10} name program status=0 left
    exec 3</dev/null
    if [[ ${1-} == --live ]]; then
        exec 3<&0
        [[ ${LAB_PAUSE-} != 1 ]] || limit=0
        shift
    fi
    (($# == 1)) || die 'usage: scripts/run.sh [--live] PROGRAM'
    [[ $limit =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "TIMEOUT=$limit: want a number of seconds"
    [[ -f $1 && -x $1 ]] || die "$1: no such program; 'make' lists the labs"
    program=$(realpath -- "$1")
    name=${program##*/}

    directory=$(mktemp -d 2>/dev/null) ||
        die "cannot make a directory in ${TMPDIR:-/tmp}: set TMPDIR to one where you can"
    trap clean_up EXIT
    cd "$directory"
    umask 022
    ulimit -c 0

    # timeout(1) stays in the foreground, so that Ctrl-C and the terminal reach
    # the program. bash's own remark on a signal is left out: ours is below.
    { LAB_RUN=$directory LC_ALL=C timeout --foreground -k 1 "$limit" "$program" \
        <&3 2>&4 || status=$?; } 4>&2 2>/dev/null

    if ((status == 124)); then
        printf 'run.sh: %s: not done after %s s, ended\n' "$name" "$limit" >&2
    elif ((status > 128)); then
        printf 'run.sh: %s: ended by SIG%s\n' "$name" "$(kill -l "$status")" >&2
    fi
    left=$(leftovers)
    if [[ -n $left ]]; then
        printf 'run.sh: %s left behind, now removed: %s\n' "$name" "${left//$'\n'/, }" >&2
        ((status != 0)) || status=1
    fi
    return "$status"
}

main "$@"
