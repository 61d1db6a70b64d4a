# shellcheck shell=bash
# sheet.bash -- what predict.sh and progress.sh share: how to read a sheet
#
# Sourced by them, after lab.bash.
#
# shellcheck disable=SC2154 # scripts and suite are theirs

# Is -1 enough where a call of lab $1 fails? It is if the README, under
# "Predict", tells the student to write -1.
is_minus_one_enough() {
    local readme=$suite/labs/$1/README.md
    [[ -r $readme ]] && sed -n '/^## Predict/,/^## Run/p' "$readme" |
        tr '\n' ' ' | grep 'write -1\.' >/dev/null
}

# Has sheet.awk show $2 of lab $1; then come its other settings, and its files.
sheet_of() {
    local minus_one=
    ! is_minus_one_enough "$1" || minus_one=1
    awk -v minus_one="$minus_one" -v show="$2" -f "$scripts/study/sheet.awk" \
        "${@:3}"
}
