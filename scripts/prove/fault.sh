#!/usr/bin/env bash
# fault.sh -- does a lab survive the failure of any of its calls?
#
# usage: scripts/prove/fault.sh PROGRAM          (build/05-seqpacket-vs-stream)
#        CALL=accept [ERROR=EMFILE] scripts/prove/fault.sh PROGRAM
#
# Runs the lab again and again under strace(1), which each time makes one call
# fail: every call that can fail, each time that the first process makes it from
# the heading of step 1 on (before is the loader), and each time that each child
# does (in a long loop, the first five); with one error of those it may have. To
# survive is to end within two seconds, with a status that is not 0 and a
# message that names the call and the reason; or to print exactly what is
# expected; and to leave no process, no abstract name, and after success no
# file. With CALL the first such call fails, live.
#
# Exit status: 0 all survived; 1; 2 for wrong usage; 77 skipped.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
need_lab "${1-}" $# '[CALL=accept [ERROR=EMFILE]] scripts/prove/fault.sh PROGRAM'
# shellcheck source=scripts/prove/inject.sh
. "$scripts/prove/inject.sh"

# An error that system call $1 is known for; nothing for those that cannot fail,
# and for those that are the C library's own: memory, threads, the clock.
error_of() {
    case $1 in
        get*id | umask | alarm | *itimer | pause | exit* | rt_sig*) ;;
        restart_syscall) ;;
        brk | m*map | mprotect | madvise | futex | rseq | set_* | arch_*) ;;
        getrandom | clock_* | sched_yield | sched_get* | membarrier) ;;
        accept* | socket* | pipe* | dup* | open* | *fd* | fcntl) echo EMFILE ;;
        clone* | *fork) echo EAGAIN ;;
        wait*) echo ECHILD ;;
        read* | write* | p*read* | p*write* | close | ioctl) echo EIO ;;
        send* | *sock*) echo ENOBUFS ;;
        recv* | *poll* | *select* | getdents*) echo ENOMEM ;;
        shutdown | getpeername) echo ENOTCONN ;;
        kill | tgkill | prctl | set* | cap* | fch* | unshare) echo EPERM ;;
        sched_set*) echo EPERM ;;
        bind | connect | *stat* | *link* | rename* | chdir) echo EACCES ;;
        chmod | mk* | access | faccess* | exec*) echo EACCES ;;
        flock) echo ENOLCK ;;
        *) echo ENOMEM ;;
    esac
}

# What system call $1 may be called in C, as a regular expression.
names_of() {
    case $1 in
        clone* | *fork) echo 'v?fork|pthread_create' ;;
        sendto | recvfrom) echo "$1|${1%to}|${1%from}" ;;
        write) echo 'write|printf|puts' ;;
        read) echo 'read|fgets|getline|fread' ;;
        pread64 | pwrite64) echo "${1%64}" ;;
        close) echo 'close|fclose|closedir' ;;
        wait*) echo 'wait|waitpid|waitid' ;;
        *stat*) echo '[fl]?stat|fstatat|fopen|opendir' ;;
        exec*) echo 'exec[vlpe]*' ;;
        mknod*) echo 'mknod|mkfifo' ;;
        open*) echo 'open|openat|openat2|fopen|opendir' ;;
        getdents*) echo 'readdir|scandir' ;;
        set*id) echo 'set(re|res|e)?[ug]id' ;;
        *rlimit*) echo '[gs]etrlimit' ;;
        *) # accept4, pipe2, unlinkat, renameat2, ppoll, fchmodat
            local name=${1%[0-9]}
            name=${name%at}
            echo "$1|$name|${name#[pf]}"
            ;;
    esac
}

# Lines "WHO CALL NTH ERROR".
faults() {
    local who call error nth last
    while read -r who call _ nth last _; do
        error=$(error_of "$call")
        [[ -n $error ]] || continue
        ((last < 1000)) || last=$((nth + 4))
        for (( ; nth <= last; nth++)); do
            echo "$who $call $nth $error"
        done
    done <"$calls"
}

# Runs what aim made in directory $1; $2 may be --live.
run() {
    local status=0
    "$scripts/run.sh" ${2:+"$2"} --keep "$1" "$1/build/$name" || status=$?
    echo "$status $(date +%s%6N)" >"$1/end"
}

# The abstract names in log $1 that are still there: the lab bound them.
names_left() {
    grep -Fxf <(sed -nE 's/.*sun_path=@"([^"]*)".* = 0$/@\1/p' <<<"$1" |
        sed 's/\\0/@/g') <(awk '{ print $8 }' /proc/net/unix) | sort -u
}

# The run in directory $1, with status $2, is just as one without a fault.
is_as_expected() {
    (($2 == 0)) && [[ ! -s $1/err ]] &&
        sed -E -f "$scripts/mask.sed" "$1/out" |
        cmp -s - <(sed -E -f "$scripts/mask.sed" "$suite/expected/$name.txt")
}

# What there is to say of the run in directory $1 with call $2: "survived" and
# how, or what it did instead. Nothing if no fault came, and all was well.
verdict() {
    local log status end took left='' names line
    local line_of='([0-9]+)\.([0-9]{6}) [^'$'\n'']*'
    local injected="$line_of = -1 E[A-Z0-9]+ \(([^)]*)\) \(INJECTED"
    read -r status end <"$1/end"
    log=$(<"$1/build/$name.log") || log=
    if [[ ! $log =~ $injected ]]; then
        is_as_expected "$1" "$status" ||
            echo "exit status $status, not as expected, but no fault in the log"
        return
    fi
    took=$(((end - ${BASH_REMATCH[1]}${BASH_REMATCH[2]}) / 1000))
    [[ $log != *sun_path=@* ]] || left=$(names_left "$log") || true
    names="\b(\w*_)?($(names_of "$2"))\w*\(|\bSYS_$2\b"
    names+='|loading shared libraries' # the loader's, of a program executed
    line=$(grep -F -- "${BASH_REMATCH[3]}" "$1/err" | grep -E "$names" || true)

    if [[ -n $left ]]; then
        echo "it left abstract names behind: ${left//$'\n'/ }"
    elif ((status == 124)); then
        echo 'it did not end'
    elif grep -q '^run.sh: .* left behind' "$1/err"; then
        echo 'it left something behind'
    elif is_as_expected "$1" "$status"; then
        echo 'survived: all is as expected'
    elif ((status == 0)); then
        echo 'exit status 0, but it did not print just what is expected'
    elif ((status == 77)); then
        echo 'exit status 77, as if the kernel lacked something'
    elif ((took > 2000)); then
        echo "it took $took ms to end"
    elif [[ -z $line ]]; then
        echo "exit status $status; no message names $2 (${BASH_REMATCH[3]})"
    else
        echo "survived: it said so, exit status $status after $took ms"
    fi
}

# One fault: who, call, nth, error. One that never came is none.
# shellcheck disable=SC2317 # beside calls it
try() {
    local directory=$work/runs/$1.$2.$3
    aim "$directory" "$1" "$2" "$3" "error=$4"
    run "$directory" ''
    verdict "$directory" "$2" >"$directory/said"
    [[ -s $directory/said ]] || rm -r "$directory"
}

every_call() {
    local directory count=0 bad=()
    shopt -s nullglob
    faults >"$work/all"
    thinned "$work/all" >"$work/faults"
    beside "$((2 * $(nproc)))" try <"$work/faults"
    for directory in "$work"/runs/*/; do
        ((++count))
        [[ $(<"${directory}said") == survived* ]] || bad+=("$directory")
    done
    if ((${#bad[@]} == 0)); then
        most_came "$count" "$(wc -l <"$work/faults")" || return 1
        tap ok "$title: $(how_many "$work/faults" "$work/all" "$count")" \
            "faults, $count survived"
        return 0
    fi
    tap 'not ok' "$title: $count faults, $((count - ${#bad[@]})) survived"
    for directory in "${bad[@]}"; do
        echo "# $(<"${directory}command")"
        sed 's/^/#   /' "${directory}said" "${directory}err"
    done
    return 1
}

# The first of those in $work/some whose message names CALL.
named_by_lab() {
    local who call nth
    while read -r who call nth _; do
        if grep -qs "\b$CALL(" "$work/runs/$who.$call.$nth/err"; then
            echo "$who $call $nth"
            return
        fi
    done <"$work/some"
    return 1
}

# The first of them that the kernel calls so, or that the lab did not survive.
named_by_kernel() {
    local who call nth
    while read -r who call nth _; do
        if [[ $call == "$CALL" ]] ||
            ! grep -qs ^survived "$work/runs/$who.$call.$nth/said"; then
            echo "$who $call $nth"
            return
        fi
    done <"$work/some"
    return 1
}

# Where the call is that is CALL in C: "WHO CALL NTH". Several functions may end
# in one system call, and one function in several: so this tries the first few,
# and looks who complains. If not even the loader makes any in the first
# process, it is that of all children: that is simpler to show.
find_call() {
    local who call nth error found
    [[ $CALL =~ ^[a-z_0-9]+$ ]] || refuse "CALL=$CALL: no function's name"
    faults | sort -n -s -k 1,1 >"$work/faults"
    while read -r who call nth error; do
        [[ ! $CALL =~ ^($call|$(names_of "$call"))$ ]] ||
            echo "$who $call $nth $error"
    done <"$work/faults" | head -n 24 >"$work/some"
    beside "$((2 * $(nproc)))" try <"$work/some"
    found=$(named_by_lab || named_by_kernel) ||
        refuse "CALL=$CALL: lab $number makes no such call that can" \
            "fail; these can, by the kernel's names:" \
            "$(cut -d ' ' -f 2 "$work/faults" | sort -u | paste -sd ' ')"
    read -r who call nth <<<"$found"
    ((nth > 1)) || grep -q "^0 $call " "$calls" || who=all
    echo "$who $call $nth"
}

# Makes that call fail, live, and says what came of it.
one_call() {
    local who call nth said
    read -r who call nth <<<"$1"
    ERROR=${ERROR:-$(error_of "$call")}
    aim "$work" "$who" "$call" "$nth" "error=$ERROR"
    echo "$(<"$work/command")"
    run "$work" --live
    said=$(verdict "$work" "$call")
    echo
    if [[ $said == survived* ]]; then
        echo "ok - $title: $said"
    else
        echo "not ok - $title: ${said:-the call was not made this time}"
        return 1
    fi
}

if [[ -z ${CALL-} ]]; then
    need_strace
else
    why=$(no_injection)
    [[ -z $why ]] || refuse "$why" # who asks to see a call fail wants no "ok"
fi
if [[ -n ${ERROR-} ]]; then
    [[ -n ${CALL-} ]] || refuse "ERROR=$ERROR: for which call? CALL=accept, for example"
    # strace takes numbers, too, and behind a colon more that can be injected.
    if [[ ! $ERROR =~ ^E[A-Z0-9]+$ ]] || ! strace -qq -o /dev/null \
        -e "inject=close:error=$ERROR:when=9999" true 2>/dev/null; then
        refuse "ERROR=$ERROR: no such error; see errno(3)"
    fi
fi
record
if [[ -n ${CALL-} ]]; then
    where=$(find_call)
    one_call "$where"
else
    every_call
fi
