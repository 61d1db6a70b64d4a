#!/usr/bin/env bash
# load.sh -- is a lab's output the same when every processor is busy?
#
# usage: scripts/prove/load.sh PROGRAM...
#
# Keeps every processor busy and judges each program RUNS times (100) with
# check.sh. Prints a line of TAP for each, and what the first bad run said.
#
# Exit status: 0 if every run was as expected; 1; 2 for wrong usage.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
runs=${RUNS:-100}
(($# > 0)) || refuse 'usage: [RUNS=100] scripts/prove/load.sh PROGRAM...'
[[ $runs =~ ^[1-9][0-9]*$ ]] || refuse "RUNS=$runs: want a number of runs"

# shellcheck disable=SC2046 # each process is a word of its own
trap 'kill $(jobs -p); wait || true; remove_work' EXIT
make_work
for ((i = $(nproc); i > 0; i--)); do
    while :; do :; done &
done

# Judges program $1 again and again, and says once what came of it.
judge() {
    local bad=0 skip='' run verdict
    lab_of "$1"
    for ((run = 1; run <= runs; run++)); do
        verdict=0
        "$scripts/check.sh" "$1" >"$work/$name" 2>&1 || verdict=$?
        case $verdict in
            0) ;;
            77) skip=' # SKIP the lab was skipped' ;;
            *)
                ((++bad > 1)) || sed 1,2d "$work/$name" >"$work/$name.bad"
                ;;
        esac
    done
    if ((bad == 0)); then
        echo "ok - $title ($runs runs under load)$skip"
    else
        echo "not ok - $title: $bad of $runs runs under load; the first:
$(<"$work/$name.bad")"
    fi
}

echo "1..$#"
# In a shell of its own, which does not wait for the busy loops.
(beside "$((2 * $(nproc)))" judge < <(printf '%s\n' "$@"))
[[ -z $(compgen -G "$work/*.bad") ]]
