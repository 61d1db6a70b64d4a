#!/usr/bin/env bash
# lint.sh -- does a linter find something in the suite?
#
# usage: scripts/prove/lint.sh shellcheck|shfmt|clang-format|clang-tidy
#
# Exit status: 0 nothing found; 1 something; 2 for wrong usage.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
cd "$suite"
shopt -s globstar nullglob
shell=(scripts/**/*.{sh,bash,bats})
[[ ! -e .ci/run ]] || shell+=(.ci/run)
programs=(labs/*/*.c scripts/**/*.c)

# Its analyzer goes through 30 000 states of a program: that finds what it finds
# in its usual 225 000, in a third of the time. One process for each program:
# version 14 takes the second va_list that it sees for one not initialized.
# shellcheck disable=SC2016,SC2317 # sh expands it; the array linter calls it
tidy() {
    printf '%s\0' "${programs[@]}" |
        xargs -0 -n 1 -P "$(nproc)" sh -c 'clang-tidy --quiet "$1" -- -Wall \
            -Xclang -analyzer-config -Xclang max-nodes=30000' --
}

case ${1-} in
    shellcheck) linter=(shellcheck "${shell[@]}") ;;
    shfmt) linter=(shfmt -i 4 -ci -d "${shell[@]}") ;;
    clang-format) linter=(clang-format -n --Werror "${programs[@]}" common/*.h) ;;
    clang-tidy) linter=(tidy) ;;
    *) refuse 'usage: scripts/prove/lint.sh shellcheck|shfmt|clang-format|clang-tidy' ;;
esac
status=0
output=$("${linter[@]}" 2>&1) || status=$?
if ((status == 0)); then
    tap ok "$1"
else
    tap 'not ok' "$1: it exited with status $status"
    printf '%s\n' "$output" | sed 's/^/# /'
fi
exit "$((status != 0))"
