#!/usr/bin/env bash
# as-user.sh -- does a lab print the same as an ordinary user?
#
# usage: scripts/prove/as-user.sh PROGRAM...
#
# Root may do what others may not, so root's evidence is not everybody's: gives
# a copy of the programs to an ordinary user, who judges them with check.sh.
# For anybody else that is what 'make check' does, and this is skipped.
#
# Exit status: 0 if all are as expected, or skipped; 1; 2 for wrong usage.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
(($# > 0)) || refuse 'usage: scripts/prove/as-user.sh PROGRAM...'
title='as an ordinary user'
((EUID == 0)) || tap_skip "you are one: 'make check' did it"
work=$(mktemp -d /tmp/labs.XXXXXX) # where that user can follow
trap 'rm -rf "$work"' EXIT
mkdir -m 755 "$work/user"
mkdir -m 1777 "$work/tmp"
cp "$@" "$work/user"
cp -R "$suite"/{scripts,expected} "$work"
chmod -R go+rX "$work"

status=0
cd "$work"
echo "1..$#"
for program in user/*; do
    verdict=0
    TMPDIR=$work/tmp setpriv --reuid=65534 --regid=65534 --clear-groups \
        scripts/check.sh "$program" >said || verdict=$?
    if ((verdict == 77)); then
        sed 's/^1\.\.0 # SKIP \(.*\): /ok - \1 # SKIP /' said
    else
        sed 1d said
        ((verdict == 0)) || status=1
    fi
done
exit "$status"
