#!/usr/bin/env bash
# judge.sh -- make many checks, several at once, and count what came of them
#
# usage: scripts/judge.sh CHECK... [-- CHECK...]  (check/05-seqpacket-vs-stream)
#
# A check is KIND/NAME; one_check, below, is the list of kinds. prove(1) runs
# them and says which are not ok; those behind -- come last, one by one. What
# each said is kept as TAP in build/results. A check that says nothing has
# failed.
#
# Exit status: 0 if nothing failed and something was counted; 1; 2 for usage.
set -euo pipefail

scripts=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"

one_check() {
    local kind=${1%%/*} of=${1#*/}
    case $kind in
        check) "$scripts/check.sh" "build/$of" ;;
        gcc | clang | musl | asan | alone)
            "$scripts/check.sh" "build/$kind/$of"
            ;;
        shake | fault) "$scripts/prove/$kind.sh" "build/$of" ;;
        break) "$scripts/prove/break.sh" "labs/$of" ;;
        load | as-user) "$scripts/prove/$kind.sh" build/[0-9]* ;;
        lint) "$scripts/prove/lint.sh" "$of" ;;
        test) bats --tap "$scripts/test/$of" ;;
        *) refuse "$1: no such kind of check" ;;
    esac
}

# What prove(1) starts for each check. A skip is no failure of the script; nor
# does prove need to hear twice that something is not ok.
keep_result() {
    local result=build/results/$1.tap status=0
    mkdir -p "${result%/*}"
    CALL='' ERROR='' EDIT='' STEP='' one_check "$1" 2>&1 | tee "$result" ||
        status=$?
    ((status != 77)) && ! grep -q '^not ok' "$result" || return 0
    return "$status"
}

# Its status also says whether a check itself has failed after its last line.
prove_them() {
    prove -j"$1" --comments --failures \
        --exec "$BASH scripts/judge.sh --one" "${@:2}"
}

count() {
    local file
    for file in $(printf 'build/results/%s.tap\n' "$@"); do
        awk -v file="$file" '
            /^not ok/ { failed++; next }
            /^1\.\.0 # SKIP|^ok .*# (SKIP|skip)/ { skipped++; next }
            /^ok/ { passed++ }
            /^1\.\.[1-9]/ { sub(/1\.\./, ""); planned += $1 }
            END {
                missing = planned - passed - failed - skipped
                if (passed + failed + skipped == 0)
                    missing = 1
                print passed + 0, failed + (missing > 0 ? missing : 0),
                    skipped + 0
            }' "$file" 2>/dev/null || echo 0 1 0
    done | awk '{ passed += $1; failed += $2; skipped += $3 }
        END {
            print passed + 0 " passed, " failed + 0 " failed, " \
                skipped + 0 " skipped"
            exit failed > 0 || passed + skipped == 0
        }'
}

main() {
    cd "$suite"
    if [[ ${1-} == --one ]]; then
        keep_result "$2"
        return
    fi
    (($# > 0)) || refuse 'usage: scripts/judge.sh CHECK... [-- CHECK...]'
    command -v prove >/dev/null ||
        refuse "prove is missing: 'scripts/setup.sh' installs it"
    local all=() beside=()
    while (($# > 0)) && [[ $1 != -- ]]; do
        beside+=("$1")
        shift
    done
    all=("${beside[@]}" "${@:2}")
    rm -rf build/results
    local status=0
    prove_them "$(nproc)" "${beside[@]}" || status=1
    (($# < 2)) || prove_them 1 "${@:2}" || status=1
    count "${all[@]}" || status=1
    return "$status"
}

main "$@"
