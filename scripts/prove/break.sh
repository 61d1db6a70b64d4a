#!/usr/bin/env bash
# break.sh -- does each edit of a lab's "Break it" break it?
#
# usage: scripts/prove/break.sh LAB              (labs/05-seqpacket-vs-stream)
#        EDIT=2 scripts/prove/break.sh LAB
#
# Makes each edit in a copy of the program, builds that, and judges it with
# check.sh, which must find a difference. Where a page says of the edit that it
# does not compile, it must not. The old text of an edit is
# to occur once in the program, so that nobody wonders where it belongs. With
# EDIT shows what that one does. The program as it is has to pass first: else any
# edit would seem to matter. How it is all done: edits.bash.
#
# Exit status: 0 each makes the difference; 1; 2 for wrong usage; 77 skipped.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
# shellcheck source=scripts/edits.bash
. "$scripts/edits.bash"

# What edit $1 asks, and is.
show() {
    sed '/^$/d' "$work/$1.question"
    echo
    cat "$work/$1.diff"
    echo
    echo 'Making this edit, and running the lab: this takes ten seconds if it' \
        'hangs ...'
    echo
}

# What edit $1 has done.
show_difference() {
    plainly "$work/said"
    echo
    echo "Why: labs/$name/answers.md, \"What the edits do\", edit $1"
}

main() {
    need_lab "${1-}" $# '[EDIT=2] scripts/prove/break.sh LAB (labs/05-...)'
    [[ -f $1/README.md ]] || refuse "$1/README.md: no such file"
    local edit=0 wrong bad=()
    trap remove_work EXIT
    make_work
    lay_out "$1" labs
    must_pass

    if [[ -n ${EDIT-} ]]; then
        extract_wanted
        show "$EDIT"
        wrong=$(try "$EDIT")
        show_difference "$EDIT"
        [[ -z $wrong ]] || echo "not ok - $title: edit $EDIT: $wrong"
        [[ -z $wrong ]]
        return
    fi
    while extract $((edit + 1)); do
        ((++edit))
        wrong=$(try "$edit")
        [[ -z $wrong ]] || bad+=("edit $edit: $wrong")
    done
    (($(grep -c '^\*\*Edit ' "$readme") == edit)) ||
        bad+=("edit $((edit + 1)): its number, its diff, or its answer is missing")
    ((edit >= 2)) || bad+=("a lab has at least two edits")
    if ((${#bad[@]} == 0)); then
        tap ok "$title: $edit edits, each makes a difference"
    else
        tap 'not ok' "$title: $edit edits, ${#bad[@]} wrong"
        printf '# %s\n' "${bad[@]}"
    fi
    ((${#bad[@]} == 0))
}

main "$@"
