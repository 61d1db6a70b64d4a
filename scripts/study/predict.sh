#!/usr/bin/env bash
# predict.sh -- take a prediction of what a lab will print, and confront it
#
# usage: scripts/study/predict.sh PROGRAM        (build/05-seqpacket-vs-stream)
#        ORDER=1 scripts/study/predict.sh PROGRAM
#
# The first time it hands out a sheet, work/NN-slug/prediction.txt: the expected
# output with a ? for each result, or with ORDER=1 order.txt: the lines of each
# step in another order. Later it runs the lab, shows the steps that came
# otherwise than predicted, and counts. It never writes to a sheet that is
# there, and does not give away a step of which nothing was predicted yet.
#
# Exit status: 0 handed out, or judged; 1 the lab failed; 2 for wrong usage, or
# a sheet that cannot be read; 77 the lab was skipped; 124 its time was up.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
# shellcheck source=scripts/study/sheet.bash
. "$scripts/study/sheet.bash"

# Has sheet.awk show $1, of step $2; then come its files.
sheet() {
    sheet_of "$name" "$1" order="${ORDER-}" only="$2" "${@:3}"
}

# Prints the rest of the arguments if a line that is expected fits pattern $1.
if_expected() {
    ! grep -qE -e "$1" "$expected" || printf '%s\n' "${@:2}"
}

# What stands at the top of a sheet.
instructions() {
    local error='EAGAIN will do, -1 will not do'
    ! is_minus_one_enough "$name" || error='EAGAIN or = -1 will do'
    if [[ -n ${ORDER-} ]]; then
        cat <<END
# In which order will lab $number print these lines? In each step, put them in
# that order. There is only one right order: the lab makes sure of it.
END
    else
        cat <<END
# What will lab $number print? Put a result in the place of each ?, as in
#     = 3 "red"      these three bytes came; = red will do, and = 3 if no other
#                    text here is as long
#     = 3            three bytes were sent
#     = 0            end of file, an empty message, or a call that succeeded
#     = -1 EAGAIN    it failed with this error; = $error
END
        if_expected ' = [0-9]+ \["' \
            '#     = 3 ["red", ".."]  two whole buffers; = red, .. will do, = 3 will not'
        if_expected ' = 1 POLLIN$' \
            '#     = 1 POLLIN     poll() reports POLLIN; = 1 will do'
        if_expected ' = 1 POLL[A-Z]+ ' \
            '#     = 1 POLLIN POLLOUT  its words, in any order; = POLLIN POLLOUT will do'
        if_expected '""' '#     ""             an empty text, or no name'
        echo '#     = waits        it never returns; leave the ? below it in this step'
        if_expected '-> (exited|killed): ' \
            '#     = exited: 0    the process has ended by itself; or = killed: SIGKILL'
        cat <<END
# If a call comes several times in a row, the sheet has its line only once. Copy
# the line as often as you think that the call is made, and write one result on
# each. The 0 of an end of file is a result, too. If you think that a line does
# not come, remove it.
END
        if_expected '\) -> ((exited: |killed: )?[^ ,:]+|"[^"]*")$' \
            '# Where the lab prints -> you may find = here: leave it as it is.'
        if_expected '^~' '# A line that begins with ~ is measured: # stands for its figures, and stays.' \
            '# What you think of it goes on a new line that begins with #.'
    fi
    echo '# Write nothing behind a result: your reasons go on lines that begin with #.'
}

# Hands out the sheet: whole, or not at all, and never over one that is there.
hand_out() {
    local desk=${paper%/*}
    new=
    trap 'rm -f "$new"' EXIT
    mkdir -p "$desk" 2>/dev/null || true
    new=$(mktemp "$desk/new.XXXXXX" 2>/dev/null) || refuse \
        "cannot write to work/$name: make it yours, or copy the suite to a" \
        "directory of your own"
    { instructions && sheet sheet '' "$expected"; } 2>/dev/null >"$new" ||
        refuse "cannot write $shown: is the disk full?"
    chmod 644 "$new"
    mv -n "$new" "$paper"
    say_handed_out "$(grep -c '^[0-9]*\. ' "$paper")"
}

# What to do with a sheet of $1 steps. "Run" says how to read the lines. That of
# ORDER=1 is for those who have seen them.
say_handed_out() {
    if [[ -n ${ORDER-} ]]; then
        echo "$shown: steps to put in order: $1"
        echo 'next: put the lines of each step in their order, and type this again'
        return
    fi
    echo "$shown: steps to predict: $1"
    echo "next: read labs/$name/README.md up to \"Mend it\","
    echo "      but do not run the lab yet: \"Run\" says how to read the lines;"
    echo '      fill in the sheet, and type this again'
}

# Runs program $1, and leaves what it printed, masked, in $work/is. Ends the
# script if there is nothing to compare with.
run_lab() {
    local status=0
    [[ -x $1 ]] || {
        echo "not ok - $title: it does not compile, there is no $1"
        exit 1
    }
    trap remove_work EXIT
    trap : HUP # whom it started hears it, and ends
    make_work
    "$scripts/run.sh" --keep "$work" "$1" || status=$?
    if ((status == 77)); then
        echo "skipped - $title: $(head -n 1 "$work/err")"
        exit 77
    elif ((status != 0)); then
        cat "$work/err"
        echo "not ok - $title: it did not end well;" \
            "'make lab-$number' shows how far it came"
        exit "$((status == 124 ? 124 : 1))"
    fi
    sed -E -f "$scripts/mask.sed" "$work/out" >"$work/is"
}

# Prints the verdicts on the sheet, as $1 is what the lab prints. Refuses a
# sheet that is not that of this lab any more.
verdicts() {
    local verdicts
    verdicts=$(sheet verdicts '' "$1" "$paper")
    [[ $verdicts != damaged* ]] || refuse "$shown: ${verdicts#* };" \
        "repair it, or rename it to get a new one"
    echo "$verdicts"
}

# What was predicted of step $1 and what is, as diff has it.
differences() {
    local beside
    beside=$(sheet beside "$1" "$work/is" "$paper")
    if [[ -n $beside ]]; then
        echo "$beside"
    else
        diff -U 9999 <(sheet you "$1" "$work/is" "$paper") \
            <(sheet is "$1" "$work/is" "$paper") | sed '1,3d' || true
    fi
}

# In 80 columns; what is left of a line stands below its result.
fold_lines() {
    sed "$1; s/ = -1 E/\x01/" | fold -s -w 80 |
        sed -E '/^(you:   |it is: |       )/!s/^/            /; s/\x01/ = -1 E/'
}

# The lines of step $1 that were measured, as they came.
measured() {
    awk -v only="$1" '/^[0-9]+\. / { step = $1 + 0 } /^~/ && step == only' \
        "$work/out"
}

# Each line of step $1 that was measured, as it came, in the place of a line
# that has # for its figures.
unmasked() {
    lines=$(measured "$1") awk '
        BEGIN { split(ENVIRON["lines"], line, "\n") }
        /^[ +]?~/ { sub(/~.*/, ""); $0 = $0 line[++n] }
        { print }'
}

# Shows step $1, on which the verdict is $2.
show_step() {
    echo
    grep "^$1\. " "$work/is"
    case $2 in
        right)
            echo '        as predicted'
            measured "$1" | fold_lines 's/^/        /'
            ;;
        'right short')
            echo '        as predicted, in the words of the lab:'
            sheet is "$1" "$work/is" "$paper" | unmasked "$1" |
                fold_lines 's/^/        /'
            ;;
        open) echo '        not predicted yet' ;;
        given) echo '        nothing to predict' ;;
        *)
            differences "$1" | unmasked "$1" |
                fold_lines 's/^-/you:    /; s/^+/it is:  /; s/^ /        /'
            ;;
    esac
}

# Where the answers stand; who has not predicted everything is not sent there.
say_next() {
    if (($1 > 0)); then
        echo "next: predict the other steps, too, and type this again"
    else
        echo "next: labs/$name/answers.md, as far as \"Often said\", says why"
    fi
}

judge() {
    local step verdict all right=0 open=0 steps=0
    [[ -f $paper && -r $paper ]] ||
        refuse "$shown: cannot be read; rename it to get a new one"
    verdicts "$expected" >/dev/null
    run_lab "$1"
    all=$(verdicts "$work/is")
    while read -r step verdict; do
        show_step "$step" "$verdict"
        case $verdict in
            right*) ((++right)) ;;
            open) ((++open)) ;;
            *) ;;
        esac
        [[ $verdict == given ]] || ((++steps))
    done <<<"$all"
    echo
    cmp -s "$work/is" "$expected" || echo "note: this is not what" \
        "expected/$name.txt says: 'make check-$number'"
    echo "$right of $steps steps as predicted"
    say_next "$open"
}

main() {
    need_lab "${1-}" $# '[ORDER=1] scripts/study/predict.sh PROGRAM'
    [[ ${ORDER-} =~ ^1?$ ]] ||
        refuse "ORDER=$ORDER: want 1 (put the lines of each step in order)"
    expected=$suite/expected/$name.txt
    [[ -s $expected ]] || refuse "there is no expected/$name.txt:" \
        "'make accept-$number' makes one"
    shown=work/$name/prediction.txt
    [[ -z ${ORDER-} ]] || shown=work/$name/order.txt
    paper=$suite/$shown
    if [[ -e $paper || -L $paper ]]; then
        judge "$1"
    else
        hand_out
    fi
}

main "$@"
