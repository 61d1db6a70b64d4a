#!/usr/bin/env bash
# course.sh -- the table of labs/README.md, from what each lab's README says
#
# usage: scripts/test/course.sh
#
# Prints a row for each lab: its number, its question, how many minutes it takes
# without and with Build it, and which labs one should know before. All this
# stands in the first lines of the lab's README: "20 minutes, and 20 more for
# *Build it*. You should know ... ([lab 24](...))."
#
# Exit status: 0; 1 if a README does not begin so.
set -euo pipefail

cd "$(dirname -- "${BASH_SOURCE[0]}")/../.."

# The first paragraph of page $1 after its title, in one line.
opening() {
    awk 'NR > 1 && NF { found = 1; printf "%s ", $0 } found && !NF { exit }' "$1"
}

status=0
for readme in labs/[0-9]*/README.md; do
    name=${readme#labs/}
    name=${name%/README.md}
    number=$((10#${name%%-*}))
    question=$(sed -n '1s/^# Lab [0-9]*: //p' "$readme")
    text=$(opening "$readme")
    if [[ ! $text =~ ^([0-9]+)\ minutes,\ and\ ([0-9]+)\ more\ for ]]; then
        echo "$readme: want \"20 minutes, and 20 more for *Build it*. ...\"" >&2
        status=1
        continue
    fi
    minutes=${BASH_REMATCH[1]}
    build=${BASH_REMATCH[2]}
    needs=$(grep -oiE '\[(lab )?[0-9]+\]' <<<"$text" | tr -dc '0-9\n' |
        sort -nu | paste -sd ' ') || true # lab 1 needs none
    needs=${needs:--}
    echo "| [$number]($name/README.md) | $question | $minutes | $build | ${needs// /, } |"
done
exit "$status"
