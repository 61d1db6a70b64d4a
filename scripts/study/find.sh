#!/usr/bin/env bash
# find.sh -- what do the labs show of an error, a call, an option, a word?
#
# usage: [ALL=1] scripts/study/find.sh WHAT   (EAGAIN, 11, "Broken pipe", recv)
#
# Prints the lines of evidence that have WHAT, each under the question of its
# step, then the answers that explain them. An error may be given by its name,
# its number, its text or some words of it, or as a log has it, with more
# around. Several words are a phrase; if no place has it, all of them have to be
# in one place. First come the rows and items of labs/problems.md that fit, and
# before them those that have other words of WHAT, too; if none fits, those that
# have the longest part of WHAT. If there is nothing, says what is near, and what
# to try. If there is much, of the answers it says only where they are, and of
# the evidence nothing, if that is still too much; but for ALL=1.
#
# Exit status: 0 found; 1 not found; 2 for wrong usage.
set -euo pipefail
export LC_ALL=C

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"

# A line for each error of this machine: its name, number and text.
errors() {
    # shellcheck disable=SC2016 # they are perl's
    perl -MErrno -e 'for (sort keys %!) {
        $! = Errno->$_();
        print "$_\t", 0 + $!, "\t$!\n"
    }'
}

# The lines of $errors that $1 means. If a text is in $1, with more around, it
# is the longest one: "No such device" is in "No such device or address", too.
# Python says "[Errno 2]", and Rust "(os error 2)".
meant_by() {
    words=$1 awk -F '\t' '
        BEGIN { words = ENVIRON["words"] }
        {
            text = tolower($3)
            line[NR] = $0
            number[NR] = $2
            if (words == tolower($1) || words == $2 "" || words == "-" $2 ||
                words ~ ("(errno|os error)[ :=]*-?" $2 "([^0-9]|$)") ||
                (words ~ / / && index(text, words)))
                meant[$2] = found = 1
            else if (index(words, text) && length(text) > longest) {
                longest = length(text)
                best = $2
            }
        }
        END {
            if (!found)
                meant[best] = 1
            for (i = 1; i <= NR; i++)
                if (number[i] in meant)
                    print line[i]
        }' <<<"$errors"
}

# The pattern for $1, in whole words. If it means an error, then for all its
# names and its text.
pattern() {
    local meant
    meant=$(meant_by "$1" | cut -f 1,3)
    tr 'A-Z\t' 'a-z\n' <<<"${meant:-$1}" | sort -u |
        sed 's/[][\\.^$+?(){}|]/\\&/g' | paste -sd '|' |
        sed 's/.*/(^|[^a-z0-9_])(&)([^a-z0-9_]|$)/'
}

# The same for each of the words; here a number is just a number.
patterns() {
    local word
    for word in "$@"; do
        if [[ $word =~ ^-?[0-9]+$ ]]; then
            errors='' pattern "$word"
        else
            pattern "$word"
        fi
    done
}

search() {
    WANTED=$1 awk -v places="${2-}" -f "$scripts/study/wanted.awk" \
        -f "$scripts/study/find.awk" expected/*.txt labs/*/*.md
}

# The rows of labs/problems.md that have the patterns $1, or stand below a heading
# that has them: what one sees, why, and the lab that shows it; before the rows
# of such a heading, how to tell which of them is meant. The items of its list,
# which have no lab, are found in the same way. A word of five letters or more
# may go on here: "restart" finds "restarted".
problems() {
    local patterns
    [[ -e labs/problems.md ]] || return 0
    patterns=$(sed -E 's/([a-z]{5})([|)])/\1[a-z]*\2/g' <<<"$1")
    WANTED=$patterns awk -f "$scripts/study/wanted.awk" \
        -f "$scripts/study/problems.awk" labs/problems.md |
        fold -s -w 78 | sed 's/ *$//; s/^[^-]/  &/'
}

# Prints the rows of labs/problems.md for the patterns $1, under heading $2.
# Fails if there are none.
show_rows() {
    local rows
    rows=$(problems "$1")
    [[ -n $rows ]] || return 1
    printf '%s:\n%s\n\n' "$2" "$rows"
}

# The same for the longest part of the line $1 of a log that is on that page:
# the names and numbers round it are those of one machine. $2 words of the part
# have to be long. With pattern $3, only the rows that have it, too.
show_rows_of_part() {
    local part
    [[ -e labs/problems.md ]] || return 1
    part=$(WANTED=$1 awk -v least="$2" -f "$scripts/study/longest.awk" \
        labs/problems.md)
    [[ -n $part ]] || return 1
    show_rows "${3+$3$'\n'}$(pattern "$part" | sed 's/ /[^a-z0-9_]+/g')" \
        "In labs/problems.md, of \"$part\""
}

# Prints the line $1 of a log without the text of the error that it means, which
# is the third field of $meant, of main.
without_error() {
    local text
    text=$(head -n 1 <<<"$meant" | cut -f 3)
    [[ -z $text ]] || printf '%s\n' "${1//"${text,,}"/ }"
}

# Prints the evidence and the answers for the patterns $1. Fails if there are
# none.
show_labs() {
    local found next hidden=
    found=$(search "$1") || return
    if [[ -n ${ALL-} ]] || (($(wc -l <<<"$found") <= most)); then
        printf '%s\n' "$found"
        return
    fi
    found=$(search "$1" 1)
    if (($(wc -l <<<"$found") > most)); then
        found=$(search "$1" 2)
        hidden=', also the evidence'
    fi
    next="ALL=1 shows all$hidden"
    [[ $what == *' '*' '* ]] ||
        next="to find less, add a word: WHAT=\"$what ...\"; $next"
    printf '%s\n\nnext: %s\n' "$found" "$next"
}

# Prints what was found for $1: for all of it, or for all of its words in one
# place; and, of the page of problems, for its longest part. $meant and $named
# are main's. Fails if that is nothing.
show() {
    local words phrase each rest least=2 shown=1
    phrase=$(pattern "$1")
    rest=$(without_error "$1")
    # Beside an error, a row that is found by chance would lead away.
    [[ -z $named ]] || least=3
    [[ -z $rest ]] || show_rows_of_part "$rest" 3 "$phrase" || true
    if show_rows "$phrase" 'In labs/problems.md'; then
        show_labs "$phrase" || true
        return 0
    fi
    read -r -a words <<<"$1"
    each=$(patterns "${words[@]}")
    if show_rows "$each" 'In labs/problems.md' ||
        show_rows_of_part "$1" "$least"; then
        shown=0
    fi
    if show_labs "$phrase" || show_labs "$each"; then
        shown=0
    fi
    return "$shown"
}

# The error that $1 names among other words, or by its number in brackets:
# "socket failed (111)", "(11: ".
named_in() {
    words=$1 awk -F '\t' '
        ENVIRON["words"] ~ ("(^|[^a-z0-9_])" tolower($1) "([^a-z0-9_]|$)") ||
            ENVIRON["words"] ~ ("(^| )[(]" $2 "[):]") {
            if (ENVIRON["words"] != tolower($1) && !found++)
                print $1
        }' <<<"$errors"
}

# The words of the labs that have $1 in them, or that one might have meant: they
# begin in the same way, and take two changes of a letter or less.
near() {
    cat expected/*.txt labs/*/*.md | tr -cs 'A-Za-z0-9_' '\n' | sort -u |
        wanted=$1 awk '
            function min(a, b) { return a < b ? a : b }
            function changes(a, b,    i, j, cost) {
                for (i = 0; i <= length(a); i++)
                    for (j = 0; j <= length(b); j++)
                        if (i * j == 0)
                            cost[i, j] = i + j
                        else
                            cost[i, j] = min(cost[i - 1, j - 1] + \
                                (substr(a, i, 1) != substr(b, j, 1)), \
                                1 + min(cost[i - 1, j], cost[i, j - 1]))
                return cost[length(a), length(b)]
            }
            BEGIN { wanted = ENVIRON["wanted"] }
            length($0) > 2 {
                word = tolower($0)
                if (index(word, wanted) ||
                    (substr(word, 1, 1) == substr(wanted, 1, 1) &&
                        changes(word, wanted) <= min(2, length(wanted) / 2)))
                    print
            }' | sort -fu | head -n 10 | paste -sd ' '
}

# What is left of WHAT is in small letters, can't is cant, recv() or recv(2) is
# recv, (111) alone is 111, and 100 % is 100%.
main() {
    local what meant named close most=60
    what=$(tr 'A-Z\n\t' 'a-z  ' <<<"${1-}" | tr -d '`*' | tr -s ' ' |
        sed -E "s/n't/nt/g"';s/^ | $//g; s/ %/%/g
            s/^\(([0-9]+)\)$/\1/; s/([^ ])\(([0-9a-z]*\))?$/\1/')
    [[ $# == 1 && -n $what ]] ||
        refuse 'want a word: make find WHAT=EAGAIN, or WHAT="Broken pipe"'
    [[ ${ALL-} =~ ^1?$ ]] || refuse "ALL=$ALL: want 1 (the answers, too)"
    cd "$suite"
    errors=$(errors 2>/dev/null) || refuse 'perl, with its module Errno, is' \
        "missing: 'scripts/setup.sh' installs it"
    meant=$(meant_by "$what")
    [[ -z $meant ]] ||
        awk -F '\t' '{ print $1 " is error " $2 ": " $3 } END { print "" }' \
            <<<"$meant"
    named=
    [[ -n $meant ]] || named=$(named_in "$what")
    # A number in brackets may be one of the program's own.
    [[ -z $named ]] ||
        grep -qsw "$named" expected/*.txt labs/*.md labs/*/*.md || named=
    if show "$what"; then
        [[ -z $named ]] || printf '\nnext: make find WHAT=%s\n' "$named"
    elif [[ -n $named ]]; then
        main "$named"
    else
        close=$(near "$what")
        [[ -z $close ]] || close="; near: $close"
        if [[ $what =~ ^u_(str|dgr|seq) ]]; then
            close='; but see "A column of ss" in labs/problems.md'
        elif [[ $what == *' '* ]]; then
            close+='; try fewer of these words, or only the name of a'
            close+=' program, or look into labs/problems.md'
        fi
        echo "find.sh: nothing in the labs has \"$1\"$close" >&2
        exit 1
    fi
}

main "$@"
