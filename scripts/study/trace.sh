#!/usr/bin/env bash
# trace.sh -- show what a lab prints, and the system calls that it makes for it
#
# usage: scripts/study/trace.sh PROGRAM          (build/05-seqpacket-vs-stream)
#        STEP=3 scripts/study/trace.sh PROGRAM
#
# Runs the lab under strace. What the lab prints stands at the margin; the calls
# of each role are indented, in the order in which they were made. 3:A1 is
# descriptor 3 of that process, and A1 one end of a connection, A2 the other.
#
# Exit status: 0; 1 if the lab failed, or nothing can be traced here; 2 for
# wrong usage; 77 if the lab was skipped; 124 if its time was up.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
# shellcheck source=scripts/study/record.bash
. "$scripts/study/record.bash"

need_lab "${1-}" $# '[STEP=3] scripts/study/trace.sh PROGRAM'
check_step
record "$1"
awk -v only="${STEP-}" -f "$scripts/study/trace.awk" "$table"
end_as_the_lab_did
