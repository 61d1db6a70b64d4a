#!/usr/bin/env bash
# moved.sh -- does every page and program name each lab by its number?
#
# usage: scripts/test/moved.sh
#
# To move a lab, rename its directory and its expected output; then this says
# what else names it by the old number: the second line of the program, the link
# beside it, the titles of its pages, the links to it, the table in the README.
#
# Exit status: 0 all fit; 1 something does not.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
cd "$suite"

# Prints $1:$2, where something is wrong, and what ought to be there.
report() {
    echo "$1:$2: $3"
    wrong=yes
}

# The second line of each program, the link to the output, the titles.
own_pages() {
    local lab title_line
    for lab in labs/[0-9]*/; do
        lab=${lab%/}
        lab_of "$lab"
        [[ $(sed -n 2p "$lab/$slug.c" 2>/dev/null) == " * $name -- "* ]] ||
            report "$lab/$slug.c" 2 "want ' * $name -- the question?'"
        [[ $(readlink "$lab/expected.txt") == "../../expected/$name.txt" ]] ||
            report "$lab/expected.txt" 1 "want a link to ../../expected/$name.txt"
        [[ -e $lab/answers.md ]] || continue
        for page in README answers; do
            title_line=$(head -n 1 "$lab/$page.md")
            [[ $title_line == "# Lab $number: "* ]] ||
                report "$lab/$page.md" 1 "want '# Lab $number: ...'"
        done
    done
}

# Each mention: of a directory, by its slug; of a number, that there is such a
# lab; and of both in a link, that they agree.
mentions() {
    local file line text said slug is
    while IFS=: read -r file line text; do
        while [[ $text =~ (^|[^0-9])([0-9]{2})-([a-z]+(-[a-z]+)*) ]]; do
            said=${BASH_REMATCH[2]} slug=${BASH_REMATCH[3]}
            text=${text#*"$said-$slug"}
            is=(labs/??-"$slug")
            [[ -d ${is[0]} ]] || continue
            [[ ${is[0]} == "labs/$said-$slug" ]] ||
                report "$file" "$line" "$said-$slug: want ${is[0]#labs/}"
        done
    done < <(grep -nE '[0-9]{2}-[a-z]' README.md labs/*/*.{c,md} \
        scripts/*/*.{sh,md,mk,c} /dev/null 2>/dev/null)
    for file in README.md labs/*/*.md scripts/*.md scripts/*/*.md; do
        [[ -e $file ]] || continue
        # A link may be broken between two lines.
        while read -r said is; do
            ((10#$said == 10#$is)) ||
                report "$file" 1 "a link says lab $said and leads to lab $is"
        done < <(tr '\n' ' ' <"$file" |
            grep -oE '\[([Ll]ab )?[0-9]+\]\([./a-z]*[0-9]{2}-[^)]*\)' |
            sed -E 's/^\[([Ll]ab )?([0-9]+)\]\([^0-9]*([0-9]{2})-.*/\2 \3/')
        while read -r said; do
            is=(labs/"$(printf '%02d' "$((10#$said))")"-*)
            [[ -d ${is[0]} ]] ||
                report "$file" 1 "there is no lab $said"
        done < <(tr '\n' ' ' <"$file" | grep -oE '\b[Ll]ab [0-9]+' |
            sed 's/.* //')
    done
}

wrong=
own_pages
mentions
[[ -z $wrong ]]
