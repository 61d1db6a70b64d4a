# shellcheck shell=bash
# inject.sh -- what shake.sh and fault.sh share: strace(1) and its injections
#
# Sourced by them, after lab.bash, with the program as $1. Sets typed, its path
# as it was given; program, its absolute path; and work, a directory that is
# removed at the end.
#
# shellcheck disable=SC2154 # suite, name and title are of lab.bash
set -euo pipefail

if [[ ! -x $1 ]]; then
    tap 'not ok' "$title: it does not compile, there is no $1"
    exit 1
fi
program=$(realpath -- "$1")
typed=$1
# LD_LIBRARY_PATH, which names chosen.so, would end at either.
[[ $suite != *[:\;]* ]] || refuse "$suite: a path with : or ; in it cannot be" \
    "traced: move the suite"
# After Ctrl-C, what the runs had in their TMPDIR goes, too. They may need a
# moment to end.
clean_up() {
    trap '' HUP INT TERM
    wait || true
    rm -rf "${work-}" 2>/dev/null || { sleep 1 && rm -rf "${work-}"; }
}
trap clean_up EXIT
make_work
export scripts TMPDIR=$work

# Says why nothing can be injected here, if so.
no_injection() {
    no_strace --seccomp-bpf -e trace=close -e inject=close:delay_exit=1:when=1
}

# Ends the script then, as skipped. That strace is missing is no reason to skip:
# it can be installed.
need_strace() {
    local why
    command -v strace >/dev/null || refuse "$(no_strace)"
    why=$(no_injection)
    [[ -n $why ]] || return 0
    tap_skip "$why"
}

# Runs the lab once, traced, and has calls.awk count its calls. Ends the script
# if the lab is skipped, or fails even so. Its output does not matter here.
record() {
    local status=0
    wrap "$work/record" -f -n \
        -o "'|awk -f \"\$scripts/prove/calls.awk\" >\"\$log\"'" "${program@Q}"
    "$scripts/run.sh" "$work/record/build/$name" >/dev/null 2>"$work/err" ||
        status=$?
    calls=$work/record/build/$name.log
    ((status != 0)) || return 0
    ((status != 77)) || tap_skip "$(head -n 1 "$work/err")"
    tap 'not ok' "$title: it fails under strace, before anything is injected"
    sed 's/^/# /' "$work/err"
    exit 1
}

# Makes $1/build/$name, which runs the lab with something done to one call: $2
# is who makes it (0 is the first process, 1 its first child, "all" is whoever
# does), $3 the call, $4 which of them, $5 what is done to it; then come other
# options. $1/command has what one would type to see the same.
#
# strace counts in each process by itself. Where others come that far, too, it
# does not follow the children if the first process is meant, and otherwise
# chosen.so takes that child further than any other process ever comes (but not
# by calls that do what they do whatever their arguments are).
aim() {
    local who=$2 call=$3 nth=$4 number others ahead=0 follow=(-f) chosen=()
    read -r _ _ number _ _ others <<<"$(grep "^$who $call " "$calls")"
    if ((others >= nth && who == 0)); then
        follow=()
    elif ((others >= nth)) && [[ $call != @(exit_group|*fork|setsid) ]]; then
        ahead=$((others + others / 4 + 50)) # it may be more next time
        chosen=(-E "CHOSEN=$who,$number,$ahead" -E LD_PRELOAD=build/chosen.so)
    fi
    local inject=(-e "inject=$call:$5:when=$((ahead + nth))" "${@:6}")
    wrap "$1" "${follow[@]/%/ --seccomp-bpf}" \
        -ttt -o "'|grep -e @ -e ED\\)\$ >\"\$log\"'" \
        -e "trace=$call,bind,getsockname,/nanosleep" "${inject[@]}" \
        "${chosen[@]/build\//}" \
        ${chosen:+-E LD_LIBRARY_PATH="${scripts@Q}/../build"} "${program@Q}"
    echo "strace" "${follow[@]}" "${inject[@]}" "${chosen[@]}" "$typed" \
        >"$1/command"
}

# Prints the lines of file $1, or MOST of them, evenly chosen, if there are more:
# check-all cannot wait for all of them.
thinned() {
    [[ ${MOST-} =~ ^[0-9]*$ ]] || refuse "MOST=$MOST: want a number"
    awk -v most="${MOST:-0}" '{ line[NR] = $0 }
        END {
            n = most > 0 && most < NR ? most : NR
            for (i = 0; i < n; i++)
                print line[int(i * NR / n) + 1]
        }' "$1"
}

# How many of the lines of file $2 are in file $1: "60 of 314", or "88" if all.
how_many() {
    local all
    all=$(wc -l <"$2")
    if (($(wc -l <"$1") == all)); then
        echo "$3"
    else
        echo "$3 of $all"
    fi
}

# Did most of the $2 injections come that were tried? Some calls are not made
# each time; if half are missing, strace or chosen.so does not do its work.
most_came() {
    (($1 * 2 > $2)) || {
        tap 'not ok' "$title: only $1 of $2 came; is the program static?"
        return 1
    }
}
