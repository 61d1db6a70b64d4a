#!/usr/bin/env bats
# mend.bats -- is a fault handed out, judged and hinted at, and nothing lost?

# shellcheck disable=SC2154 # origin, box and output are of helper.bash and bats
# shellcheck disable=SC2016 # no command is meant by what stands in `...`
load helper
unset AGAIN HINT MENDED

file=work/90-planted/planted.c

# Lab 90, and a README with two faults: it says good-bye, or nothing again.
plant_faults() {
    plant 'step("Who?");
    say("hello");
    step("Again?");
    say("again = 1");' \
        $'1. Who?\nmain      hello\n\n2. Again?\nmain      again = 1'
    cat >labs/90-planted/answers.md <<'END'
# Who?

1. Main says hello.
   It is polite.
2. Main says it again.

   Or more.

## Often said

2. No.

## What the edits do

**Edit 1.** This.

**Edit 2.** That.
END
    cat >labs/90-planted/README.md <<'END'
# Who?

## Break it

**Edit 1.** It says good-bye.

```diff
-    say("hello");
+    say("good-bye");
```

**Edit 2.** It says
`nothing` again.

```diff
-    say("again = 1");
```
END
}

# A compiler that compiles nothing, and a check that finds a fault in whatever
# was edited: then a fault is handed out at once.
pretend() {
    printf '#!/bin/sh\n' >"$box/cc"
    printf '#!/bin/sh\n%s\n%s\n' \
        'original=labs/${1##*/}/$(echo "${1##*/}" | cut -d - -f 2-).c' \
        'grep -v "^// Handed" "${1%/build/*}"/*/"${1##*/}/${original##*/}" |
            cmp -s - "$original"' >scripts/check.sh
    chmod +x "$box/cc" scripts/check.sh
    export CC="$box/cc"
}

mend() {
    scripts/study/mend.sh labs/90-planted
}

# Mends the program of lab 90, and leaves its last line.
undo() {
    local mark
    mark=$(tail -n 1 "$file")
    { cat labs/90-planted/planted.c && echo "$mark"; } >"$file"
}

# The last output is one line, but for what make says.
one_line() {
    (($(grep -vc '^make: ' <<<"$output") == 1)) || {
        printf 'not one line:\n%s\n' "$output"
        return 1
    }
}

@test "mend: the empty lines do not tell where something was taken out" {
    plant_faults
    sed -i 's/^.*say("again = 1");/\n&\n/' labs/90-planted/planted.c
    EDIT=2 passes mend
    said 'It is mended when the program prints'
    fails grep -q again "$file"
    cmp "$file" <(cat -s "$file")
}

@test "mend: a fault is handed out, judged, and mended" {
    plant_faults
    passes make -s mend-90 EDIT=1
    said $' 1. Who?\n-main      hello\n+main      good-bye'
    said "next: there is one fault in $file;"
    cp "$file" "$box/handed-out"
    fails make -s mend-90
    said $'-main      hello\n+main      good-bye'
    said 'not ok - 90 planted: not mended yet'
    cmp "$file" "$box/handed-out"
    sed -i s/good-bye/hullo/ "$file"
    fails make -s mend-90
    said '+main      hullo'
    sed -i s/hullo/hello/ "$file"
    passes make -s mend-90
    said 'ok - 90 planted: mended'
    cp labs/90-planted/planted.c "$file"
    passes make -s mend-090
    said 'ok - 90 planted: mended'
    [[ $(ls work/90-planted) == planted.c ]]
}

@test "mend: it compiles where it is, and nothing tells which fault it is" {
    plant_faults
    for edit in 1 2; do
        EDIT=$edit AGAIN=1 passes mend
        [[ $output != *[Ee]dit* && $output != *README* ]]
        fails grep -i 'edit' "$file"
        (cd work/90-planted && cc -w planted.c -o "$box/a.out")
        passes "$box/a.out"
        fails diff <(echo "$output") expected/90-planted.txt
    done
}

@test "mend: with the same EDIT again it is judged, with another one refused" {
    plant_faults
    EDIT=2 passes mend
    said 'mend it there, and type make mend-90 (HINT=1 helps)'
    cp "$file" "$box/mine"
    EDIT=2 yields 1 mend
    said '-main      again = 1'
    said 'not ok - 90 planted: not mended yet'
    EDIT=1 yields 2 mend
    said "$file has another fault: 'make mend-90' judges it; AGAIN=1 EDIT=1 puts"
    one_line
    cmp "$file" "$box/mine"
    undo
    EDIT=2 passes mend
    said 'ok - 90 planted: mended'
    sed -i '$d' "$file"
    EDIT=2 yields 2 mend
    one_line
    [[ $(ls work/90-planted) == planted.c ]]
}

@test "mend: no other fault before this one is mended, and no circle" {
    plant_faults
    pretend
    EDIT=1 passes mend
    cp "$file" "$box/mine"
    AGAIN=1 yields 2 mend
    said "$file is not mended yet: HINT=1 helps; AGAIN=1 EDIT=N puts it aside"
    one_line
    cmp "$file" "$box/mine"
    AGAIN=1 EDIT=2 passes mend
    said 'What you had is in work/90-planted/planted-1.c now.'
    passes scripts/study/progress.sh
    said '0 of 2'
    echo '// mine' >>"$box/mine"
    cp "$box/mine" work/90-planted/planted-1.c
    cp expected/90-planted.txt work/90-planted/prediction.txt
    passes scripts/study/progress.sh
    said 'next: make mend-90 (a fault is not mended yet)'
    undo
    passes mend
    said 'make mend-90 AGAIN=1 (another fault)'
    passes scripts/study/progress.sh
    said 'next: make mend-90 AGAIN=1 (a fault is not mended yet)'
    AGAIN=1 passes mend
    said 'What you had is in work/90-planted/planted-2.c now.'
    said 'planted-1.c is not mended yet: it is planted.c again.'
    cmp "$file" "$box/mine"
    passes scripts/study/progress.sh
    said 'next: make mend-90 (a fault is not mended yet)'
    rm work/90-planted/planted-2.c
    mv "$file" work/90-planted/planted-7.c
    passes scripts/study/progress.sh
    said 'next: make mend-90 AGAIN=1 (a fault is not mended yet)'
    AGAIN=1 passes mend
    [[ $output != *'What you had'* && $(ls work/90-planted/*.c) == "$file" ]]
    cp labs/90-planted/planted.c "$file"
    passes scripts/study/progress.sh
    said 'next: nothing'
}

# That each edit of each lab makes a difference, break.sh proves, with the same
# functions.
@test "mend: each fault of each lab; and undone, it is the program again" {
    cp -R "$origin/labs" "$origin/expected" .
    pretend
    for lab in labs/[0-9]*/; do
        name=$(basename "$lab")
        edits=$(grep -c '^\*\*Edit ' "$lab/README.md")
        for ((edit = 1; edit <= edits; edit++)); do
            EDIT=$edit AGAIN=1 passes scripts/study/mend.sh "labs/$name"
            mended=work/$name/${name#*-}.c
            fails diff "$lab/${name#*-}.c" "$mended"
            HINT=3 passes scripts/study/mend.sh "labs/$name"
            patch -sR "$mended" <<<"$output"
            diff "$lab/${name#*-}.c" <(sed '$d' "$mended")
        done
    done
}

@test "mend: by chance it is one that was not handed out yet, until all were" {
    plant_faults
    pretend
    for ((i = 0; i < 2; i++)); do
        rm -rf work
        passes mend
        grep -q good-bye "$file" || grep -vq again "$file"
        cp "$file" all
        undo
        AGAIN=1 passes mend
        said 'What you had is in work/90-planted/planted-1.c now.'
        cat "$file" >>all
        grep -q good-bye all
        (($(grep -c again all) == 1))
    done
    undo
    cp -R work before
    AGAIN=1 yields 2 mend
    said 'lab 90 has no fault that was not handed out yet'
    one_line
    AGAIN=1 EDIT=1 passes mend
    said 'What you had is in work/90-planted/planted-2.c now.'
    cmp before/90-planted/planted.c work/90-planted/planted-2.c
    cmp before/90-planted/planted-1.c work/90-planted/planted-1.c
}

@test "mend: an edit that makes no difference, or no program, is no puzzle" {
    plant_faults
    sed -i 's/^+.*/+    say("hel" "lo");/' labs/90-planted/README.md
    for ((i = 0; i < 3; i++)); do
        passes mend
        fails grep again "$file"
        rm -r work
    done
    EDIT=1 yields 1 mend
    said 'not ok - 90 planted: nothing to hand out: edit 1: it changes nothing'
    sed -i 's/It says good-bye./It does not compile./' labs/90-planted/README.md
    EDIT=1 yields 2 mend
    said 'EDIT=1: it does not compile'
    [[ ! -e work ]]
}

@test "mend: right by chance is not mended" {
    plant_faults
    EDIT=1 passes mend
    sed -i s/hello/good-bye/ expected/90-planted.txt
    yields 1 mend
    said 'not ok - 90 planted: right by chance; nothing is mended yet'
}

@test "mend: a sleep is no cure" {
    strace -f -qq -o /dev/null true 2>/dev/null ||
        skip "strace is missing, or may not trace: 'scripts/setup.sh --dev'"
    plant_faults
    plant 'step("Who?");
    if (CHECK(fork()) == 0) {
        role("child");
        say("hello");
        _exit(0);
    }
    CHECK(wait(NULL));
    say("hello");' $'1. Who?\nchild     hello\nmain      hello'
    passes make -s shake-90
    fails make -s shake-90 MENDED=1
    said "there is no program in work/90-planted: 'make mend-90' hands it out"
    mkdir -p work/90-planted
    cp labs/90-planted/planted.c "$file"
    passes make -s shake-90 MENDED=1
    said 'ok - 90 planted (mended): '
    sed -i 's/CHECK(wait(NULL))/usleep(300000)/; s/^}/wait(NULL);&/' "$file"
    passes make -s mend-90
    fails make -s shake-90 MENDED=1
    said 'not ok - 90 planted (mended): '
    said $'-child     hello\n'
    rm "$file"
    fails make -s shake-90 MENDED=1
    said 'there is no program in work/90-planted'
    fails make -s shake MENDED=1
    said 'MENDED are for one lab'
}

@test "mend: three hints" {
    plant_faults
    EDIT=2 passes mend
    HINT=1 passes mend
    [[ $output == 'This is where it shows first:

2. Again?

2. Main says it again.

'* && $output != *polite* ]]
    HINT=2 passes mend
    [[ $output == $'It says\n`nothing` again.\n\nnext: HINT=3 shows the lines that were changed' ]]
    HINT=3 passes mend
    said '+++ work/90-planted/planted.c'
    said '-    say("again = 1");'
    cp labs/90-planted/planted.c "$file"
    HINT=1 passes mend
    said 'ok - 90 planted: mended'
    HINT=2 yields 2 mend
    said "$file: its last line is not the one that it was handed out with"
    one_line
}

@test "mend: what does not compile, ends early, or is skipped, is said" {
    plant_faults
    mkdir -p work/90-planted
    echo 'no such thing' >"$file"
    yields 1 mend
    said "$file:1:"
    said "not ok - 90 planted: $file does not compile"
    sed 's/say("again = 1")/CHECK(-1)/' labs/90-planted/planted.c >"$file"
    yields 1 mend
    said "$file:13: step 2: main: -1 = -1"
    HINT=1 passes mend
    said '2. Main says it again.'
    sed 's/step("Who?")/return 77/' labs/90-planted/planted.c >"$file"
    yields 77 mend
    passes make -s mend-90
    rm "$file"
    sed -i 's/step("Who?")/return 77/' labs/90-planted/planted.c
    yields 77 mend
    sed -i 's/return 77/return 3/' labs/90-planted/planted.c
    yields 1 mend
    said 'not ok - 90 planted: it fails as it is, before the edit'
    [[ ! -e work ]]
}

@test "mend: what makes no sense is refused in one line" {
    plant_faults
    fails make -s mend-99
    said 'there is no lab 99; the labs are: 90'
    for wish in HINT=1 HINT=4 AGAIN=2 EDIT=3 EDIT=x EDIT=../../x; do
        fails make -s mend-90 "$wish"
        said 'mend.sh: '
        one_line
        [[ ! -e work ]]
    done
    pretend
    passes mend
    cp "$file" "$box/mine"
    for wish in EDIT=3 AGAIN=1 HINT=1\ EDIT=1 HINT=1\ AGAIN=1; do
        # shellcheck disable=SC2086 # two words
        yields 2 env $wish scripts/study/mend.sh labs/90-planted
        one_line
    done
    cmp "$file" "$box/mine"
    yields 2 scripts/study/mend.sh
    yields 2 scripts/study/mend.sh .
}

@test "mend: a place or a file that cannot be used is refused in one line" {
    plant_faults
    : >work
    yields 2 mend
    said 'cannot write to work/90-planted'
    one_line
    rm work
    mkdir -p "$file"
    yields 2 mend
    said "$file: cannot be read; rename it to get a new one"
    one_line
    rmdir "$file"
    ln -s /nowhere "$file"
    yields 2 mend
    one_line
    [[ -L $file ]]
}

@test "mend: Ctrl-C while it is handed out leaves nothing" {
    plant_faults
    sed -i 's/^+.*/+    say("good-bye"); pause();/' labs/90-planted/README.md
    {
        await grep -q Making "$box/screen"
        await sh -c 'grep -qs good-bye "$TMPDIR"/*/out'
        printf '\003'
    } | EDIT=1 fails on_terminal make -s mend-90
    [[ ! -e work ]]
    fails ls build/work*
}
