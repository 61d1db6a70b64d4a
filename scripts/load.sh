#!/usr/bin/env bash
# load.sh -- is a lab's output the same when every processor is busy?
#
# usage: scripts/load.sh PROGRAM...
#
# Keeps every processor busy and judges each program RUNS times (100) with
# check.sh. Prints a line of TAP for each, and what the first bad run said.
#
# Exit status: 0 if every run was as expected; 1; 2 for wrong usage.
set -euo pipefail

scripts=$(dirname -- "${BASH_SOURCE[0]}")
runs=${RUNS:-100}
if (($# == 0)) || [[ ! $runs =~ ^[1-9][0-9]*$ ]]; then
    echo 'load.sh: usage: [RUNS=100] scripts/load.sh PROGRAM...' >&2
    exit 2
fi

work=$(mktemp -d)
# shellcheck disable=SC2046 # each process is a word of its own
trap 'kill $(jobs -p); wait || true; rm -rf "$work"' EXIT
for ((i = $(nproc); i > 0; i--)); do
    while :; do :; done &
done

# Judges program $1 again and again, and says once what came of it.
judge() {
    local name=${1##*/} bad=0 skip='' run verdict
    local title="$((10#${name%%-*})) - ${name#*-}"
    for ((run = 1; run <= runs; run++)); do
        verdict=0
        "$scripts/check.sh" "$1" >"$work/$name" 2>&1 || verdict=$?
        case $verdict in
            0) ;;
            77) skip=' # SKIP the lab was skipped' ;;
            *)
                ((++bad > 1)) ||
                    sed 's/^/# /' "$work/$name" >"$work/$name.bad"
                ;;
        esac
    done
    if ((bad == 0)); then
        echo "ok $title ($runs runs under load)$skip"
    else
        echo "not ok $title: $bad of $runs runs under load; the first:
$(<"$work/$name.bad")"
    fi
}

judges=()
for program in "$@"; do
    ((${#judges[@]} < 2 * $(nproc))) || {
        wait "${judges[0]}"
        judges=("${judges[@]:1}")
    }
    judge "$program" &
    judges+=("$!")
done
wait "${judges[@]}"
[[ -z $(compgen -G "$work/*.bad") ]]
