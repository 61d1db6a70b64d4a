#!/usr/bin/env bash
# tally.sh -- count what passed, failed and was skipped
#
# usage: scripts/tally.sh FILE...                 (TAP, one file for each check)
#
# A file without a single result is a check that never ran: a failure. So are
# the results that its plans ("1..12") announce and that never came.
#
# Exit status: 0 if nothing failed and something was counted; 1; 2 for usage.
set -euo pipefail

if (($# == 0)); then
    echo 'tally.sh: usage: scripts/tally.sh FILE...' >&2
    exit 2
fi
passed=0 failed=0 skipped=0
for file in "$@"; do
    results=0 plan=0
    while IFS= read -r line; do
        case $line in
            'not ok '*) ((++failed, ++results)) ;;
            'ok '*'# SKIP'* | 'ok '*'# skip'*) ((++skipped, ++results)) ;;
            'ok '*) ((++passed, ++results)) ;;
            1..[0-9]*) ((plan += ${line#1..})) ;;
            *) ;;
        esac
    done <"$file"
    ((plan > 0)) || plan=1
    if ((results < plan)); then
        echo "tally.sh: ${file##*/}: $results results of $plan" >&2
        ((failed += plan - results))
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed + skipped > 0))
