# shellcheck shell=bash
# record.bash -- what trace.sh and diagram.sh share: a run of a lab as a table
#
# Sourced by them, after lab.bash. See events.awk for the table.
#
# shellcheck disable=SC2154 # name, number, title and work are of lab.bash

# STEP is the only step to be shown, if it is set.
check_step() {
    [[ ${STEP-} =~ ^([1-9][0-9]*)?$ ]] ||
        refuse "STEP=$STEP: want a step's number"
}

# Runs program $1 under strace and sets table to the path of its events, and
# status to what it ended with. Ends the script if there is nothing to show.
record() {
    local why program steps pids=(--pidns-translation)
    [[ -x $1 ]] || {
        echo "not ok - $title: it does not compile, there is no $1"
        exit 1
    }
    why=$(no_strace -y)
    [[ -z $why ]] || {
        echo "${0##*/}: $why" >&2
        exit 1
    }
    [[ -z $(no_strace -y "${pids[@]}") ]] || pids=() # strace has it since 5.9
    trap remove_work EXIT
    trap : HUP # whom it started hears it, and ends
    make_work
    program=$(realpath -- "$1")
    export scripts
    # shellcheck disable=SC2016 # it is expanded by the shell that strace starts
    wrap "$work" -f -y "${pids[@]}" -s 256 \
        -o "'|awk -f \"\$scripts/study/events.awk\" \
        -f \"\$scripts/study/messages.awk\" >\"\$log\"'" "${program@Q}"
    status=0
    "$scripts/run.sh" "$work/build/$name" >/dev/null 2>"$work/err" || status=$?
    table=$work/build/$name.log
    if ((status == 77)); then
        echo "skipped - $title: $(head -n 1 "$work/err")"
        exit 77
    elif [[ ! -s $table ]]; then
        head -n 5 "$work/err"
        echo "not ok - $title: it did not come to its first step"
        exit 1
    fi
    steps=$(sed -nE $'s/^step\t([0-9]+)\\. .*/\\1/p' "$table" | paste -sd ' ')
    [[ -z ${STEP-} || " $steps " == *" $STEP "* ]] ||
        refuse "STEP=$STEP: lab $number has no such step; there are: $steps"
}

# Ends the script with the lab's status. What the lab said of a failure comes
# last, where one sees it.
end_as_the_lab_did() {
    ((status != 0)) || exit 0
    echo
    cat "$work/err"
    echo "not ok - $title: it did not end well, but with status $status"
    exit $((status == 124 ? 124 : 1))
}
