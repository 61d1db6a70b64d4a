#!/usr/bin/env bash
# run.sh -- run one program the way a lab is to be run, and leave nothing behind
#
# usage: scripts/run.sh [--live] [--keep DIRECTORY] PROGRAM
#
# The program gets an empty directory, LC_ALL=C, umask 022, no core file, room
# for 1 MiB in any file, /dev/null as standard input (with --live: the terminal)
# and TIMEOUT seconds (15, so that the watchdog of a lab comes first, which
# knows more; 0 is for ever, as is a live class with LAB_PAUSE). A process that
# it leaves is ended, named, and a failure; so is a file that it leaves although
# it ended well.
#
# With --keep what it prints goes to the files out and err in that directory;
# with --live, too, it is also shown while it comes.
#
# Exit status: the program's own, 128+N if signal N ended it; 1 if it left
# something; 2 for wrong usage; 124 if the time was up.
set -euo pipefail

die() {
    printf 'run.sh: %s\n' "$1" >&2
    exit 2
}

# A process that the program started has LAB_RUN in its environment, or at
# least the directory that it was started in, whatever its session and whoever
# its parent is now. One that gave up both, or hides from /proc, escapes.
pids_left() {
    local path pattern
    pattern=$directory
    # shellcheck disable=SC2001 # it is more than one character
    [[ $directory != *[][*?\\]* ]] ||
        pattern=$(sed 's/[][*?\\]/\\&/g' <<<"$directory")
    for path in $(
        grep -lzxsF "LAB_RUN=$directory" /proc/[0-9]*/environ
        find /proc/[0-9]*/cwd -maxdepth 0 -lname "$pattern*" 2>/dev/null
    ); do
        path=${path#/proc/}
        echo "${path%/*}"
    done
}

# Prints the name of each process that it ended. One that was just killed may
# need a moment, so it looks until none is left, but not for ever.
end_processes() {
    local pid pids
    for _ in {1..100}; do
        pids=$(pids_left)
        [[ -n $pids ]] || return 0
        for pid in $pids; do
            cat "/proc/$pid/comm" 2>/dev/null || true
            kill -KILL "$pid" 2>/dev/null || true
        done
    done
}

# A lab may have locked a directory, and then failed. No signal ends rm: the
# terminal may go away just after Ctrl-C.
remove() {
    trap '' HUP INT TERM
    rm -rf "$directory" 2>/dev/null || {
        chmod -R u+rwX "$directory"
        rm -rf "$directory"
    }
}

clean_up() {
    trap '' HUP INT TERM
    end_processes >/dev/null
    remove
}

# Prints what the program left that it should not have; its status is $1.
leftovers() {
    local path processes
    processes=$(end_processes)
    [[ -z $processes ]] || sort -u <<<"$processes" | sed 's/^/process /'
    shopt -s nullglob dotglob
    for path in "$directory"/*; do
        (($1 != 0)) || printf 'file %s\n' "${path##*/}"
    done
}

# Shows what comes in; on a terminal each role in a colour of its own, and a
# question bold. STEP is the only step to be shown, if it is set.
show() {
    local line word current='' colours=(36 33 35 32 34) plain=yes
    local -A colour=()
    if [[ -t 1 && -z ${NO_COLOR-} && ${TERM-dumb} != dumb ]]; then
        plain=
    fi
    while IFS= read -r line || [[ -n $line ]]; do
        if [[ $line =~ ^([0-9]+)\.\  ]]; then
            current=${BASH_REMATCH[1]}
        fi
        [[ -z ${STEP-} || ($current == "$STEP" && -n $line) ]] || continue
        word=${line%%[^a-zA-Z0-9_~-]*}
        if [[ -n $plain || -z $line ]]; then
            printf '%s\n' "$line"
        elif [[ $line =~ ^[0-9]+\.\  ]]; then
            printf '\e[1m%s\e[0m\n' "$line"
        else
            word=${word#\~}
            [[ -n ${colour[_$word]-} ]] ||
                colour[_$word]=${colours[${#colour[@]} % ${#colours[@]}]}
            printf '\e[%sm%s\e[0m\n' "${colour[_$word]}" "$line"
        fi
    done
}

# Runs itself again, and shows and keeps what program $2 prints. Standard error
# goes round the pipeline that copies standard output.
keep_live() {
    { "$0" --live "$2" 2>&1 >&3 | tee "$1/err" >&2; } 3>&1 |
        tee "$1/out" | show
}

main() {
    local limit=${TIMEOUT:-15} program name status=0 left kept='' live=
    exec 3</dev/null
    if [[ ${1-} == --live ]]; then
        live=yes
        shift
    fi
    if [[ ${1-} == --keep && -n ${2-} ]]; then
        kept=$2
        shift 2
    fi
    (($# == 1)) ||
        die 'usage: scripts/run.sh [--live] [--keep DIRECTORY] PROGRAM'
    [[ $limit =~ ^[0-9]+(\.[0-9]+)?$ ]] ||
        die "TIMEOUT=$limit: want a number of seconds"
    [[ -f $1 && -x $1 ]] || die "$1: no such program; 'make' lists the labs"
    if [[ -n $kept && -n $live ]]; then
        keep_live "$kept" "$1"
        return
    elif [[ -n $kept ]]; then
        exec >"$kept/out" 2>"$kept/err"
    fi
    if [[ -n $live && -t 0 ]]; then
        exec 3<&0
        [[ -z ${LAB_PAUSE-} ]] || limit=0
    fi
    program=$1
    [[ $program == /* ]] || program=$PWD/$program
    name=${program##*/}

    # Ctrl-C may come at any time: the trap knows the name before there is one.
    directory=$(mktemp -du 2>/dev/null)
    trap clean_up EXIT
    trap : HUP # the program hears it, and ends
    mkdir -m 700 -- "$directory" 2>/dev/null ||
        die "cannot make a directory in ${TMPDIR:-/tmp}: set TMPDIR to another"
    directory=$(cd "$directory" && pwd -P)
    # Who still holds the other end of this pipe has not ended yet.
    mkfifo "$directory/alive"
    # shellcheck disable=SC2094 # both ends are wanted
    exec 5<>"$directory/alive" 6<"$directory/alive"
    rm "$directory/alive"

    # timeout(1) stays in the foreground, so that Ctrl-C and the terminal reach
    # the program. bash's own remark on a signal comes from outside of the
    # parentheses, so it is the braces that drop it.
    { (
        cd "$directory"
        umask 022
        ulimit -c 0 -f 1024
        LAB_RUN=$directory LC_ALL=C exec timeout --foreground -k 0.2 "$limit" \
            "$program" <&3 2>&4 3<&- 4>&- 6<&-
    ); } 4>&2 2>/dev/null || status=$?
    exec 5>&-

    # timeout(1) says 137 if it took SIGKILL; the program may say either, too.
    if ((status == 124 || status == 137)) && [[ ! $limit =~ ^0*(\.0*)?$ ]] &&
        ((SECONDS >= 10#${limit%.*})); then
        printf 'run.sh: %s: not done after %s s, ended\n' "$name" "$limit" >&2
        status=124
    fi
    # A child may need a moment to hear that its parent is gone.
    local waited=0
    read -r -t 0.5 -u 6 || waited=$?
    left=$(leftovers "$status")
    if ((waited > 128)) && [[ -z $left ]]; then # somebody had not ended then
        waited=0
        read -r -t 2 -u 6 || waited=$?
        ((waited <= 128)) || {
            printf 'run.sh: %s left a process behind that nobody finds: %s\n' \
                "$name" "look for it with 'ps -e'" >&2
            ((status != 0)) || status=1
        }
    fi
    trap remove EXIT
    if [[ -n $left ]]; then
        printf 'run.sh: %s left behind, now removed: %s\n' "$name" \
            "${left//$'\n'/, }" >&2
        ((status != 0)) || status=1
    fi
    return "$status"
}

main "$@"
