#!/usr/bin/env bats
# labs.bats -- is every lab complete, and does its README fit its output?

setup() {
    # shellcheck disable=SC2154 # it is set by bats
    cd "$BATS_TEST_DIRNAME/../.." || return 1
}

# Numbered items in section $2 of file $1.
items() {
    sed -n "/^## $2\$/,/^## /p" "$1" | grep -cE '^[0-9]+\. ' || true
}

# $1 is what is wanted, $2 what was found, the rest says of what.
same() {
    [[ $1 == "$2" ]] || {
        echo "${*:3}: want $1, found $2"
        return 1
    }
}

@test "each lab has one program, a README and an expected output" {
    for lab in labs/*/; do
        name=$(basename "$lab")
        same "$lab${name#*-}.c" "$(echo "$lab"*.c)" "$name, its program"
        same "../../expected/$name.txt" "$(readlink "$lab/expected.txt")" \
            "${lab}expected.txt"
        for file in "${lab}README.md" "expected/$name.txt"; do
            [[ -s $file ]] || same "$file" 'no such file' "$name"
        done
        sed -n 2p "$lab"*.c | grep -qE "^ \* $name -- .*\?\$" ||
            same " * $name -- question?" "$(sed -n 2p "$lab"*.c)" "line 2"
    done
}

@test "each expected output belongs to a lab" {
    for expected in expected/*; do
        name=$(basename "$expected" .txt)
        [[ -d labs/$name ]] || same "labs/$name" nothing "$expected"
    done
}

@test "each README has a question and an answer for each step" {
    for readme in labs/*/README.md; do
        name=$(basename "$(dirname "$readme")")
        steps=$(grep -cE '^[0-9]+\. ' "expected/$name.txt")
        same "$steps" "$(items "$readme" Predict)" "$readme, Predict"
        same "$steps" "$(items "$readme" Look)" "$readme, Look"
    done
}

@test "each README has the same sections, and none is empty" {
    for readme in labs/*/README.md; do
        same '## Predict ## Run ## Look ## Often said ## Break it ## See also' \
            "$(grep '^## ' "$readme" | tr '\n' ' ' | sed 's/ $//')" "$readme"
        empty=$(awk '/^## / { if (n == 1) print last; last = $0; n = 0 }
            NF { n++ } END { if (n == 1) print last }' "$readme")
        same '' "$empty" "$readme, empty sections"
    done
}

@test "each link in a README leads somewhere" {
    for readme in README.md labs/*/README.md; do
        for link in $(grep -oE '\]\([^)]*\)' "$readme" | tr -d '])('); do
            [[ -e $(dirname "$readme")/$link ]] ||
                same "$link" 'no such file' "$readme"
        done
    done
}

@test "the table of labs in the README has each lab, with its question" {
    for source in labs/*/*.c; do
        name=$(basename "$(dirname "$source")")
        question=$(sed -n '2s/.* -- //p' "$source")
        row="| [${name%%-*}](labs/$name/README.md) | ${name#*-} |"
        grep -qF "$row ${question^} |" README.md ||
            same "$row ${question^} |" 'no such row' README.md
    done
}

@test "each lab's README shows the command that runs it" {
    for readme in labs/*/README.md; do
        name=$(basename "$(dirname "$readme")")
        grep -qx "    make lab-$((10#${name%%-*}))" "$readme" ||
            same "make lab-$((10#${name%%-*}))" nothing "$readme"
    done
}
