#!/usr/bin/env bash
# break.sh -- does each edit of a lab's "Break it" break it?
#
# usage: scripts/prove/break.sh LAB              (labs/05-seqpacket-vs-stream)
#        EDIT=2 scripts/prove/break.sh LAB
#
# Makes each edit in a copy of the program, builds that, and judges it with
# check.sh, which must find a difference. Where answers.md (or the README) says
# of the edit that it does not compile, it must not. The old text of an edit is to occur once in the program,
# so that nobody wonders where it belongs. With EDIT shows what that one does.
# The program as it is has to pass first: else any edit would seem to matter.
#
# Exit status: 0 each makes the difference; 1; 2 for wrong usage; 77 skipped.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"

# Leaves what section $3 of file $2 says of edit $1 in $work/$1.text and .diff;
# fails if it says nothing.
extract_from() {
    awk -v edit="**Edit $1.**" -v out="$work/$1" -v section="## $3" '
        /^## / || /^\*\*Edit / { inside = index($0, edit) == 1 && breaking }
        /^## / { breaking = $0 == section }
        /^```/ { diff = !diff; next }
        inside { print >>(out (diff ? ".diff" : ".text")); n++ }
        END { exit !n }' "$2"
}

# The same for what the README proposes, which has to have a diff, and what the
# answers say of it.
extract() {
    rm -f "$work/$1".{text,diff}
    extract_from "$1" "$readme" 'Break it' || return 1
    [[ -s $work/$1.diff ]] || return 1
    cp "$work/$1.text" "$work/$1.question"
    [[ ! -e $answers ]] ||
        extract_from "$1" "$answers" 'What the edits do' || return 1
}

# Makes edit $1 in the copy of the program. Says why, if it cannot.
apply() {
    local old new text
    old=$(sed -n '/^$/p; s/^[- ]//p' "$work/$1.diff")
    new=$(sed -n '/^$/p; s/^[+ ]//p' "$work/$1.diff")
    text=$(<"$source")$'\n'
    old=$'\n'$old$'\n'
    new=$'\n'$new$'\n'
    if [[ $text != *"$old"* ]]; then
        echo 'its old text does not occur in the program'
    elif [[ ${text#*"${old%$'\n'}"} == *"$old"* ]]; then
        echo 'its old text occurs more than once in the program'
    else
        printf '%s' "${text/"$old"/"$new"}" >"$copy"
        return 0
    fi
    return 1
}

# Builds the edited copy as a student would; the lab's name is its name.
build() {
    rm -f "$work/build/$name"
    (cd "${copy%/*}" && ${CC:-cc} -w -pthread -o "$work/build/$name" ./*.c) \
        >"$work/said" 2>&1
}

# Ends the script if the program as it is does not pass, or is skipped.
must_pass() {
    local status=0
    cp "$source" "$copy"
    { build && "$scripts/check.sh" "$work/build/$name" >"$work/said" 2>&1; } ||
        status=$?
    case $status in
        0) return ;;
        77) cat "$work/said" ;;
        *)
            tap 'not ok' "$title: it fails as it is, before the edit"
            plainly "$work/said" | sed 's/^/# /'
            echo "# next: to undo your change: git checkout" \
                "labs/$name expected/$name.txt"
            status=1
            ;;
    esac
    exit "$status"
}

# What check.sh said in file $1, without its verdict's form and its advice.
plainly() {
    sed -E '/^1\.\.1$/d; s/^not ok - [^:]*: /The check says: /; s/^# ?//
        /^next:/d' "$1"
}

# Tries edit $1, leaves what came of it in $work/said, and says what is wrong
# with the edit, if anything.
try() {
    local status=0
    apply "$1" || return 0
    if grep -q 'not compile' "$work/$1.text"; then
        ! build || echo 'it compiles, and its text says that it does not'
    elif ! build; then
        echo 'it does not compile'
    else
        "$scripts/check.sh" "$work/build/$name" >"$work/said" 2>&1 || status=$?
        case $status in
            0) echo 'it changes nothing' ;;
            77) echo 'it has the lab skipped' ;;
            *) ;; # it makes a difference
        esac
    fi
}

# What edit $1 asks, is, and does.
show() {
    sed '/^$/d' "$work/$1.question"
    echo
    cat "$work/$1.diff"
    echo
    plainly "$work/said"
    [[ ! -e $answers ]] ||
        echo "Why: labs/$name/answers.md, \"What the edits do\", edit $1"
}

main() {
    need_lab "${1-}" $# '[EDIT=2] scripts/prove/break.sh LAB (labs/05-...)'
    [[ -f $1/README.md ]] || refuse "$1/README.md: no such file"
    local edit=0 wrong bad=()
    readme=$1/README.md
    answers=$1/answers.md
    source=$1/$slug.c
    trap remove_work EXIT
    make_work
    copy=$work/labs/$name/$slug.c
    mkdir -p "$work/build" "${copy%/*}"
    ln -s "$suite/common" "$work/common"
    must_pass

    if [[ -n ${EDIT-} ]]; then
        extract "$EDIT" || refuse "EDIT=$EDIT: no such edit in $readme;" \
            "the edits are: $(sed -n 's/^\*\*Edit \([0-9]*\).*/\1/p' "$readme" |
                paste -sd ' ')"
        wrong=$(try "$EDIT")
        show "$EDIT"
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
