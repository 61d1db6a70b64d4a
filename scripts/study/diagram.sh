#!/usr/bin/env bash
# diagram.sh -- draw who sent what to whom in a run of a lab
#
# usage: scripts/study/diagram.sh PROGRAM        (build/05-seqpacket-vs-stream)
#        STEP=3 scripts/study/diagram.sh PROGRAM
#
# Runs the lab under strace, as trace.sh does, and draws a sequence diagram of
# each step: as text, and as build/diagram/05.svg (with STEP=3: 05-3.svg).
#
# Exit status: 0; 1 if the lab failed, or nothing can be traced here; 2 for
# wrong usage; 77 if the lab was skipped; 124 if its time was up.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
# shellcheck source=scripts/study/record.bash
. "$scripts/study/record.bash"

# $1 is svg, or nothing for text.
draw() {
    awk -v form="$1" -v only="${STEP-}" -f "$scripts/study/diagram.awk" \
        "$table" "$table"
}

need_lab "${1-}" $# '[STEP=3] scripts/study/diagram.sh PROGRAM'
check_step
record "$1"
draw ''
picture=build/diagram/${name%%-*}${STEP:+-$STEP}.svg
draw svg >"$work/svg"
mkdir -p "$suite/build/diagram" 2>/dev/null || true
mv -fT "$work/svg" "$suite/$picture" 2>/dev/null ||
    refuse "cannot write $picture: make its directory yours, or remove it"
echo
echo "as a picture: $picture"
end_as_the_lab_did
