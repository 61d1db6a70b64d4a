#!/usr/bin/env bash
# progress.sh -- what is predicted, which faults are mended, and what is next
#
# usage: scripts/study/progress.sh
#
# Prints a line for each lab that was begun: how many steps its sheets in work/
# (see predict.sh) predict as expected/ has them, and how many of the programs
# to mend that are there (work/NN-slug/*slug*.c, see mend.sh) print what is
# expected. These files are all that is known of a student; none is written.
#
# Exit status: 0; 1 if a sheet cannot be read; 2 for wrong usage.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
# shellcheck source=scripts/study/sheet.bash
. "$scripts/study/sheet.bash"

# What became of sheet $2 of lab $1: the number of its steps, of those that are
# right, and of those that nobody touched. Nothing if there is no such sheet,
# "damaged" if it cannot be read. $3 is 1 for one that is to be put in order.
counts() {
    local expected=$suite/expected/$1.txt paper=$suite/work/$1/$2
    [[ -e $paper || -L $paper ]] || return 0
    if [[ ! -f $paper || ! -r $paper || ! -r $expected ]]; then
        echo damaged
        return
    fi
    sheet_of "$1" verdicts order="$3" "$expected" "$paper" | awk '
        { count[$1 == "damaged" ? $1 : $2]++ }
        END {
            if (count["damaged"])
                print "damaged"
            else
                print NR - count["given"], count["right"] + 0, count["open"] + 0
        }'
}

# Judges program number $1 of those to mend as check.sh judges a lab, and leaves
# a file beside its copy if it is mended.
try_program() {
    local place=$work/$1 lab=${lab_of_program[$1]} copy
    copy=$place/labs/$lab/${lab#*-}.c
    mkdir -p "$place/build" "${copy%/*}"
    ln -s "$suite/common" "$place/common"
    cp -- "${programs[$1]}" "$copy"
    ! ${CC:-cc} -w -pthread -o "$place/build/$lab" "$copy" 2>/dev/null ||
        ! "$scripts/check.sh" "$place/build/$lab" >/dev/null 2>&1 ||
        : >"$place/mended"
}

# Tries all programs to mend, several at once, and counts those of each lab in
# handed, and in mended those that are. at_hand has the labs whose program that
# make mend-5 judges is not mended; the others were put aside.
try_programs() {
    local lab file i
    programs=() lab_of_program=()
    for lab in "${labs[@]}"; do
        for file in "$suite/work/$lab/"*"${lab#*-}"*.c; do
            [[ -f $file ]] || continue
            programs+=("$file")
            lab_of_program+=("$lab")
        done
    done
    ((${#programs[@]} > 0)) || return 0
    trap remove_work EXIT
    trap : HUP # whom it started hears it, and ends
    make_work
    printf '%s\n' "${!programs[@]}" | beside "$(nproc)" try_program
    for i in "${!programs[@]}"; do
        lab=${lab_of_program[i]}
        handed[$lab]=$((${handed[$lab]-0} + 1))
        if [[ -e $work/$i/mended ]]; then
            mended[$lab]=$((${mended[$lab]-0} + 1))
        elif [[ ${programs[i]} == */"${lab#*-}.c" ]]; then
            at_hand[$lab]=1
        fi
    done
}

# A field of the table: "2 of 4, 1 open", or "-", or "damaged".
field() {
    case $# in
        0) echo - ;;
        1) echo "$1" ;;
        *) echo "$2 of $1$( ((${3-0} == 0)) || echo ", $3 open")" ;;
    esac
}

# What to do next: what was begun comes first, and then what is first in the
# reading order.
say_next() {
    local lab
    for lab in "${labs[@]}"; do
        lab_of "$lab"
        if [[ ${blanks[$lab]} == *' '*' '[1-9]* ]]; then
            echo "next: make predict-$number (a step is not predicted yet)"
        elif ((${handed[$lab]-0} > ${mended[$lab]-0})); then
            [[ -n ${at_hand[$lab]-} ]] || number+=' AGAIN=1'
            echo "next: make mend-$number (a fault is not mended yet)"
        else
            continue
        fi
        return
    done
    for lab in "${labs[@]}"; do
        lab_of "$lab"
        if [[ -z ${blanks[$lab]} ]]; then
            echo "next: make predict-$number"
        elif [[ -z ${handed[$lab]-} ]]; then
            echo "next: make mend-$number"
        else
            continue
        fi
        return
    done
    echo 'next: nothing; every lab is predicted and mended'
}

main() {
    (($# == 0)) || refuse 'usage: scripts/study/progress.sh'
    local lab order others=0 damaged=()
    declare -gA blanks handed mended at_hand
    mapfile -t labs < <(cd "$suite/labs" && printf '%s\n' [0-9][0-9]-*)
    try_programs
    printf '%-26s%-17s%-17s%s\n' lab predicted 'put in order' \
        'mended, of those handed out'
    for lab in "${labs[@]}"; do
        blanks[$lab]=$(counts "$lab" prediction.txt '')
        order=$(counts "$lab" order.txt 1)
        [[ ${blanks[$lab]} != damaged ]] || damaged+=("$lab/prediction.txt")
        [[ $order != damaged ]] || damaged+=("$lab/order.txt")
        if [[ -z ${blanks[$lab]}$order${handed[$lab]-} ]]; then
            ((++others))
            continue
        fi
        # shellcheck disable=SC2086 # numbers, if anything
        printf '%-26s%-17s%-17s%s\n' "${lab/-/ }" "$(field ${blanks[$lab]})" \
            "$(field $order)" \
            "$(field ${handed[$lab]+"${handed[$lab]}" "${mended[$lab]-0}"})"
    done
    echo
    ((others == 0)) || printf 'labs not begun: %s of %s\n\n' "$others" "${#labs[@]}"
    if ((${#damaged[@]} > 0)); then
        printf 'progress.sh: work/%s: damaged; repair it, or rename it\n' \
            "${damaged[@]}" >&2
        exit 1
    fi
    say_next
}

main "$@"
