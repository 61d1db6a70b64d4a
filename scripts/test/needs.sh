#!/usr/bin/env bash
# needs.sh -- what each lab needs of a machine, from the guards in its program
#
# usage: scripts/test/needs.sh
#
# Prints a row for each lab that may be skipped, for the table in labs/README.md:
# the reasons that its program gives to skip(), and what need_proc(),
# need_loopback() and need_own_directory() want. All else in the labs holds since Linux 5.10.
#
# Exit status: 0.
set -euo pipefail

cd "$(dirname -- "${BASH_SOURCE[0]}")/../.."
for source in labs/[0-9]*/*.c; do
    name=$(basename "$(dirname "$source")")
    perl -0777 -ne '
        push @needs, "`/proc`" if /^    need_proc\(\);/m;
        push @needs, "the loopback, with AF_INET" if /^    need_loopback\(\);/m;
        push @needs, "a directory in which it may make files"
            if /^    need_own_directory\(\);/m;
        while (/\bskip\(((?:\s*"[^"]*")+)\)/g) {
            my $reason = join "", $1 =~ /"([^"]*)"/g;
            push @needs, "\"$reason\"";
        }
        print join("; ", @needs), "\n" if @needs' "$source" |
        sed "s,.*,| [$((10#${name%%-*}))]($name/README.md) | & |,"
done
