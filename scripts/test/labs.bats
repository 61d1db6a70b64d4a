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

@test "each lab has one program, its two pages and an expected output" {
    for lab in labs/*/; do
        name=$(basename "$lab")
        same "$lab${name#*-}.c" "$(echo "$lab"*.c)" "$name, its program"
        same "../../expected/$name.txt" "$(readlink "$lab/expected.txt")" \
            "${lab}expected.txt"
        for file in "$lab"{README,answers}.md "expected/$name.txt"; do
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

# The sections of page $1, in one line.
sections() {
    grep '^## ' "$1" | paste -sd ' '
}

# The numbered items of page $1 that stand before its first section.
first_items() {
    sed '/^## /,$d' "$1" | numbers
}

@test "each lab has a question and an answer for each step" {
    for readme in labs/*/README.md; do
        lab=$(dirname "$readme")
        steps=$(numbers <"expected/${lab#labs/}.txt")
        same "$steps" "$(items "$readme" Predict)" "$readme, Predict"
        same "$steps" "$(first_items "$lab/answers.md")" "$lab/answers.md"
        [[ $steps == '1. 2. 3.'* && $steps != *6.* ]] ||
            same 'three to five steps' "$steps" "$lab"
    done
}

@test "each page has the same sections, and none is empty" {
    for readme in labs/*/README.md; do
        lab=$(dirname "$readme")
        same '## Predict ## Run ## Mend it ## Break it ## Build it' "$(sections "$readme")" "$readme"
        same '## Often said ## What the edits do ## Build it ## Remember ## See also' \
            "$(sections "$lab/answers.md")" "$lab/answers.md"
    done
    for page in labs/*/*.md; do
        empty=$(awk '/^## / { if (n == 1) print last; last = $0; n = 0 }
            NF { n++ } END { if (n == 1) print last }' "$page")
        same '' "$empty" "$page, empty sections"
    done
}

@test "each page has its lab's question as its title, and leads to the next" {
    for answers in labs/*/answers.md; do
        lab=$(dirname "$answers")
        name=${lab#labs/}
        question=$(sed -n '2s/.* -- //p' "$lab/${name#*-}.c")
        same "# Lab $((10#${name%%-*})): ${question^}" \
            "$(head -n 1 "$lab/README.md")" "$lab/README.md, title"
        next=$(printf '%s\n' labs/[0-9]* | grep -A 1 -Fx "$lab" | tail -n 1)
        last=$(sed -n '/^What you saw/,$p' "$lab/README.md" | tr '\n' ' ')
        [[ $last == *'[answers](answers.md)'* ]] ||
            same 'a link to answers.md' "$last" "$lab/README.md, its end"
        [[ $next == "$lab" || $last == *"](../${next#labs/}/README.md)"* ]] ||
            same "a link to $next" "$last" "$lab/README.md, its end"
    done
}

@test "what is evidence is not a verdict, and is a line that can be asked for" {
    for answers in labs/*/answers.md; do
        expected=expected/$(basename "$(dirname "$answers")").txt
        odd=$(grep -vE '^$|^[0-9]+\. |^~' "$expected" |
            grep -vE '^[a-zA-Z0-9_-]+ .*( = .|: .| -> .|\.\.\.$)' || true)
        same '' "$odd" "$expected, neither a result nor '...'"
        verdicts=$(grep -E '\b(yes|no|true|false|expected)$' "$expected" || true)
        same '' "$verdicts" "$expected, a verdict"
        wide=$(grep -E '^.{81}' "$expected" || true)
        same '' "$wide" "$expected, wider than 80 columns"
    done
}

@test "each lab is named by its number, everywhere" {
    scripts/test/moved.sh
}

# What a link to a heading of page $1 is called.
anchors() {
    sed -n 's/^#* //p' "$1" | tr 'A-Z ' 'a-z-' | tr -dc 'a-z0-9\n-'
}

@test "each link in a page leads somewhere" {
    for readme in README.md labs/*.md labs/*/*.md scripts/*.md scripts/*/*.md; do
        for link in $(grep -oE '\]\([^)]*\)' "$readme" | tr -d '])('); do
            page=$readme
            [[ $link == '#'* ]] || page=$(dirname "$readme")/${link%%#*}
            [[ -e $page ]] || same "$link" 'no such file' "$readme"
            [[ $link != *#* ]] || anchors "$page" | grep -qxF "${link#*#}" ||
                same "$link" 'no such heading' "$readme"
        done
    done
}

@test "the table of labs in the README has each lab, with its question" {
    local source name question row
    for source in labs/*/*.c; do
        name=$(basename "$(dirname "$source")")
        question=$(sed -n '2s/.* -- //p' "$source")
        row="| [${name%%-*}](labs/$name/README.md) | ${name#*-} | ${question^}"
        row+=" | $(sed -nE 's/^([0-9]+) minutes,.*/\1/p' "labs/$name/README.md") |"
        grep -qF "$row" README.md || same "$row" 'no such row' README.md
    done
    same "$(printf '%s\n' labs/*/)" \
        "$(sed -nE 's/^\| \[[0-9]+\]\(([^)]*\/)README.md\) .*/\1/p' README.md)" \
        'README.md, the rows in their order'
}

@test "the course has each lab, with its minutes, and what it needs" {
    diff <(grep '^| \[[0-9]*\](.* | [0-9, -]* |$' labs/README.md) <(scripts/test/course.sh)
    diff <(sed -n '/^| lab | needs/,/^$/s/^| \[/&/p' labs/README.md) <(scripts/test/needs.sh)
}

# The labs of a plan, in its order: $1 is its heading.
plan() {
    awk -v heading="## $1" '$0 == heading { found = 1; next }
        found && /^## / { exit }
        found { printf "%s ", $0 }' labs/README.md |
        grep -oE 'labs? [0-9]+((,| and) [0-9]+)*' | grep -oE '[0-9]+'
}

@test "each plan of the course has what a lab needs before the lab" {
    for plan in 'Ninety minutes' 'Half a day' 'Seven weeks'; do
        declare -A known=()
        count=0
        for lab in $(plan "$plan"); do
            needs=$(sed -nE "s/^\\| \\[$lab\\]\\(.*\\| ([0-9, -]*) \\|\$/\\1/p" labs/README.md)
            for need in ${needs//[,-]/}; do
                [[ -n ${known[$need]-} ]] ||
                    same "lab $need before lab $lab" 'none' "labs/README.md, $plan"
            done
            known[$lab]=yes
            ((++count))
        done
        ((count > 2)) || same 'more than two labs' "$count" "labs/README.md, $plan"
        unset known
    done
}

@test "each term of the glossary is used in the page that it names" {
    local terms=() pages entry
    while read -r entry; do
        [[ $entry =~ ^-\ \*\*\`?([^\`*]+)\`?\*\*:.*\[(Lab\ [0-9]+|The\ first\ page)\]\(([0-9]+-[a-z-]+|\.\.)/ ]] ||
            same 'a term, a sentence and a page' "$entry" labs/glossary.md
        terms+=("${BASH_REMATCH[1]}")
        pages=("labs/${BASH_REMATCH[3]}"/*.md)
        cat "${pages[@]}" | tr -s '\n ' ' ' | grep -iF -- "${BASH_REMATCH[1]}" >/dev/null ||
            same "${BASH_REMATCH[1]}" 'no such word' "${pages[*]}"
    done < <(awk '/^- / { if (e) print e; e = $0; next }
        /^ / { sub(/^ +/, ""); e = e " " $0 } END { print e }' labs/glossary.md)
    ((${#terms[@]} > 40))
    diff <(printf '%s\n' "${terms[@]}") <(printf '%s\n' "${terms[@]}" | LC_ALL=C sort -f)
}

# Each row of a table, and each item of a list, as one line.
rows() {
    awk '/^\||^[0-9]+\. / { if (row) print row; row = "" }
        /^\| *(---|[a-z ]+ \| .* \| shown by)/ || /^\|---/ { next }
        /^\||^[0-9]+\. / { row = $0; next }
        row && /^ +[^ ]/ { sub(/^ +/, ""); row = row " " $0; next }
        { if (row) print row; row = "" }
        END { if (row) print row }' "$1"
}

@test "each row about a problem has a line that shows it" {
    # shellcheck disable=SC2016 # no command is meant by `...`
    local shown='\[lab ([0-9]+)\]\(([0-9]+-[a-z-]+)/answers\.md\), step ([0-9]): `([^`]+)`'
    while read -r row; do
        [[ $row =~ $shown ]] || same 'a lab, its step and a line' "$row" labs/problems.md
        expected=expected/${BASH_REMATCH[2]}.txt
        sed -n "/^${BASH_REMATCH[3]}\. /,/^\$/p" "$expected" |
            grep -qF -- "${BASH_REMATCH[4]}" ||
            same "${BASH_REMATCH[4]}" 'no such line' "$expected, step ${BASH_REMATCH[3]}"
    done < <(rows labs/problems.md)
    (($(rows labs/problems.md | wc -l) > 100))
}

@test "the errors above the tables are their headings, and items are in order" {
    local name items
    while read -r name; do
        grep -qF "[$name](#" labs/problems.md ||
            same "a link to $name" 'none' labs/problems.md
    done < <(sed -nE 's/^### .* \([0-9]+, (E[A-Z0-9]+)\).*/\1/p' labs/problems.md)
    items=$(sed -nE 's/^- ([^(:,]*[a-zA-Z]).*/\1/p' labs/problems.md)
    (($(wc -l <<<"$items") == $(grep -c '^- ' labs/problems.md)))
    LC_ALL=C sort -fc <<<"$items"
}

@test "each lab's README shows the command that runs it" {
    for readme in labs/*/README.md; do
        name=$(basename "$(dirname "$readme")")
        grep -qx "    make lab-$((10#${name%%-*}))" "$readme" ||
            same "make lab-$((10#${name%%-*}))" nothing "$readme"
    done
}

# The simple commands in the pages: page, tab, command. They are what a page sets
# off with four blanks, and what it names in passing.
commands() {
    awk '
        function found(words,    i, n, part) {
            sub(/ # .*/, "", words)
            gsub(/"[^"]*"/, "x", words)
            n = split(words, part, / && | \| /)
            for (i = 1; i <= n; i++)
                print FILENAME "\t" part[i]
        }
        /^```/ { fenced = !fenced; next }
        fenced { next }
        /^    (make|scripts\/|git|strace|cc|\.\/)/ { found(substr($0, 5)) }
        {
            while (match($0, /`(make|scripts\/|git|strace|cc|rm|ln|[A-Z_]+=)[^`]*`/)) {
                found(substr($0, RSTART + 1, RLENGTH - 2))
                $0 = substr($0, RSTART + RLENGTH)
            }
        }' "$@"
}

@test "each command that a page names exists" {
    declare -A exists=()
    for target in $(make -npRr help 2>/dev/null | sed -n 's/^\([a-z0-9-]*\):.*/\1/p'); do
        exists[$target]=yes
    done
    while IFS=$'\t' read -r page command; do
        read -r -a words <<<"$command"
        while [[ ${words[0]-} == [A-Z]*=* ]]; do
            words=("${words[@]:1}")
        done
        ((${#words[@]} > 0)) || continue
        case ${words[0]} in
            make)
                for word in "${words[@]:1}"; do
                    [[ $word == [A-Z]*=* || -n ${exists[${word/%-N/-1}]-} ]] ||
                        same "make $word" 'no such target' "$page"
                done
                ;;
            ./a.out | git | strace) ;; # the last two need not be there
            *)
                command -v "${words[0]}" >/dev/null ||
                    same "${words[0]}" 'no such command' "$page"
                ;;
        esac
    done < <(commands README.md labs/*.md labs/*/*.md)
}
