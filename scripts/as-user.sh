#!/usr/bin/env bash
# as-user.sh -- does a lab print the same as an ordinary user?
#
# usage: scripts/as-user.sh PROGRAM...
#
# Root may do what others may not, so root's evidence is not everybody's: gives
# a copy of the programs to an ordinary user, who judges them with check.sh.
# For anybody else that is what 'make check' does, and this is skipped.
#
# Exit status: 0 if all are as expected; 1; 2 for wrong usage.
set -euo pipefail

if (($# == 0)); then
    echo 'as-user.sh: usage: scripts/as-user.sh PROGRAM...' >&2
    exit 2
fi
if ((EUID != 0)); then
    echo "ok - as an ordinary user # SKIP you are one: 'make check' did it"
    exit 0
fi
work=$(TMPDIR=/tmp mktemp -d) # where that user can follow
trap 'rm -rf "$work"' EXIT
mkdir -m 755 "$work/user"
mkdir -m 1777 "$work/tmp"
cp "$@" "$work/user"
cp -R "$(dirname -- "${BASH_SOURCE[0]}")/../"{scripts,expected} "$work"
chmod -R go+rX "$work"

status=0
cd "$work"
for program in user/*; do
    TMPDIR=$work/tmp setpriv --reuid=65534 --regid=65534 --clear-groups \
        scripts/check.sh "$program" || status=1
done
exit "$status"
