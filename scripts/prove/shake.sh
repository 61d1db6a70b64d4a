#!/usr/bin/env bash
# shake.sh -- is a lab's output the same under every schedule?
#
# usage: scripts/prove/shake.sh PROGRAM          (build/05-seqpacket-vs-stream)
#
# Runs the lab again and again under strace(1), each time with one call of one
# process delayed, on entry or on exit, and judges each run with check.sh. The
# calls are those that can order processes, up to the 65th of each. A sleep,
# which might be longer than any delay, is always cut short, as by a signal; a
# poll() that waits for its time to be up is not. Prints a line of TAP and, for
# what differs, the diff and the delay that brings it.
#
# Exit status: 0 one output; 1 several; 2 for wrong usage; 77 skipped.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
need_lab "${1-}" $# 'scripts/prove/shake.sh PROGRAM'
# shellcheck source=scripts/prove/inject.sh
. "$scripts/prove/inject.sh"

delay=40000 # microseconds
ordering='send(to|msg|mmsg)|recv(from|msg|mmsg)|p?readv?(64)?|p?writev?(64)?'
ordering+='|clone3?|v?fork|execve|exit_group|wait4|waitid|(tg)?kill|accept4?'
ordering+='|connect|bind|listen|close|shutdown|p?poll|p?select6?|epoll_p?wait2?'
ordering+='|futex|pidfd_.*|rt_sig(suspend|timedwait)|creat|open(at2?)?|flock'
ordering+='|fcntl|(mk|rm)dir(at)?|(un|sym)?link(at)?|rename(at2?)?'
ordering+='|f?chmod(at2?)?'

# Lines "WHO CALL NTH EFFECT". To be late on exit is mostly to be late for what
# comes next, so this only for the first three of a call, and not for those of
# later children. To trace a long loop takes a second, and more if aim has to go
# past it: so of its calls only the first three, and none of that kind of a
# child, if another process has the loop. All children exit late in one
# schedule, because aim cannot choose there.
schedules() {
    local who call first last others nth i
    while read -r who call _ first last others; do
        [[ $call =~ ^($ordering)$ ]] || continue
        ! is_timed "$last" || continue
        ((who == 0 || others < 1000)) || continue
        ((who <= 1)) || [[ $call != exit_group ]] || continue
        ((last < 1000)) || last=$((first + 2))
        for ((i = 0; i <= 64 && first + i <= last; i++)); do
            nth=$((first + i))
            echo "$who $call $nth delay_enter"
            [[ $call == exit_group ]] || ((who > 1 || i > 2)) ||
                echo "$who $call $nth delay_exit"
        done
    done <"$calls"
}

# A lab that reads the clock measures what it does in a loop; traced, that would
# be strace's own time.
is_timed() {
    (($1 >= 1000)) && grep -q 'clock_gettime(' "$scripts/../labs/$name/"*.c
}

# strace 6.1 says this on standard error if SIGKILL ends a process during its
# delay. The lab has not said it, and has done nothing wrong.
killed='strace: dispatch_event: pid [0-9]+ has delayed wait data set already'

# Is this all that check.sh complains of in file $1?
# shellcheck disable=SC2317 # run calls it
only_strace_complains() {
    grep -qxE "# $killed" "$1" || return 1
    ! grep -qvxE "1\.\.1|not ok - .*: it printed on standard error\
|# $killed|# next: .*" "$1"
}

# One run: who, call, nth, effect. If the delay never came, and all was well, it
# was no schedule. That of exit_group is not in the log: it does not return. Nor
# was it one if strace did not bring the delay to its end.
# shellcheck disable=SC2317 # beside calls it
run() {
    local directory=$work/runs/$1.$2.$3.$4 said
    said=$directory/said
    aim "$directory" "$1" "$2" "$3" "$4=$delay" "${awake[@]}"
    if "$scripts/check.sh" "$directory/build/$name" >"$said" 2>&1; then
        [[ $2 == exit_group ]] ||
            grep -qs DELAYED "$directory/build/$name.log" || rm -r "$directory"
    elif only_strace_complains "$said"; then
        rm -r "$directory"
    fi
}

need_strace
record
awake=()
! grep -q nanosleep "$calls" || awake=(-e inject=/nanosleep:error=EINTR)
schedules >"$work/all"
thinned "$work/all" >"$work/schedules"
beside "$((2 * $(nproc)))" run <"$work/schedules"

# The runs by what check.sh said of them: one file is one output.
shopt -s nullglob
declare -A said=() example=()
count=0
for directory in "$work"/runs/*/; do
    key=$(<"$directory/said")
    ((++count))
    said[$key]=$((${said[$key]-0} + 1))
    example[$key]=$(<"$directory/command")
done
((count > 0)) || {
    tap 'not ok' "$title: no schedule came; is there room in $work?"
    exit 1
}
good=$(lab_of "$name" && tap ok "$title") # as check.sh says it of a run
line="$title: $(how_many "$work/schedules" "$work/all" "$count") schedules"
line+=", ${#said[@]} output"
((${#said[@]} == 1)) || line+=s
if [[ ${!said[*]} == "$good" ]]; then
    most_came "$count" "$(wc -l <"$work/schedules")" || exit 1
    tap ok "$line"
    exit 0
fi
tap 'not ok' "$line"
others=0
for key in "${!said[@]}"; do
    [[ $key != "$good" ]] || continue
    ((++others <= 3)) || continue # they are enough to see what is wrong
    echo "# ${said[$key]} of $count, such as: ${example[$key]}"
    sed -E '/^1\.\.1$/d; s/^(not )?ok -/#/; s/^1\.\.0 # /# /
        /^# next:/d' <<<"$key"
done
((others <= 3)) || echo "# and $((others - 3)) more that differ"
exit 1
