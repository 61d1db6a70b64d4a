#!/usr/bin/env bats
# progress.bats -- does progress count what is in work/, and nothing else?

# shellcheck disable=SC2154 # box and output are set by helper.bash and bats
load helper
unset ORDER

# Labs 90 and 91, of two steps each.
setup_labs() {
    local lab
    for lab in 90-planted 91-other; do
        plant 'step("Who?"); say("send() = %d", 1);
            step("And now?"); say("recv() = %d", 2);' \
            $'1. Who?\nmain      send() = 1\n\n2. And now?\nmain      recv() = 2' \
            "$lab"
    done
    mkdir -p work/90-planted work/91-other
}

# The line of lab $1 is "predicted|in order|mended".
says_of() {
    local line
    line=$(sed -nE "s/^$1 [a-z]+ +(.*)/\1/p" <<<"$output" | sed -E 's/  +/|/g')
    [[ $line == "$2" ]] || {
        printf 'of lab %s: %s, want %s\n' "$1" "$line" "$2"
        return 1
    }
}

@test "nothing begun: no line, and where to begin" {
    setup_labs
    rm -r work
    passes make -s progress
    says_of 90 ''
    says_of 91 ''
    said 'labs not begun: 2 of 2'
    said 'next: make predict-90'
    [[ ! -e work ]]
}

@test "a sheet: the steps that are right, and those that are open" {
    setup_labs
    scripts/study/predict.sh build/90-planted
    passes make -s progress
    says_of 90 '0 of 2, 2 open|-|-'
    said 'next: make predict-90 (a step is not predicted yet)'
    sed -i '/send/s/?/1/' work/90-planted/prediction.txt
    passes make -s progress
    says_of 90 '1 of 2, 1 open|-|-'
    sed -i '/recv/s/?/1/' work/90-planted/prediction.txt
    passes make -s progress
    says_of 90 '1 of 2|-|-'
    said 'next: make mend-90'
    cp labs/90-planted/planted.c work/90-planted
    passes make -s progress
    said 'next: make predict-91'
    cp expected/91-other.txt work/91-other/prediction.txt
    passes make -s progress
    says_of 91 '2 of 2|-|-'
    said 'next: make mend-91'
}

@test "lines that were put in order" {
    setup_labs
    printf '%s\n' '1. Who?' 'a = 1' 'b = 2' '' '2. And now?' 'c = 3' \
        >expected/90-planted.txt
    ORDER=1 scripts/study/predict.sh build/90-planted
    passes make -s progress
    says_of 90 '-|0 of 1, 1 open|-'
    cp expected/90-planted.txt work/90-planted/order.txt
    passes make -s progress
    says_of 90 '-|1 of 1|-'
}

@test "a fault counts as mended when the program prints what is expected" {
    setup_labs
    sed 's/, 2/, 3/' labs/90-planted/planted.c >work/90-planted/planted.c
    echo 'does not compile' >work/90-planted/planted-1.c
    cp labs/91-other/other.c work/91-other
    echo 'int main(void) { return 0; }' >work/91-other/echo.c
    passes make -s progress
    says_of 90 '-|-|0 of 2'
    says_of 91 '-|-|1 of 1'
    said 'next: make mend-90 (a fault is not mended yet)'
    cp labs/90-planted/planted.c work/90-planted/planted.c
    passes make -s progress
    says_of 90 '-|-|1 of 2'
    passes ls build
    [[ -z $output ]]
}

@test "everything done" {
    setup_labs
    for lab in 90-planted 91-other; do
        cp "expected/$lab.txt" "work/$lab/prediction.txt"
        cp "labs/$lab/${lab#*-}.c" "work/$lab"
    done
    passes make -s progress
    says_of 90 '2 of 2|-|1 of 1'
    said 'next: nothing; every lab is predicted and mended'
}

@test "a damaged sheet is named, and the others still count" {
    setup_labs
    echo '1. Who?' >work/90-planted/prediction.txt
    cp expected/91-other.txt work/91-other/prediction.txt
    yields 1 scripts/study/progress.sh
    says_of 90 'damaged|-|-'
    says_of 91 '2 of 2|-|-'
    said 'progress.sh: work/90-planted/prediction.txt: damaged; repair it, or'
    mkfifo work/91-other/order.txt
    yields 1 timeout 10 scripts/study/progress.sh
    says_of 91 '2 of 2|damaged|-'
    yields 2 scripts/study/progress.sh 90
    said 'usage: '
}

@test "what students hand in: the loop of the README, and no harm done" {
    ((EUID == 0)) || skip 'it takes root'
    unshare --pid --fork --mount-proc true 2>/dev/null || skip 'it takes a pid namespace'
    setup_labs
    chmod go+x "$box"
    mkdir -p submissions/{ann,'bob b'}/90-planted
    cp expected/90-planted.txt submissions/ann/90-planted/prediction.txt
    cp labs/90-planted/planted.c submissions/ann/90-planted
    echo 'private' >"$box/private"
    chmod 600 "$box/private"
    ln -s "$box/private" 'submissions/bob b/90-planted/prediction.txt'
    printf '%s\n' '#include <stdlib.h>' 'int main(void) {' \
        "return system(\"echo harm; : >'$PWD/harm'; : >'$box/private'\"); }" \
        >'submissions/bob b/90-planted/planted.c'
    # shellcheck disable=SC2016 # those are no commands
    sed -n '/^```bash$/,/^```$/p' scripts/study/README.md | grep -v '^```' >loop
    passes bash -eu loop
    said 'ann: 90 planted                2 of 2           -                1 of 1'
    said 'bob b: 90 planted                damaged          -                0 of 1'
    [[ $output != *harm* && $output != *91* && ! -e harm && -s $box/private ]]
}
