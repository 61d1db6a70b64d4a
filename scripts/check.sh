#!/usr/bin/env bash
# check.sh -- does a lab print what is expected, nothing else, and end well?
#
# usage: scripts/check.sh [--live] PROGRAM       (build/05-seqpacket-vs-stream)
#
# Runs the program with run.sh, compares its output with expected/ and prints a
# line of TAP; where they differ, also a diff and what to try next. With --live
# the output is shown while it comes. tally.sh counts such lines.
#
# Exit status: 0 as expected; 1 not as expected; 2 for wrong usage; 77 skipped,
# because this kernel lacks what the lab is about; 124 if the time was up.
set -euo pipefail

scripts=$(dirname -- "${BASH_SOURCE[0]}")

# Runs program $1, leaves what it printed in out and err, returns its status.
# Live, standard error goes round the pipeline that copies standard output.
run() {
    if [[ -z $live ]]; then
        "$scripts/run.sh" "$1" >"$work/out" 2>"$work/err"
    else
        { "$scripts/run.sh" --live "$1" 2>&1 >&3 | tee "$work/err" >&2; } \
            3>&1 | tee "$work/out"
    fi
}

# Why a run with status $1 is not as expected, or nothing if it is.
complaint() {
    local signal
    if (($1 == 124)); then
        echo 'the time was up'
    elif (($1 > 128)) && signal=$(kill -l "$1" 2>/dev/null); then
        echo "ended by SIG$signal"
    elif (($1 != 0)); then
        echo "exit status $1"
    elif [[ -s $work/err ]]; then
        echo 'it printed on standard error'
    elif [[ ! -e $expected ]]; then
        echo "there is no ${expected#"$scripts/../"}"
    elif ! cmp -s "$expected" "$work/out"; then
        echo "it differs from ${expected#"$scripts/../"}"
    fi
}

# What the reader needs to see of lab number $1 with status $2, and to try next.
# If the lab ended early, what it did not come to would only hide the reason: it
# is compared as far as it came.
explain() {
    local colour=auto lines
    [[ -z ${NO_COLOR-} && ${TERM-} != dumb ]] || colour=never
    [[ -n $live ]] || sed 's/^/# /' "$work/err"
    if [[ -e $expected ]]; then
        lines=$(wc -l <"$work/out")
        (($2 != 0)) || lines=-0 # all of it
        diff -u --color="$colour" --label "${expected#"$scripts/../"}" \
            --label yours <(head -n "$lines" "$expected") "$work/out" || true
    fi
    if (($2 != 0)); then
        [[ -n $live ]] || echo "# next: 'make lab-$1' shows how far it came"
        return
    fi
    echo "# next: undo the change; or, if this output is right: make accept-$1"
}

main() {
    live=
    if [[ ${1-} == --live ]]; then
        live=yes
        shift
    fi
    if (($# != 1)) || [[ ! ${1##*/} =~ ^[0-9]+-. ]]; then
        echo 'check.sh: usage: scripts/check.sh [--live] PROGRAM' >&2
        exit 2
    fi
    local name=${1##*/} number title variant why status=0
    number=$((10#${name%%-*}))
    title="$number - ${name#*-}"
    variant=$(basename -- "$(dirname -- "$1")")
    [[ $variant == build ]] || title+=" ($variant)"
    if [[ ! -x $1 ]]; then
        echo "not ok $title: it does not compile, there is no $1"
        command -v cc >/dev/null ||
            echo "# next: 'scripts/setup.sh' installs a C compiler"
        exit 1
    fi

    expected=$scripts/../expected/$name.txt
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if [[ -n $live && ${LAB_PAUSE-} == 1 && -t 0 ]]; then
        echo 'Press Enter after each question.'
    fi
    run "$1" || status=$?
    [[ -z $live ]] || echo
    if ((status == 77)); then
        echo "ok $title # SKIP $(head -n 1 "$work/err")"
        exit 77
    fi
    why=$(complaint "$status")
    if [[ -z $why ]]; then
        echo "ok $title"
        exit 0
    fi
    echo "not ok $title: $why"
    explain "$number" "$status"
    exit $((status == 124 ? 124 : 1))
}

main "$@"
