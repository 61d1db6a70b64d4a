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
        for page in README answers; do
            title_line=$(head -n 1 "$lab/$page.md")
            [[ $title_line == "# Lab $number: "* ]] ||
                report "$lab/$page.md" 1 "want '# Lab $number: ...'"
        done
    done
}

# Each mention of a directory, by its slug.
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
}

# Each number: "lab 5" has to be there, "[lab 5](../05-...)" has to lead to it, and
# "lab 5, step 3" has to be one of its steps. A mention may go over two lines,
# and a comment may have its asterisk there.
numbers() {
    local found
    # shellcheck disable=SC2016 # it is perl that expands them
    found=$(perl -0777 -ne '
        sub report { printf "%s:%d: %s\n", $ARGV, 1 + (substr($_, 0, $_[0]) =~ tr/\n//), $_[1] }
        my $gap = qr/\s+(?:\*\s+)?/;
        while (/\blabs?$gap(\d+)(\]\([^)]*?(\d\d)-[^)]*\))?(?:,${gap}step$gap(\d+))?/gi) {
            my ($at, $lab, $leads, $step) = ($-[0], $1, $3, $4);
            my ($expected) = glob sprintf("expected/%02d-*.txt", $lab);
            report($at, "there is no lab $lab"), next unless $expected;
            report($at, "a link says lab $lab and leads to lab $leads")
                if defined $leads && $leads != $lab;
            next unless defined $step;
            open my $file, "<", $expected or die;
            report($at, "lab $lab has no step $step")
                unless <$file> =~ /^$step\. /m; # -0777: a file is one line
        }' README.md labs/*.md labs/*/*.{c,md} common/*.h scripts/*.md scripts/*/*.md)
    [[ -z $found ]] || {
        echo "$found"
        wrong=yes
    }
}

wrong=
own_pages
mentions
numbers
[[ -z $wrong ]]
