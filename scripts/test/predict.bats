#!/usr/bin/env bats
# predict.bats -- is a prediction taken as it was meant, and kept?

# shellcheck disable=SC2154 # origin and box are set by helper.bash
load helper
unset ORDER

paper=work/90-planted/prediction.txt

# What sheet.awk shows ($1) of these files; $2 is 1 for a sheet with ORDER=1.
sheet() {
    awk -v show="$1" -v order="$2" -f scripts/study/sheet.awk "${@:3}"
}

# The verdicts on sheet $3, one for each step, if the lab prints $2.
verdicts() {
    sheet verdicts "$@" | awk '{ printf "%s ", $2 }'
}

# Lab 90 prints what is in file said.
plant_steps() {
    printf '%s\n' '1. Who?' 'ann       send("hi") ...' \
        'bob       recv() = 2 "hi"' '' '2. How often?' \
        'bob       recv() = 2 "hi"' 'bob       recv() = 3 "you"' \
        'bob       recv() = 0 ""' 'ann       exit ...' 'ann       exit ...' '' \
        '3. And now?' 'bob       send("hi") = -1 EPIPE' >"$box/said"
    sketch "cat '$box/said'"
    cp "$box/said" expected/90-planted.txt
}

predict() {
    scripts/study/predict.sh build/90-planted
}

@test "of each lab: untouched it scores none, filled from expected/ all" {
    for expected in "$origin"/expected/*.txt; do
        for how in '' 1; do
            sheet sheet "$how" "$expected" >untouched
            found=$(verdicts "$how" "$expected" untouched)
            [[ $found =~ ^((open|given)\ )+$ ]]
            found=$(verdicts "$how" "$expected" "$expected")
            [[ $found =~ ^((right|given)\ )+$ && $found == *right* ]]
        done
    done
}

@test "of each lab: right without quotes, with errors in small letters" {
    for expected in "$origin"/expected/*.txt; do
        sed -E 's/""/\a/g; s/"([^"]+)"/\1/g; s/\a/""/g; s/-1 E([A-Z]*)/-1 e\L\1/' \
            "$expected" >meant
        found=$(verdicts '' "$expected" meant)
        [[ $found =~ ^((right|given)\ )+$ ]] || {
            echo "$expected: $found"
            return 1
        }
    done
}

@test "of each lab: -1 is enough where its Predict says so" {
    passes grep -lE '(^|write )-1\.( |$)' "$origin"/labs/*/README.md
    [[ $output == */labs/01-socketpair-fork/README.md ]]
    sed 's/-1 E[A-Z]*/-1/' "$origin/expected/01-socketpair-fork.txt" >meant
    mkdir -p work/01-socketpair-fork
    cp meant work/01-socketpair-fork/prediction.txt
    cp -R "$origin/labs" "$origin/expected" .
    passes scripts/study/progress.sh
    said '01 socketpair-fork        5 of 5'
}

@test "of each lab: one wrong line costs just its step" {
    for expected in "$origin"/expected/*.txt; do
        steps=$(grep -c '^[0-9]*\. ' "$expected")
        for ((step = 1; step <= steps; step++)); do
            awk -v step="$step" '/^[0-9]+\. / { at = $1 + 0 }
                { wrong = at == step && last ~ /^[0-9]+\. /; last = $0 }
                { print $0 (wrong ? " or so" : "") }' "$expected" >wrong
            read -r -a all <<<"$(verdicts '' "$expected" wrong)"
            [[ ${all[step - 1]} == wrong || ${all[step - 1]} == given ]]
            [[ "${all[*]::step-1} ${all[*]:step}" != *wrong* ]]
        done
    done
}

@test "of each lab: each line is given, or has a blank" {
    for answers in "$origin"/labs/*/answers.md; do
        name=$(basename "$(dirname "$answers")")
        sheet sheet '' "$origin/expected/$name.txt" >untouched
        odd=$(grep -vE '^$|^[0-9]+\. |^~|\.\.\.$|\) = 0$|\?$|\?[ ,)]' untouched ||
            true)
        [[ -z $odd ]] || {
            echo "$name: nothing to predict in: $odd"
            return 1
        }
    done
}

# A call that prepares is given only where each of this lab succeeds.
@test "of each lab: no result is on its sheet, but of calls that prepare" {
    for expected in "$origin"/expected/*.txt; do
        sheet sheet '' "$expected" >untouched
        given=$(sed -nE 's/^[^ ]+ +([a-z]+)\(.*\) = 0$/\1/p' untouched | sort -u |
            paste -sd '|')
        [[ $given =~ ^((socketpair|close|unlink|listen|mount|chdir|f?chmod|symlink|setrlimit)(\||$))*$ ]]
        [[ -z $given ]] || ! grep -E "^[^ ]+ +($given)\(.* = -1" "$expected"
        result=$(grep -vE '^~|\.\.\.$' untouched | grep -E ' = [^?]' |
            grep -vE " ($given)\(" || true)
        [[ -z $result ]] || {
            echo "$expected: $result"
            return 1
        }
    done
}

@test "what prepares is given, and is a question where it fails once" {
    plant_steps
    printf '%s\n' '' '4. Ready?' 'bob       close(fd) = 0' 'bob       bind(fd) = 0' \
        'bob       close(dup) ...' >>expected/90-planted.txt
    passes predict
    grep -qx 'bob       close(fd) = 0' "$paper"
    grep -qx 'bob       bind(fd) = ?' "$paper"
    rm "$paper"
    echo 'bob       close(fd) = -1 EBADF' >>expected/90-planted.txt
    passes predict
    [[ $(grep -cx 'bob       close(fd) = ?' "$paper") == 2 ]]
    fails grep -q 'close(fd) = 0' "$paper"
}

@test "the top of a sheet says how to write what is in it, in 80 columns" {
    plant_steps
    passes predict
    fails grep -q '~' "$paper"
    printf '%s\n' 'eve       recvfrom() = 2 "hi" from "", 0 bytes' '~eve      k = 7' \
        'eve       waitpid(bob) -> killed: SIGKILL' >>"$box/said"
    sed 's/k = 7/k = #/' "$box/said" >expected/90-planted.txt
    rm "$paper"
    passes predict
    grep -qxF 'eve       waitpid(bob) = ?' "$paper"
    grep -qF '#     = exited: 0    the process has ended by itself' "$paper"
    grep -qF '# Where the lab prints -> you may find = here' "$paper"
    sed -i 's/(bob) = ?/(bob) = killed: SIGKILL/
        s/= ? from ?, ? bytes/= hi from "", 0 bytes/; s/send.* = ?/send("hi") = EPIPE/' "$paper"
    passes predict
    said '1 of 3 steps as predicted'
    said '        eve       waitpid(bob) -> killed: SIGKILL'
    grep -qxF '#     ""             an empty text, or no name' "$paper"
    grep -qxF '# A line that begins with ~ is measured: # stands for its figures, and stays.' "$paper"
    fails grep -E '^#.{80}' "$paper"
}

@test "a sheet does not tell how many lines there are" {
    plant_steps
    passes predict
    said "$paper: steps to predict: 3"
    said 'next: read labs/90-planted/README.md up to "Mend it",
      but do not run the lab yet: "Run" says how to read the lines;
      fill in the sheet, and type this again'
    passes grep -c 'recv() = ?' "$paper"
    [[ $output == 2 ]]
    passes grep -c 'exit \.\.\.' "$paper"
    [[ $output == 2 ]]
    grep -qx 'bob       send("hi") = ?' "$paper"
}

@test "a step of which nothing was predicted is not given away" {
    plant_steps
    passes predict
    sed -i '/^1/,/^2/s/?$/"hi"/' "$paper"
    cp "$paper" "$box/mine"
    passes predict
    said $'1. Who?\n        as predicted'
    said $'2. How often?\n        not predicted yet'
    said $'3. And now?\n        not predicted yet'
    said '1 of 3 steps as predicted'
    said 'next: predict the other steps, too'
    [[ $output != *you* && $output != *EPIPE* ]]
    cmp "$box/mine" "$paper"
}

@test "where it came otherwise, the whole step is shown: you, and it is" {
    plant_steps
    passes predict
    sed -i 's/?$/"hi"/; s/send("hi") = .*/send("hi") = ?/' "$paper"
    sed -i 's/^3\. .*/&\nbob       says nothing/' "$paper"
    passes predict
    said $'2. How often?
        bob       recv() = 2 "hi"
it is:  bob       recv() = 3 "you"
it is:  bob       recv() = 0 ""
        ann       exit ...
        ann       exit ...

3. And now?
you:    bob       says nothing
you:    bob       send("hi") = ?
it is:  bob       send("hi") = -1 EPIPE

1 of 3 steps as predicted'
    said 'next: labs/90-planted/answers.md, as far as "Often said", says why'
}

@test "what counts is what was meant, not how it was written" {
    plant_steps
    mkdir -p work/90-planted
    printf '%s\r\n' '# notes' 'and more' '1. Who ever?' 'ann send("hi")   ...' \
        ' bob  recv() = "hi" ' '# because' '2. How often?' \
        'bob       recv() = 2 "hi"' 'bob recv() = "you"' 'bob recv() = 0' '' \
        'ann exit ...' 'ann exit ...' '3.' 'bob send("hi") = EPIPE' >"$paper"
    passes predict
    said '3 of 3 steps as predicted'
    sed -i s/EPIPE/EPERM/ "$paper"
    passes predict
    said '2 of 3 steps as predicted'
}

# Fills in what lab 90 prints, as sed program $1 has changed it.
fill_in() {
    mkdir -p work/90-planted
    sed -E "$1" "$box/said" >"$paper"
}

@test "a count is enough for a text, and what was meant is shown in full" {
    plant_steps
    fill_in 's/ = ([23]) ".*/ = \1/'
    passes predict
    said '3 of 3 steps as predicted'
    said $'2. How often?
        as predicted, in the words of the lab:
        bob       recv() = 2 "hi"
        bob       recv() = 3 "you"
        bob       recv() = 0 ""
        ann       exit ...'
    said $'3. And now?\n        as predicted\n'
    fill_in 's/ = 2 ".*/ = 3/'
    passes predict
    said '1 of 3 steps as predicted'
    fill_in 's/ = 3 ".*/ = 2/; s/ = 0 .*/ = 3/'
    passes predict
    said $'        bob       recv() = 2 "hi"
you:    bob       recv() = 2
it is:  bob       recv() = 3 "you"
you:    bob       recv() = 3
it is:  bob       recv() = 0 ""'
    said '2 of 3 steps as predicted'
}

@test "a line in its place is not set against itself" {
    plant_steps
    sed -i '/recv() = 3/s/3 .*/0 ""/' "$box/said"
    cp "$box/said" expected/90-planted.txt
    fill_in '/^2/,/^3/{/recv/s/=.*/= 0/}'
    passes predict
    said $'you:    bob       recv() = 0
it is:  bob       recv() = 2 "hi"
        bob       recv() = 0 ""
        bob       recv() = 0 ""'
}

@test "the sign, and EOF for 0, do not make a right step short" {
    plant_steps
    printf '%s\n' '' '4. Whose?' 'bob       getname(x) -> own' 'bob       getname(y) -> own' \
        'bob       read() = 0' 'bob       recv() = 1' >>"$box/said"
    cp "$box/said" expected/90-planted.txt
    fill_in 's/ -> / = /; s/= 0$/= EOF/'
    passes predict
    said $'4. Whose?\n        as predicted\n'
}

@test "the quotes of a text and the case of an error do not matter" {
    plant_steps
    printf '%s\n' '' '4. Which?' 'bob       user: "guest", room: 5' \
        'bob       got: 3 bytes "a,b", calls: 2' >>"$box/said"
    cp "$box/said" expected/90-planted.txt
    fill_in 's/(= |: |bytes |got: 3.*)"(.*)"/\1\2/; s/-1 EPIPE/epipe/'
    passes predict
    said '4 of 4 steps as predicted'
    fill_in 's/bytes "a,b"/bytes /; s/-1 EPIPE/-1 epipe/; s/"hi"$/hi/'
    passes predict
    said '4 of 4 steps as predicted'
    fill_in 's/guest/ghost/; s/= 3 "you"/= 3 me/; s/EPIPE/eperm/; s/"hi"$/"hu/'
    passes predict
    said '0 of 4 steps as predicted'
}

@test "a count alone does not tell which of two texts of this length it is" {
    plant_steps
    printf '%s\n' '' '4. Which?' 'ann       send("red") ...' \
        'ann       send("tea") ...' 'bob       recv() = 3 "tea"' >>"$box/said"
    cp "$box/said" expected/90-planted.txt
    for result in 3 '3 "red"' '4 "tea"'; do
        fill_in "s/ = 3 \"tea\"/ = $result/"
        passes predict
        said '3 of 4 steps as predicted'
        [[ $(grep -c 'which text?' <<<"$output") == $((${#result} == 1)) ]]
    done
    for result in '3 "tea"' tea '"tea"'; do
        fill_in "s/ = 3 \"tea\"/ = $result/"
        passes predict
        said '4 of 4 steps as predicted'
    done
}

@test "the words of poll() in any order, and = behind a colon" {
    plant_steps
    printf '%s\n' '' '4. Ready?' 'bob       poll() = 1 POLLIN POLLOUT POLLHUP' \
        'bob       count: 2' >>"$box/said"
    cp "$box/said" expected/90-planted.txt
    for result in 'POLLIN | POLLOUT | POLLHUP' 'POLLHUP, POLLIN, POLLOUT' \
        'POLLOUT|POLLHUP|POLLIN' '1 POLLHUP POLLOUT POLLIN'; do
        fill_in "s/ = 1 POLL.*/ = $result/; s/count: 2/count: = 2/"
        passes predict
        said '4 of 4 steps as predicted'
    done
    for result in 'POLLIN POLLOUT' '1' 'POLLIN POLLOUT POLLERR'; do
        fill_in "s/ = 1 POLL.*/ = $result/"
        passes predict
        said '3 of 4 steps as predicted'
    done
}

@test "what was measured is shown when the step was predicted" {
    plant_steps
    printf '%s\n' '' '4. How many?' '~bob      sent # bytes' 'bob       recv() = 1' \
        >>"$box/said"
    cp "$box/said" expected/90-planted.txt
    sed -i 's/sent #/sent 8000/' "$box/said"
    passes predict
    passes predict
    [[ $output != *8000* ]]
    sed -i '/^4/,$s/?/1/' "$paper"
    passes predict
    said $'4. How many?\n        as predicted\n        ~bob      sent 8000 bytes\n'
    sed -i '/^4/,$s/= 1$/= 2/' "$paper"
    passes predict
    said $'4. How many?\n        ~bob      sent 8000 bytes\nyou:    bob       recv() = 2\n'
    [[ $(grep -c 8000 <<<"$output") == 1 ]]
}

@test "a unit behind a number, and the text behind an error, do no harm" {
    plant_steps
    fill_in 's/ = 3 "you"/ = 3 bytes/; s/-1 EPIPE/-1 EPIPE "Broken pipe"/'
    passes predict
    said '3 of 3 steps as predicted'
    fill_in 's/ = 3 "you"/ = 2 bytes/; s/-1 EPIPE/-1 EPERM "Broken pipe"/'
    passes predict
    said '1 of 3 steps as predicted'
}

@test "a line too few and one too many are not compared with their neighbours" {
    printf '%s\n' '1. Who?' 'bob       recv() = 2 "hi"' 'bob       recv() = 0 ""' \
        'ann       send("you") ...' 'bob       recv() = 3 "you"' >"$box/said"
    sketch "cat '$box/said'"
    cp "$box/said" expected/90-planted.txt
    fill_in 3d
    echo 'bob       recv() = 0 ""' >>"$paper"
    passes predict
    said '        bob       recv() = 2 "hi"
it is:  bob       recv() = 0 ""
        ann       send("you") ...
        bob       recv() = 3 "you"
you:    bob       recv() = 0 ""'
}

@test "the number of poll() is enough where POLLIN is alone, or the event" {
    plant_steps
    printf '%s\n' '' '4. Ready?' 'bob       poll(listener) = 1 POLLIN' \
        >>"$box/said"
    cp "$box/said" expected/90-planted.txt
    passes predict
    grep -qxF '#     = 1 POLLIN     poll() reports POLLIN; = 1 will do' "$paper"
    for result in '1 POLLIN' 1 POLLIN pollin; do
        fill_in "s/= 1 POLLIN$/= $result/"
        passes predict
        said '4 of 4 steps as predicted'
    done
    for result in 0 2 POLLOUT '1 POLLIN POLLHUP'; do
        fill_in "s/= 1 POLLIN$/= $result/"
        passes predict
        said '3 of 4 steps as predicted'
    done
    sed -i 's/POLLIN/POLLIN POLLHUP/' "$box/said"
    cp "$box/said" expected/90-planted.txt
    fill_in 's/= 1 POLLIN POLLHUP/= 1/'
    passes predict
    said '3 of 4 steps as predicted'
}

@test "the buffers of a list are what counts, without brackets, and not their bytes" {
    plant_steps
    printf '%s\n' '' '4. Which?' 'bob       recvmsg() = 4 ["OK..", "no"], flags: 0' \
        >>"$box/said"
    cp "$box/said" expected/90-planted.txt
    passes predict
    grep -qxF '#     = 3 ["red", ".."]  two whole buffers; = red, .. will do, = 3 will not' "$paper"
    for list in '["OK..", "no"]' '[OK.., no]' '4 OK.., no'; do
        fill_in "s/= 4 .*\]/= $list/"
        passes predict
        said '4 of 4 steps as predicted'
    done
    for list in '[OK.., on]' '4'; do
        fill_in "s/= 4 .*\]/= $list/"
        passes predict
        said '3 of 4 steps as predicted'
    done
    sed -i '/\[/d' expected/90-planted.txt
    rm "$paper"
    passes predict
    fails grep -q 'two buffers' "$paper"
}

@test "-1 is enough for an error where the README says so, and only there" {
    plant_steps
    fill_in 's/-1 EPIPE/-1/'
    passes predict
    said '2 of 3 steps as predicted'
    said $'you:    bob       send("hi") = -1\nit is:'
    mkdir -p labs/90-planted
    printf '%s\n' '## Predict' 'If it fails,' 'write' '-1. Not 0.' '## Run' \
        >labs/90-planted/README.md
    passes predict
    said '3 of 3 steps as predicted'
    said '        bob       send("hi") = -1 EPIPE'
    passes scripts/study/progress.sh
    said '3 of 3'
    sed -i 's/= -1/= 0/' "$paper"
    passes predict
    said '2 of 3 steps as predicted'
    rm "$paper"
    passes predict
    grep -q 'with this error; = EAGAIN or = -1 will do' "$paper"
    rm "$paper" labs/90-planted/README.md
    passes predict
    grep -q 'with this error; = EAGAIN will do' "$paper"
}

@test "it is compared with what the lab prints now" {
    plant_steps
    mkdir -p work/90-planted
    sed -i s/EPIPE/EAGAIN/ "$box/said"
    cp "$box/said" "$paper"
    passes predict
    said '3 of 3 steps as predicted'
    said "note: this is not what expected/90-planted.txt says: 'make check-90'"
    sed -i '/^3/,$d' "$box/said"
    yields 2 predict
    said 'it has the steps 1 2 3, and the lab has 1 2'
}

@test "what is measured is no matter of prediction" {
    printf '%s\n' '1. Who?' '~ann      # us' 'ann       send() = 1' \
        >expected/90-planted.txt
    mkdir -p build
    printf '%s\n' '#!/bin/sh' 'echo "1. Who?"' 'date "+~ann      %N us"' \
        'echo "ann       send() = 1"' >build/90-planted
    chmod +x build/90-planted
    passes predict
    grep -qx '~ann      # us' work/90-planted/prediction.txt
    sed -i 's/?$/1/' work/90-planted/prediction.txt
    passes predict
    said '1 of 1 steps as predicted'
    [[ $output != *note* ]]
}

@test "ORDER=1: all lines are there, in the wrong order" {
    plant_steps
    local order=work/90-planted/order.txt
    ORDER=1 passes predict
    said 'order.txt: steps to put in order: 3'
    said 'put the lines of each step in their order, and type this again'
    [[ $output != *'fill in'* ]]
    diff <(grep . "$order" | grep -v '^#' | sort) <(grep . "$box/said" | sort)
    ORDER=1 passes predict
    said '0 of 2 steps as predicted'
    said $'3. And now?\n        nothing to predict'
    { echo '# mine' && cat "$box/said"; } >"$order"
    ORDER=1 passes predict
    said '2 of 2 steps as predicted'
    [[ ! -e $paper ]]
}

@test "a long line is shown in 80 columns" {
    plant_steps
    long="bob       recv() = 60 \"$(printf 'word %.0s' {1..12})\""
    sed -i "s/^bob .*EPIPE/$long/" "$box/said" expected/90-planted.txt
    passes predict
    sed -i 's/?$/7/' "$paper"
    passes predict
    said $'\n            word word'
    fails grep -E '.{81}' <<<"$output"
}

@test "a damaged sheet is refused in one line, and left as it is" {
    plant_steps
    mkdir -p work/90-planted
    for damage in '' '1. Who?' $'1.\n3.\n2.' $'\1\2\3' $'1.\n2.\n3.\n4.'; do
        printf '%s' "$damage" >"$paper"
        yields 2 predict
        said "predict.sh: $paper: it has the steps "
        said 'repair it, or rename it to get a new one'
        [[ $output != *$'\n'* && $(<"$paper") == "$damage" ]]
    done
    rm "$paper"
    ln -s /nowhere "$paper"
    yields 2 predict
    said "$paper: cannot be read; rename it to get a new one"
    rm "$paper"
    mkdir "$paper"
    yields 2 predict
    said 'cannot be read'
}

@test "where one cannot write, it says so, and leaves nothing" {
    plant_steps
    echo 'not a directory' >work
    yields 2 predict
    said 'cannot write to work/90-planted: make it yours, or copy the suite'
    [[ $output != *$'\n'* ]]
    rm work
    mkdir work
    (
        ulimit -f 0
        trap '' XFSZ
        yields 2 predict
        said 'is the disk full?'
    )
    [[ -z $(ls work/90-planted) ]]
}

@test "a lab that fails or is skipped confirms nothing, and says why" {
    plant_steps
    passes predict
    while IFS='|' read -r status does says; do
        sketch "$does"
        cp "$box/said" expected/90-planted.txt
        TIMEOUT=0.5 yields "$status" predict
        said "$says"
    done <<'END'
1|echo "1. Who?"; echo oops >&2; exit 3|oops
1|exit 3|not ok - 90 planted: it did not end well; 'make lab-90' shows how far
77|echo "no such sockets" >&2; exit 77|skipped - 90 planted: no such sockets
124|exec sleep 60|not done after 0.5 s
END
    rm build/90-planted
    yields 1 predict
    said 'it does not compile'
    [[ -z $(ls build) ]]
}

@test "through make: handed out, filled in, judged; and make clean leaves it" {
    plant 'step("Who?"); say("send() = %d", 1);' \
        $'1. Who?\nmain      send() = 1'
    passes make -s predict-90
    said 'work/90-planted/prediction.txt: steps to predict: 1'
    sed -i 's/?$/1/' work/90-planted/prediction.txt
    passes make -s predict-90
    said '1 of 1 steps as predicted'
    passes make -s predict-90 ORDER=1
    said 'work/90-planted/order.txt'
    passes make -s clean
    [[ -s work/90-planted/prediction.txt && ! -e build ]]
    fails make -s predict-90 ORDER=yes
    said 'ORDER=yes: want 1'
    fails make -s predict-99
    said 'there is no lab 99; the labs are: 90'
    yields 2 scripts/study/predict.sh
    said 'usage: '
    yields 2 scripts/study/predict.sh build/91-unknown
    said 'there is no expected/91-unknown.txt'
}
