#!/usr/bin/env bash
# break.sh -- does each edit of a lab's "Break it" break it?
#
# usage: scripts/break.sh LAB                    (labs/05-seqpacket-vs-stream)
#        EDIT=2 scripts/break.sh LAB
#
# Makes each edit in a copy of the program, builds that, and judges it with
# check.sh, which must find a difference. Where the README says that it does not
# compile, it must not. The old text of an edit is to occur once in the program,
# so that nobody wonders where it belongs. With EDIT shows what that one does.
# The program as it is has to pass first: else any edit would seem to matter.
#
# Exit status: 0 each makes the difference; 1; 2 for wrong usage; 77 skipped.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

refuse() {
    echo "break.sh: $*" >&2
    exit 2
}

# Leaves what the README says of edit $1 in $work/$1.text and .diff; fails if it
# has no such edit.
extract() {
    awk -v edit="**Edit $1.**" -v out="$work/$1" '
        /^## / || /^\*\*Edit / { inside = index($0, edit) == 1 && breaking }
        /^## / { breaking = $0 == "## Break it" }
        /^```/ { diff = !diff; next }
        inside { print >(out (diff ? ".diff" : ".text")); n += diff }
        END { exit !n }' "$readme"
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
            echo "not ok $title: it fails as it is, before the edit"
            sed '1s/^not ok [^:]*:/#/; /^# next:/d' "$work/said"
            echo "# next: to undo your change: git checkout ${readme%/*}" \
                "expected/$name.txt"
            status=1
            ;;
    esac
    exit "$status"
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

# What edit $1 says, is, and does.
show() {
    sed '/^$/d' "$work/$1.text"
    echo
    cat "$work/$1.diff"
    echo
    sed '1s/^not ok [^:]*: /The check says: /; /^# next:/d' "$work/said"
    echo
}

main() {
    [[ $# == 1 && $(basename -- "$1") =~ ^[0-9]+-. ]] ||
        refuse 'usage: [EDIT=2] scripts/break.sh LAB (labs/05-...)'
    [[ -f $1/README.md ]] || refuse "$1/README.md: no such file"
    local title edit=0 wrong bad=()
    name=$(basename -- "$1")
    title="$((10#${name%%-*})) - ${name#*-}"
    readme=$1/README.md
    source=$1/${name#*-}.c
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    copy=$work/labs/$name/${name#*-}.c
    mkdir -p "$work/build" "${copy%/*}"
    ln -s "$scripts/../common" "$work/common"
    must_pass

    if [[ -n ${EDIT-} ]]; then
        extract "$EDIT" || refuse "EDIT=$EDIT: no such edit in $readme;" \
            "the edits are: $(sed -n 's/^\*\*Edit \([0-9]*\).*/\1/p' "$readme" |
                paste -sd ' ')"
        wrong=$(try "$EDIT")
        show "$EDIT"
        [[ -z $wrong ]] || echo "not ok $title: edit $EDIT: $wrong"
        [[ -z $wrong ]]
        return
    fi
    while extract $((edit + 1)); do
        ((++edit))
        wrong=$(try "$edit")
        [[ -z $wrong ]] || bad+=("edit $edit: $wrong")
    done
    (($(grep -c '^\*\*Edit ' "$readme") == edit)) ||
        bad+=("edit $((edit + 1)): this number is missing, or its diff is")
    ((edit >= 2)) || bad+=("a lab has at least two edits")
    if ((${#bad[@]} == 0)); then
        echo "ok $title: $edit edits, each makes a difference"
    else
        echo "not ok $title: $edit edits, ${#bad[@]} wrong"
        printf '# %s\n' "${bad[@]}"
    fi
    ((${#bad[@]} == 0))
}

main "$@"
