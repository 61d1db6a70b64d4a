#!/usr/bin/env bash
# check.sh -- does a lab print what is expected, nothing else, and end well?
#
# usage: scripts/check.sh [--live] PROGRAM       (build/05-seqpacket-vs-stream)
#        STEP=3 scripts/check.sh --live PROGRAM
#
# Runs the program with run.sh, compares its output (masked by mask.sed) with
# expected/, and says what came of it as TAP; where they differ, it shows the
# steps that differ, and what to try next. With --live the output is shown while
# it comes (STEP is the only step to be shown), and what follows is for people.
#
# Exit status: 0 as expected; 1 not as expected; 2 for wrong usage; 77 skipped,
# because this machine lacks what the lab is about; 124 if the time was up.
set -euo pipefail

scripts=${BASH_SOURCE[0]%/*}
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"

# Why a run with status $1 is not as expected, or nothing if it is.
complaint() {
    local signal
    if (($1 == 124)); then
        echo 'the time was up'
    elif (($1 > 128)) && signal=$(kill -l "$1" 2>/dev/null); then
        echo "ended by SIG$signal"
    elif (($1 != 0)); then
        echo "exit status $1"
    elif [[ -s $work/err ]]; then
        echo 'it printed on standard error'
    elif [[ ! -e $expected ]]; then
        echo "there is no expected/$name.txt"
    elif ! cmp -s "$wanted" "$out"; then
        echo "it differs from expected/$name.txt"
    fi
}

# Prints what is expected of the steps that the lab came to: the other ones would
# hide the reason why it ended early.
expected_so_far() {
    awk -v steps="$(grep -cE '^[0-9]+\. ' "$out")" '
        /^[0-9]+\. / && ++step > steps { exit }
        /^$/ { blank = 1; next }
        blank { print ""; blank = 0 }
        { print }' "$wanted"
}

# The steps of the lab, with status $1, that differ, whole: the question and all
# its lines.
differences() {
    local here=$wanted
    if (($1 != 0)); then
        expected_so_far >"$work/here"
        here=$work/here
    fi
    diff -U 9999 --label "expected/$name.txt" --label yours \
        "$here" "$out" | awk '
        function flush(    i) {
            for (i = 1; differs && i <= count; i++)
                print block[i]
            count = differs = 0
        }
        NR <= 2 { print; next }
        /^@@/ { next }
        { block[++count] = $0 }
        /^[-+]/ { differs = 1 }
        /^.?$/ { flush() }
        END { flush() }' | paint || true
}

# On a terminal, in colour: what was expected, and what came instead.
paint() {
    if [[ -n $live && -t 3 && -z ${NO_COLOR-} && ${TERM-dumb} != dumb ]]; then
        sed $'s/^-.*/\e[31m&\e[0m/; s/^+.*/\e[32m&\e[0m/'
    else
        cat
    fi
}

# Of a lab that ended early, the step that it came to.
last_step() {
    if cmp -s "$wanted" "$out"; then
        echo 'All lines came, as expected.'
        return
    fi
    echo 'It came as far as this:'
    awk '/^[0-9]+\. / { count = 0 } { step[++count] = $0 }
        END { for (i = 1; i <= count; i++) print step[i] }' "$out"
}

# What to see and to try next. The lab has status $1.
explain() {
    [[ -n $live ]] || cat "$work/err"
    local differences=
    [[ ! -e $expected ]] || differences=$(differences "$1")
    if [[ -n $differences ]]; then
        printf '%s\n' "$differences"
    elif [[ $1 != 0 && -z $live && -s $out ]]; then
        last_step
    fi
    if (($1 == 0)) && [[ ! -e $expected ]]; then
        echo "next: if its output is right: make accept-$number"
    elif (($1 == 0)); then
        echo "next: 'git checkout labs/$name' undoes a change; README.md," \
            '"When a check fails", says more'
    elif [[ -z $live ]]; then
        echo "next: 'make lab-$number' shows how far it came"
    fi
}

# After a good run: which lab comes next. Who has seen one step has not seen all.
say_next() {
    local lab found=
    if [[ -n ${STEP-} ]]; then
        if [[ -e $suite/work/$name/prediction.txt ]]; then
            echo "next: labs/$name/answers.md, paragraph $STEP"
        else
            echo "next: labs/$name/README.md, and make predict-$number"
        fi
        return
    fi
    for lab in "$suite"/labs/[0-9]*/; do
        lab=$(basename -- "$lab")
        if [[ -n $found ]]; then
            echo "next: labs/$name/answers.md,"
            echo "      then labs/$lab/README.md"
            return
        fi
        [[ $lab != "$name" ]] || found=yes
    done
}

# Says that the lab was good, bad or skipped ($1), to people or as TAP.
verdict() {
    if [[ -n $live ]]; then
        echo
        echo "$1 - $2"
    else
        tap "$1" "$2"
    fi
}

# Prints the path of file $1, masked: mostly that of the file itself, because
# this is done very often, and there is mostly nothing to mask.
masked() {
    if [[ $'\n'$(<"$1") == *$'\n~'* ]]; then
        sed -E -f "$scripts/mask.sed" "$1" >"$work/${1##*/}.masked"
        echo "$work/${1##*/}.masked"
    else
        echo "$1"
    fi
}

usage='scripts/check.sh [--live] PROGRAM'

# What is asked for by the environment has to make sense.
check_wishes() {
    [[ ${LAB_PAUSE-} =~ ^(1|line)?$ ]] ||
        refuse "LAB_PAUSE=$LAB_PAUSE: want 1 (after each question) or line"
    [[ -n ${STEP-} ]] || return 0
    [[ -z ${LAB_PAUSE-} ]] || refuse 'STEP and LAB_PAUSE: one of them, please'
    [[ $STEP =~ ^[1-9][0-9]*$ ]] || refuse "STEP=$STEP: want a step's number"
    grep -qs "^$STEP\. " "$expected" ||
        refuse "STEP=$STEP: lab $number has no such step; there are:" \
            "$(sed -nE 's/^([0-9]+)\. .*/\1/p' "$expected" | paste -sd ' ')"
}

main() {
    exec 3>&1 # the terminal, perhaps
    live=
    if [[ ${1-} == --live ]]; then
        live=--live
        shift
    fi
    need_lab "${1-}" $# "$usage"
    local why status=0
    expected=$suite/expected/$name.txt
    if [[ ! -x $1 ]]; then
        verdict 'not ok' "$title: it does not compile, there is no $1"
        command -v cc >/dev/null ||
            echo "# next: 'scripts/setup.sh' installs a C compiler"
        exit 1
    fi
    check_wishes
    # Ctrl-C may come at any time: the trap knows the name before there is one.
    work=$(mktemp -du 2>/dev/null)
    [[ $work == /* ]] || work=$PWD/$work
    trap remove_work EXIT
    trap : HUP # whom it started hears it, and ends
    mkdir -m 700 -- "$work" 2>/dev/null || refuse \
        "cannot make a directory in ${TMPDIR:-/tmp}: set TMPDIR to another"
    if [[ -n $live && -n ${LAB_PAUSE-} && -t 0 ]]; then
        local after=question
        [[ $LAB_PAUSE == 1 ]] || after='question and each line'
        echo "Press Enter after each $after."
    fi
    "$scripts/run.sh" ${live:+"$live"} --keep "$work" "$1" || status=$?
    if ((status == 77)); then
        [[ -z $live ]] || echo "skipped - $title (it would print expected/$name.txt)"
        [[ -n $live ]] || echo "1..0 # SKIP $title: $(head -n 1 "$work/err")"
        exit 77
    fi
    out=$(masked "$work/out")
    [[ ! -e $expected ]] || wanted=$(masked "$expected")
    why=$(complaint "$status")
    if [[ -z $why ]]; then
        verdict ok "$title${STEP:+ (all steps were compared)}"
        [[ -z $live ]] || say_next
        exit 0
    fi
    verdict 'not ok' "$title: $why"
    if [[ -n $live ]]; then
        explain "$status"
    else
        explain "$status" | sed 's/^/# /'
    fi
    exit $((status == 124 ? 124 : 1))
}

main "$@"
