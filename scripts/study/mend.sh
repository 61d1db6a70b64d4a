#!/usr/bin/env bash
# mend.sh -- hand out a lab's program with a fault, and judge what is mended
#
# usage: scripts/study/mend.sh LAB               (labs/05-seqpacket-vs-stream)
#        EDIT=2 scripts/study/mend.sh LAB
#        AGAIN=1 [EDIT=2] scripts/study/mend.sh LAB
#        HINT=1 scripts/study/mend.sh LAB
#
# The first time it makes one edit of the README in a copy of the program,
# work/NN-slug/slug.c, and shows what the check says of it. Later it judges that
# file. EDIT says which edit; otherwise it is one, by chance, that was not
# handed out yet. HINT=1 shows the step and its answer, 2 what the edit is
# about, 3 its diff.
#
# With AGAIN the file gets another name, and another fault is handed out; first
# one that was put aside before it was mended. Without EDIT, AGAIN is refused if
# the file is not mended.
#
# The last line of the file tells which edit it is, by a checksum of the diff.
#
# Exit status: 0 handed out, hinted at, or mended; 1 not mended; 2 for wrong
# usage; 77 the lab was skipped; 124 its time was up.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
# shellcheck source=scripts/edits.bash
. "$scripts/edits.bash"

# The fault of an edit that was extracted: a number that tells nothing.
fault_of() {
    cksum <"$work/$1.diff" | cut -d ' ' -f 1
}

# Prints the copy, as edit $1 has made it, as it is handed out: two empty lines
# in a row would tell where something was taken out.
marked_copy() {
    cat -s "$copy"
    echo "// Handed out by make mend-$number. Leave this line: $(fault_of "$1")."
}

# The faults of the programs in these files, or on standard input.
faults_in() {
    sed -n 's/^\/\/ Handed out by .*: \([0-9]*\)\..*/\1/p' "$@"
}

# Sets edit to the one that is in program $1, and makes it in the copy. Fails if
# the program does not tell.
make_same_edit() {
    local fault
    fault=$(faults_in "$1")
    for edit in $(edits); do
        if extract "$edit" && [[ $(fault_of "$edit") == "$fault" ]]; then
            apply "$edit"
            return
        fi
    done
    return 1
}

# The edits that may be handed out, in any order: not those that were already.
candidates() {
    local edit had
    had=$(find "$desk" -name '*.c' -exec cat {} + | faults_in)
    for edit in $(edits | shuf); do
        if extract "$edit" && ! is_no_program "$edit" &&
            ! grep -qx "$(fault_of "$edit")" <<<"$had"; then
            echo "$edit"
        fi
    done
}

# Sets edit to the first of these that makes a difference here, and leaves in
# $work/said what the check says of it.
choose() {
    local wrong
    for edit in "$@"; do
        extract "$edit"
        wrong=$(try "$edit")
        [[ -n $wrong ]] || return 0
    done
    echo "not ok - $title: nothing to hand out: edit $edit: $wrong"
    exit 1
}

# The student's file gets another name, the first that is free.
keep() {
    local i=1 kept
    [[ -e $file ]] || return 0
    while kept=${file%.c}-$i.c && [[ -e $kept || -L $kept ]]; do
        ((++i))
    done
    mv -n "$file" "$kept"
    echo "What you had is in work/$name/${kept##*/} now."
}

# Hands out a program: whole, or not at all, and never over one that is there.
hand_out() {
    local edit choice
    mkdir -p "$desk" 2>/dev/null || true
    { new=$(mktemp -u "$desk/new.XXXXXX") && : >"$new"; } 2>/dev/null ||
        refuse "cannot write to work/$name: make it yours, or copy the suite" \
            "to a directory of your own"
    if [[ -n ${EDIT-} ]]; then
        extract_wanted
        ! is_no_program "$EDIT" ||
            refuse "EDIT=$EDIT: it does not compile, so it is no puzzle"
        choice=$EDIT
    else
        choice=$(candidates)
        [[ -n $choice ]] || refuse "lab $number has no fault that was not" \
            "handed out yet; AGAIN=1 EDIT=1 hands one out again"
    fi
    must_pass
    echo "Making a fault in lab $number, and running it: this takes ten" \
        "seconds if it hangs ..."
    # shellcheck disable=SC2086 # they are numbers
    choose $choice
    marked_copy "$edit" 2>/dev/null >"$new" ||
        refuse "cannot write $shown: is the disk full?"
    keep
    mv -n "$new" "$file"
    echo
    plainly "$work/said"
    echo
    echo "next: there is one fault in $shown;"
    echo "      mend it there, and type make mend-$number (HINT=1 helps)."
    echo '      It may take several lines. It is mended when the program prints'
    echo '      what is expected, to the letter.'
}

# Was nothing changed in $1 since it was handed out?
is_untouched() {
    local edit
    make_same_edit "$1" && marked_copy "$edit" | cmp -s - "$1"
}

# Builds and checks the program in $1. Leaves in $work/said what they say, and
# in found why it is not mended, if one can say it in a few words.
is_mended() {
    local status=0
    found=
    rm -f "$copy"
    cp "$1" "$copy"
    if ! build; then
        found="$shown does not compile"
        return 1
    fi
    check || status=$?
    if ((status == 77)); then
        plainly "$work/said"
        exit 77
    elif ((status == 0)) && is_untouched "$1"; then
        found='right by chance; nothing is mended yet'
        : >"$work/said"
        return 1
    fi
    return "$status"
}

# Judges the student's file. Returns only if it is not mended.
judge() {
    local found status=0
    is_mended "$file" || status=$?
    if ((status == 0)); then
        echo "ok - $title: mended"
        echo "It prints what is expected. Is all of it right? Compare it with"
        echo "labs/$name/$slug.c."
        echo "next: make mend-$number AGAIN=1 (another fault), or \"Break it\" in"
        echo "      labs/$name/README.md; make shake-$number MENDED=1 (was it luck?)"
        exit 0
    elif [[ -n $found ]]; then
        cat "$work/said"
        echo "not ok - $title: $found"
        exit 1
    elif ((status == 124)); then
        plainly "$work/said"
        exit 124
    fi
}

# With AGAIN: the student's file has to be mended.
need_mended() {
    local found
    [[ ! -e $file ]] || is_mended "$file" ||
        refuse "$shown is not mended yet: HINT=1 helps;" \
            "AGAIN=1 EDIT=N puts it aside, for edit N"
}

# Sets aside to the first program that was put aside before it was mended, or to
# nothing. These are the programs that progress.sh counts.
look_aside() {
    local found
    for aside in "$desk/"*"$slug"*.c; do
        if [[ -f $aside && $aside != "$file" ]] && ! is_mended "$aside"; then
            return
        fi
    done
    aside=
}

# The student goes on with a fault, or gets another one.
go_on() {
    local aside
    need_mended
    look_aside
    if [[ -z $aside ]]; then
        hand_out
        return
    fi
    keep
    mv -n "$aside" "$file"
    echo "${aside##*/} is not mended yet: it is $slug.c again."
    echo "next: mend it there, and type make mend-$number (HINT=1 helps)"
}

# EDIT without AGAIN, and a program is there: it has to be the same edit.
need_same_edit() {
    local edit
    extract_wanted
    if ! make_same_edit "$file" || ((edit != EDIT)); then
        refuse "$shown has another fault: 'make mend-$number' judges it;" \
            "AGAIN=1 EDIT=$EDIT puts it aside"
    fi
}

# The answer to step $1, as it stands on the lab's page.
answer() {
    awk -v step="$1." '
        /^## / { exit }
        /^[0-9]+\. / { wanted = $1 == step }
        wanted { print }' "$answers"
}

# The first step that differs, and its answer.
hint_step() {
    local step
    step=$(plainly "$work/said" | sed -nE 's/^[-+ ]?([0-9]+)\. .*/\1/p' |
        head -n 1)
    [[ -n $step ]] ||
        refuse "it shows in no step: see what 'make mend-$number' says"
    echo 'This is where it shows first:'
    echo
    grep "^$step\. " "$suite/expected/$name.txt"
    echo
    answer "$step"
    echo
    echo 'next: HINT=2 shows what the page says of this fault'
}

# What was changed, in words or in lines.
hint_edit() {
    local edit
    make_same_edit "$file" || refuse "$shown: its last line is not the one that it was" \
        "handed out with, which tells the fault; AGAIN=1 hands out another"
    if ((HINT == 2)); then
        sed 's/^\*\*Edit [0-9]*\.\*\* //; /^$/d' "$work/$edit.question"
        echo
        echo 'next: HINT=3 shows the lines that were changed'
    else
        echo 'Lines with - were taken out of the program, those with + put in:'
        diff -U 3 --label "labs/$name/$slug.c" --label "$shown" \
            "$source" <(cat -s "$copy") || true
    fi
}

# What is asked for has to make sense.
check_wishes() {
    [[ ${AGAIN-} =~ ^1?$ ]] || refuse "AGAIN=$AGAIN: want 1 (another fault)"
    [[ ${HINT-} =~ ^[123]?$ ]] || refuse "HINT=$HINT: want 1, 2 or 3"
    [[ -z ${HINT-} || -z ${AGAIN-}${EDIT-} ]] ||
        refuse 'HINT goes without AGAIN and EDIT: it is for what you have'
    if [[ -e $file || -L $file ]]; then
        [[ -f $file && -r $file ]] ||
            refuse "$shown: cannot be read; rename it to get a new one"
    else
        [[ -z ${HINT-} ]] ||
            refuse "there is no $shown: 'make mend-$number' hands it out"
    fi
}

clean_up() {
    rm -f "${new-}"
    rmdir "$desk" "$suite/work" 2>/dev/null || true # if they are empty
    remove_work
}

main() {
    need_lab "${1-}" $# '[EDIT=2] [AGAIN=1] [HINT=1] scripts/study/mend.sh LAB'
    [[ -f $1/README.md ]] || refuse "$1/README.md: no such file"
    desk=$suite/work/$name
    file=$desk/$slug.c
    shown=work/$name/$slug.c
    check_wishes
    trap clean_up EXIT
    trap : HUP # whom it started hears it, and ends
    make_work
    lay_out "$1" work
    if [[ -n ${AGAIN-} && -z ${EDIT-} ]]; then
        go_on
    elif [[ ! -e $file || -n ${AGAIN-} ]]; then
        hand_out
    elif [[ ${HINT-} == [23] ]]; then
        hint_edit
    else
        [[ -z ${EDIT-} ]] || need_same_edit
        judge
        if [[ -n ${HINT-} ]]; then
            hint_step
            return
        fi
        plainly "$work/said"
        echo
        echo "not ok - $title: not mended yet"
        echo 'next: look again; HINT=1, HINT=2 and HINT=3 tell more and more'
        exit 1
    fi
}

main "$@"
