# shellcheck shell=bash
# edits.bash -- the edits that a lab's README proposes, and how to make them
#
# Sourced after lab.bash by who makes edits: break.sh and mend.sh.
#
# shellcheck disable=SC2154 # scripts, suite, name, slug, work: see lab.bash

# Makes room for the edits of the lab in directory $1, which lab_of has named:
# below $work, the program's copy is $2/NN-slug/slug.c.
lay_out() {
    readme=$1/README.md
    answers=$1/answers.md
    source=$1/$slug.c
    copy=$work/$2/$name/$slug.c
    mkdir -p "$work/build" "${copy%/*}"
    ln -s "$suite/common" "$work/common"
}

# The numbers of the edits.
edits() {
    sed -n 's/^\*\*Edit \([0-9]*\).*/\1/p' "$readme"
}

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
# answers say of it. What the README says is also in $work/$1.question.
extract() {
    rm -f "$work/$1".{text,diff}
    extract_from "$1" "$readme" 'Break it' || return 1
    [[ -s $work/$1.diff ]] || return 1
    cp "$work/$1.text" "$work/$1.question"
    extract_from "$1" "$answers" 'What the edits do' || return 1
}

# The same for the edit that EDIT says, if there is one.
extract_wanted() {
    if [[ ! $EDIT =~ ^[0-9]+$ ]] || ! extract "$EDIT"; then
        refuse "EDIT=$EDIT: no such edit in labs/$name/README.md;" \
            "the edits are: $(edits | paste -sd ' ')"
    fi
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

# Builds the copy as a student would; the lab's name is its name.
build() {
    rm -f "$work/build/$name"
    (cd "$work" && ${CC:-cc} -w -pthread -o "build/$name" "${copy#"$work/"}") \
        >"$work/said" 2>&1
}

# Judges what was built, and leaves what the check says in $work/said.
check() {
    STEP='' LAB_PAUSE='' "$scripts/check.sh" "$work/build/$name" \
        >"$work/said" 2>&1
}

# Does not compile on purpose?
is_no_program() {
    grep -q 'not compile' "$work/$1.text"
}

# Tries edit $1, leaves what came of it in $work/said, and says what is wrong
# with the edit, if anything.
try() {
    local status=0
    apply "$1" || return 0
    if is_no_program "$1"; then
        ! build || echo 'it compiles, and its text says that it does not'
    elif ! build; then
        echo 'it does not compile'
    else
        check || status=$?
        case $status in
            0) echo 'it changes nothing' ;;
            77) echo 'it has the lab skipped' ;;
            *) ;; # it makes a difference
        esac
    fi
}

# Ends the script if the program as it is does not pass, or is skipped: any edit
# would seem to matter.
must_pass() {
    local status=0
    cp "$source" "$copy"
    { build && check; } || status=$?
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
