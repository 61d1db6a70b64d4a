#!/usr/bin/env bats
# labs.bats -- is every lab complete, and does its README fit its output?

setup() {
    # shellcheck disable=SC2154 # it is set by bats
    cd "$BATS_TEST_DIRNAME/../.." || return 1
}

# The numbers of the items in section $2 of file $1.
items() {
    sed -n "/^## $2\$/,/^## /p" "$1" | numbers
}

numbers() {
    sed -nE 's/^([0-9]+\.) .*/\1/p' | paste -sd ' '
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
        steps=$(numbers <"expected/$name.txt")
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

# Is line $1 of README $2 one that its lab prints (for the suite's own README,
# any lab), or that its check ends with?
is_output() {
    local name
    name=$(basename "$(dirname "$2")")
    grep -qxFe "$1" "expected/${name#.}"*.txt || [[ $1 =~ ^ok\ [0-9]+\ -\  ]]
}

# The simple commands in README $1: what it sets off, unless it is output, and
# what it names in passing.
# shellcheck disable=SC2016 # those are no commands of this script
commands() {
    local line span='`((make|scripts/|git|strace|cc|rm|ln|[A-Z_]+=)[^`]*)`'
    sed '/^```/,/^```/d' "$1" | while IFS= read -r line; do
        if [[ $line == '    '* ]]; then
            is_output "${line#    }" "$1" || echo "$line"
        fi
        while [[ $line =~ $span ]]; do
            echo "${BASH_REMATCH[1]}"
            line=${line#*"${BASH_REMATCH[0]}"}
        done
    done | sed 's/ # .*//; s/ && /\n/g; s/ | /\n/g'
}

@test "each line that a README sets off is output, or commands that exist" {
    targets=$(make -npRr help 2>/dev/null | sed -n 's/^\([a-z0-9-]*\):.*/\1/p')
    for readme in README.md labs/*/README.md; do
        while read -r -a words; do
            while [[ ${words[0]} == [A-Z]*=* ]]; do
                words=("${words[@]:1}")
            done
            case ${words[0]} in
                make)
                    for word in "${words[@]:1}"; do
                        [[ $word == [A-Z]*=* ]] ||
                            grep -qx "${word/%-N/-1}" <<<"$targets" ||
                            same "make $word" 'no such target' "$readme"
                    done
                    ;;
                ./a.out | git | strace) ;; # the last two need not be there
                *)
                    command -v "${words[0]}" >/dev/null ||
                        same "${words[0]}" 'no such command' "$readme"
                    ;;
            esac
        done < <(commands "$readme")
    done
}
