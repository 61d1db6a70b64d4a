#!/usr/bin/env bash
# tap.sh -- turn a command into one line of TAP
#
# usage: scripts/tap.sh NAME COMMAND [ARGUMENT...]
#
# "ok - NAME" if the command succeeds; "not ok - NAME" and what it printed if
# it does not. The exit status is the command's.
set -euo pipefail

if (($# < 2)); then
    echo 'tap.sh: usage: scripts/tap.sh NAME COMMAND [ARGUMENT...]' >&2
    exit 2
fi
name=$1
shift
status=0
output=$("$@" 2>&1) || status=$?
if ((status == 0)); then
    echo "ok - $name"
else
    echo "not ok - $name: $1 exited with status $status"
    [[ -z $output ]] || printf '%s\n' "$output" | sed 's/^/# /'
fi
exit "$status"
