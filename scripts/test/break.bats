#!/usr/bin/env bats
# break.bats -- does break find an edit that breaks nothing?

load helper

# A README for lab 90, with these edits of "hello": each a text and a new line.
# shellcheck disable=SC2016 # those are no commands
plant_edits() {
    local number=0
    plant 'puts("hello");
    puts("again");' $'hello\nagain'
    echo '## Break it' >labs/90-planted/README.md
    echo '## What the edits do' >labs/90-planted/answers.md
    while (($# > 0)); do
        printf '\n**Edit %d.** %s\n\n```diff\n%s\n```\n' $((++number)) "$1" "$2" \
            >>labs/90-planted/README.md
        printf '\n**Edit %d.** This.\n' "$number" >>labs/90-planted/answers.md
        shift 2
    done
}

says_good_bye=$'-    puts("hello");\n+    puts("good-bye");'

@test "break: two edits that make a difference" {
    plant_edits 'It says good-bye.' "$says_good_bye" \
        'It does not compile.' $'-    puts("hello");\n+    no such thing'
    passes make -s break-90
    said 'ok - 90 planted: 2 edits, each makes a difference'
    passes make -s break
    said '1 passed, 0 failed, 0 skipped'
}

@test "break: an edit that changes nothing is found" {
    plant_edits 'It says good-bye.' "$says_good_bye" \
        'Nothing.' $'-    puts("hello");\n+    puts("hel" "lo");'
    fails make -s break-90
    said 'not ok - 90 planted: 2 edits, 1 wrong'
    said '# edit 2: it changes nothing'
}

@test "break: nor is an edit that has the lab skipped credited" {
    plant_edits 'It says good-bye.' "$says_good_bye" \
        'Skipped.' $'-    puts("hello");\n+    return 77;'
    fails make -s break-90
    said '# edit 2: it has the lab skipped'
}

@test "break: if the lab itself fails, or is skipped, no edit is credited" {
    local nothing=$'-    puts("hello");\n+    puts("hel" "lo");'
    plant_edits 'Nothing.' "$nothing" 'Nothing.' "$nothing"
    echo 'something else' >expected/90-planted.txt
    fails make -s break-90
    said 'not ok - 90 planted: it fails as it is, before the edit'
    said '-something else'
    sed -i 's/puts("again");/return 77;/' labs/90-planted/planted.c
    passes make -s break
    said 'skipped: 90 planted'
    said '0 passed, 0 failed, 1 skipped'
    passes make -s break-90
}

@test "break: an edit of what is not in the program, or twice, is found" {
    plant_edits 'It was another lab.' $'-    puts("tea");\n+    puts("cake");' \
        'Which?' $'-    \n+    puts("cake");'
    printf '\n    \n    \n' >>labs/90-planted/planted.c
    fails make -s break-90
    said '# edit 1: its old text does not occur in the program'
    said '# edit 2: its old text occurs more than once in the program'
}

@test "break: whether it compiles is as the text says" {
    plant_edits 'What?' $'-    puts("hello");\n+    no such thing' \
        'It does not compile.' "$says_good_bye"
    fails make -s break-90
    said '# edit 1: it does not compile'
    said '# edit 2: it compiles, and its text says that it does not'
}

@test "break: one edit is too few" {
    plant_edits 'It says good-bye.' "$says_good_bye"
    fails make -s break-90
    said 'a lab has at least two edits'
}

@test "break: no edit is left out because of its number" {
    plant_edits 'It says good-bye.' "$says_good_bye" \
        'It says good-bye.' "$says_good_bye" \
        'Nothing.' $'-    puts("hello");\n+    puts("hel" "lo");'
    sed -i 's/Edit 3/Edit 4/' labs/90-planted/README.md
    fails make -s break-90
    said '# edit 3: its number, its diff, or its answer is missing'
}

@test "break: EDIT=1 shows what the edit does" {
    plant_edits 'It says good-bye.' "$says_good_bye"
    passes make -s break-90 EDIT=1
    said '**Edit 1.** It says good-bye.'
    said '+    puts("good-bye");'
    said '+good-bye'
    [[ $output != *accept-90* ]]
    fails make -s break-90 EDIT=2
    said 'EDIT=2: no such edit in labs/90-planted/README.md; the edits are: 1'
    plant_edits 'It says good-bye.' "$says_good_bye" \
        'Nothing.' $'-    puts("again");\n+    puts("ag" "ain");'
    fails make -s break-90 EDIT=2
    said 'not ok - 90 planted: edit 2: it changes nothing'
    fails make -s break EDIT=1
    said 'CALL, ERROR, EDIT and MENDED are for one lab'
    fails make -s fault ERROR=EIO
    said 'CALL, ERROR, EDIT and MENDED are for one lab'
    EDIT=1 fails make -s break
    said 'not ok - 90 planted: 2 edits, 1 wrong'
}

@test "shake, fault, break: an unknown lab, or a wrong call, is refused" {
    plant 'puts("hello");' hello
    for verb in shake fault break; do
        fails make -s "$verb-99"
        said 'there is no lab 99; the labs are: 90'
        yields 2 "scripts/prove/$verb.sh"
        said "scripts/prove/$verb.sh"
        yields 2 "scripts/prove/$verb.sh" .
        said "scripts/prove/$verb.sh"
    done
}

@test "break: answers.md says what each edit does" {
    plant_edits 'What now?' "$says_good_bye" \
        'And now?' $'-    puts("hello");\n+    no such thing'
    printf '%s\n' '## What the edits do' '**Edit 1.** It says good-bye.' \
        >labs/90-planted/answers.md
    fails make -s break-90
    said '# edit 2: its number, its diff, or its answer is missing'
    echo '**Edit 2.** It does not compile.' >>labs/90-planted/answers.md
    passes make -s break-90
    passes make -s break-90 EDIT=1
    said '**Edit 1.** What now?'
    said 'Why: labs/90-planted/answers.md, "What the edits do", edit 1'
    [[ $output != *'It says good-bye'* ]]
}

@test "break: of a program that ends early, it shows the step" {
    plant_edits 'It dies.' $'-    puts("again");\n+    _exit(3);' 'x' "$says_good_bye"
    sed -i 's/puts("hello")/step("Who?")/; s/_exit/CHECK(-1); _exit/' \
        labs/90-planted/planted.c labs/90-planted/README.md
    printf '1. Who?\nagain\n' >expected/90-planted.txt
    passes make -s break-90 EDIT=1
    said $' 1. Who?\n-again'
}
