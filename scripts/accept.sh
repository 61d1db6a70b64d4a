#!/usr/bin/env bash
# accept.sh -- make what a lab prints now its expected output
#
# usage: scripts/accept.sh PROGRAM               (build/05-seqpacket-vs-stream)
#
# Runs the program twice and refuses if it fails, or if the two runs differ:
# such an output is no evidence. Shows the difference before it writes.
#
# Exit status: 0 accepted, or nothing to accept; 1 refused; 2 for wrong usage.
set -euo pipefail

scripts=$(dirname -- "${BASH_SOURCE[0]}")

refuse() {
    printf 'accept.sh: %s: %s; nothing was changed\n' "$name" "$1" >&2
    exit 1
}

if (($# != 1)); then
    echo 'accept.sh: usage: scripts/accept.sh PROGRAM' >&2
    exit 2
fi
name=${1##*/}
expected=expected/$name.txt
cd "$scripts/.."
[[ -x $1 ]] || refuse "it does not compile, there is no $1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for run in 1 2; do
    scripts/run.sh "$1" >"$work/$run" 2>"$work/err" ||
        refuse "run $run failed: $(head -n 1 "$work/err")"
    [[ ! -s $work/err ]] ||
        refuse "it printed on standard error: $(head -n 1 "$work/err")"
done
diff -u --label 'first run' --label 'second run' "$work/1" "$work/2" ||
    refuse 'two runs differ'
before=$expected
[[ -e $expected ]] || before=/dev/null
if diff -u --label "$expected" --label yours "$before" "$work/1"; then
    echo "$expected: nothing to accept"
elif cp "$work/1" "$expected" 2>/dev/null; then
    echo "$expected: accepted"
else
    refuse "cannot write $expected"
fi
