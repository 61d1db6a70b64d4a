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
busy=()
trap 'kill "${busy[@]}"; rm -rf "$work"' EXIT
for ((i = $(nproc); i > 0; i--)); do
    while :; do :; done &
    busy+=("$!")
done

status=0
for program in "$@"; do
    name=${program##*/}
    bad=0 skip=
    for ((run = 1; run <= runs; run++)); do
        verdict=0
        "$scripts/check.sh" "$program" >"$work/run" 2>&1 || verdict=$?
        case $verdict in
            0) ;;
            77) skip=' # SKIP the lab was skipped' ;;
            *) ((++bad > 1)) || sed 's/^/# /' "$work/run" >"$work/first" ;;
        esac
    done
    title="$((10#${name%%-*})) - ${name#*-}"
    if ((bad == 0)); then
        echo "ok $title ($runs runs under load)$skip"
    else
        echo "not ok $title: $bad of $runs runs under load; the first:"
        cat "$work/first"
        status=1
    fi
done
exit "$status"
