#!/usr/bin/env bash
# accept.sh -- make what a lab prints now its expected output
#
# usage: scripts/accept.sh PROGRAM               (build/05-seqpacket-vs-stream)
#
# Runs the program twice and refuses if it fails, or if the two runs differ:
# such an output is no evidence. What is measured (see mask.sed) is masked. Shows
# the difference before it writes.
#
# Exit status: 0 accepted, or nothing to accept; 1 refused; 2 for wrong usage.
set -euo pipefail

scripts=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"

decline() {
    printf 'accept.sh: %s: %s; nothing was changed\n' "$name" "$1" >&2
    exit 1
}

need_lab "${1-}" $# 'scripts/accept.sh PROGRAM'
expected=$suite/expected/$name.txt
[[ -x $1 ]] || decline "it does not compile, there is no $1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for run in 1 2; do
    "$scripts/run.sh" "$1" 2>"$work/err" |
        sed -E -f "$scripts/mask.sed" >"$work/$run" ||
        decline "run $run failed: $(head -n 1 "$work/err")"
    [[ ! -s $work/err ]] ||
        decline "it printed on standard error: $(head -n 1 "$work/err")"
done
diff -u --label 'first run' --label 'second run' "$work/1" "$work/2" ||
    decline 'two runs differ'
before=$expected
[[ -e $expected ]] || before=/dev/null
if diff -u --label "expected/$name.txt" --label yours "$before" "$work/1"; then
    echo "expected/$name.txt: nothing to accept"
elif cp "$work/1" "$expected" 2>/dev/null; then
    echo "expected/$name.txt: accepted"
else
    decline "cannot write expected/$name.txt"
fi
