#!/usr/bin/env bats
# find.bats -- is what the labs have found, and is nothing else?

# shellcheck disable=SC2154 # origin, box and output are of helper.bash and bats
# shellcheck disable=SC2016 # no command is meant by what stands in `...`
load helper
unset WHAT ALL

# Lab 90, and lab 91, which has one answer.
plant_pages() {
    mkdir -p labs/90-new labs/91-old
    cat >expected/90-new.txt <<END
1. Who waits?
ann       recv(sv[0]) = 3 "red"
ann       recv(sv[0]) = 3 "red"
ann       connect() = -1 EAGAIN

2. Who is in the backlog?
bob       recv(sv[0]) = -1 EAGAIN
bob       recvmsg() = 11 bytes
END
    cat >labs/90-new/README.md <<END
# Lab 90

You meet this in PostgreSQL.
END
    cat >labs/90-new/answers.md <<END
# Lab 90

1. **Nobody waits.** The queue
   is full.

       a picture

   There is more.

2. **Bob.** \`ENOBUFS\` would be wrong.

## Often said

- "Try again." A queue is full.
END
    printf '%s\n' '1. How old?' 'eve       mode: 0755' >expected/91-old.txt
    cat >labs/91-old/README.md <<END
# How old?

## Predict

1. Is the mode a number?
END
    cat >labs/91-old/answers.md <<END
# How old?

1. Older than the hills.

Nobody counts.
END
}

@test "find: each line under its question, once, then the answers" {
    plant_pages
    passes make -s find WHAT=recv
    [[ $output == 'Lab 90, 1. Who waits?
ann       recv(sv[0]) = 3 "red"

Lab 90, 2. Who is in the backlog?
bob       recv(sv[0]) = -1 EAGAIN

labs/90-new/answers.md:
1. **Nobody waits.** The queue
   is full.

       a picture

   There is more.

labs/90-new/answers.md:
2. **Bob.** `ENOBUFS` would be wrong.' ]]
    expected=$output
    for what in 'recv()' 'recv(2)' RECV ' recv '; do
        passes make -s find WHAT="$what"
        [[ $output == "$expected" ]]
    done
}

@test "find: an error by its name, number, text, and out of a log" {
    plant_pages
    for what in EAGAIN eagain EWOULDBLOCK 11 -11 'temporarily  UNAVAILABLE' \
        'connect() to unix:/x failed (11: Resource temporarily unavailable)'; do
        passes make -s find WHAT="$what"
        said 'EAGAIN is error 11: Resource temporarily unavailable'
        said 'EWOULDBLOCK is error 11: Resource temporarily unavailable'
        said 'ann       connect() = -1 EAGAIN'
        said 'bob       recv(sv[0]) = -1 EAGAIN'
        [[ $output != *mode* && $output != *'11 bytes'* ]]
    done
    fails make -s find WHAT='cannot: no such device or address'
    said 'ENXIO is error 6'
    [[ $output != *ENODEV* ]]
}

@test "find: a word of a question, of an answer, of any page" {
    plant_pages
    passes make -s find WHAT=backlog
    [[ $output == 'Lab 90, 2. Who is in the backlog?'*'2. **Bob.**'* ]]
    passes make -s find WHAT='no buffer space available'
    said '2. **Bob.** `ENOBUFS` would be wrong.'
    passes make -s find WHAT='queue is full'
    [[ $output == *'1. **Nobody waits.**'* && $output != *'Try again'* ]]
    passes make -s find WHAT='again.'
    said $'labs/90-new/answers.md:\n- "Try again." A queue is full.'
    passes make -s find WHAT=postgresql
    [[ $output == $'labs/90-new/README.md:\nYou meet this in PostgreSQL.' ]]
}

@test "find: the answer of a step that was found, and not what follows" {
    plant_pages
    passes make -s find WHAT=mode
    [[ $output == 'Lab 91, 1. How old?
eve       mode: 0755

labs/91-old/answers.md:
1. Older than the hills.' ]]
}

@test "find: first the problems that it may be" {
    plant_pages
    cat >labs/problems.md <<END
### Try again (11, EAGAIN)

| when | why | shown by |
|---|---|---|
| \`connect()\` | The queue is full. | [lab 90](90-new/answers.md), step 1: \`EAGAIN\` |

### It leaks

| symptom | why | shown by |
|---|---|---|
| 100 % of them | Nobody has closed them. | [lab 90](90-new/answers.md), step 2: \`EAGAIN\` |
END
    passes make -s find WHAT=EAGAIN
    said $'\n- connect(): The queue is full. Lab 90, step 1.\n\nLab 90, 1. '
    [[ $output != *'100 %'* ]]
    passes make -s find WHAT=leaks
    [[ $output == $'In labs/problems.md:\n- 100 % of them: Nobody has closed them. Lab 90, step 2.' ]]
}

# A page with one row and two items, of which one is longer than a line.
plant_items() {
    plant_pages
    cat >labs/problems.md <<END
### It hangs

| symptom | why | shown by |
|---|---|---|
| 100 % CPU since it was restarted | See [below](#no-lab). Who has 110% of it? | [lab 90](90-new/answers.md), step 2: \`EAGAIN\` |

### No lab

- Host is down (112, EHOSTDOWN) from \`connect()\`: who knows?
- Input/output error (5, EIO) from a shared
  folder: the folder cannot do it.

The folder is no item.
END
}

@test "find: how to tell which row it is, before the rows of a heading" {
    plant_pages
    cat >labs/problems.md <<END
### Try again (11, EAGAIN)

Which row is yours? Type
\`ss\`.

* There is a line: see [the
  row](#there).

| when | why | shown by |
|---|---|---|
| \`connect()\` | The queue is full. | [lab 90](90-new/answers.md), step 1: \`EAGAIN\` |
END
    passes make -s find WHAT=EAGAIN
    said $'labs/problems.md:\n- Which row is yours? Type ss.\n- There is a line: see "the row".\n- connect(): The queue is full.'
    passes make -s find WHAT='connect queue'
    [[ $output == $'In labs/problems.md:\n- EAGAIN, connect(): The queue is full. Lab 90, step 1.' ]]
}

@test "find: the numbered items of a list, with their lab" {
    plant_pages
    cat >labs/problems.md <<END
### A Server

1. Take a lock first: [lab 90](90-new/answers.md), step 1: \`recv\`.
2. Use \`MSG_RED\` for
   each client: [lab 90](90-new/answers.md), step 2: \`recv\`.
END
    passes make -s find WHAT=MSG_RED
    [[ $output == $'In labs/problems.md:\n- How to do it right, "a server", 2. Use MSG_RED for each client: lab 90,\n  step 2.' ]]
}

@test "find: of what is only so on Linux, which side is Linux" {
    plant_pages
    cat >labs/problems.md <<END
## What is only so on Linux

| elsewhere | on Linux | shown by |
|---|---|---|
| BSD: \`kqueue\` | \`epoll\` | [lab 90](90-new/answers.md), step 1: \`EAGAIN\` |
END
    passes make -s find WHAT=kqueue
    [[ $output == $'In labs/problems.md:\n- BSD: kqueue: on Linux, epoll. Lab 90, step 1.' ]]
}

@test "find: the items of the list that no lab shows" {
    plant_items
    passes make -s find WHAT='shared folder'
    [[ $output == $'In labs/problems.md:\n- Input/output error (5, EIO) from a shared folder: the folder cannot do it.
  (no lab shows it)' ]]
    for what in EIO 5 'input/output error' '[Errno 5] who?' 'os error 5)'; do
        passes make -s find WHAT="$what"
        [[ $output == $'EIO is error 5: '*$'\n\nIn labs/problems.md:\n- Input/output error (5, EIO)'* ]]
    done
    passes make -s find WHAT=folder
    [[ $output != *'no item'* && $output != *Host* ]]
    passes make -s find WHAT=knows
    [[ $output == $'In labs/problems.md:\n- Host is down (112, EHOSTDOWN) from connect(): who knows? (no lab shows it)' ]]
}

@test "find: a row without the targets of its links" {
    plant_items
    passes make -s find WHAT='see below'
    said 'See "below". Who has'
}

@test "find: with a blank before the percent sign, or without one" {
    plant_items
    printf '3. Only 7 %% are left.\n' >>labs/91-old/answers.md
    for what in '100%' '100 %' '100% cpu' '110 %'; do
        passes make -s find WHAT="$what"
        [[ $output == $'In labs/problems.md:\n- 100 % CPU since'* ]]
    done
    for what in '7%' '7 %'; do
        passes make -s find WHAT="$what"
        said '3. Only 7 % are left.'
    done
}

@test "find: in a row, the beginning of a word, if it is long enough" {
    plant_items
    for what in resta restart 'was restart' 'cpu restart' folde; do
        passes make -s find WHAT="$what"
        [[ $output == $'In labs/problems.md:\n- '* ]]
    done
    for what in rest started fold; do
        fails make -s find WHAT="$what"
    done
    printf '\nThe restarted one.\n' >>labs/91-old/answers.md
    passes make -s find WHAT=resta
    [[ $output != *'restarted one'* ]]
}

@test "find: what to try if a line of a log finds nothing" {
    plant_items
    fails make -s find WHAT='Cannot find unit of PID 1234'
    said '"Cannot find unit of PID 1234"; try fewer of these words'
    fails make -s find WHAT=nowhere
    [[ $output != *'leave out'* ]]
    fails make -s find WHAT='u_str LISTEN 129 128 /run/app.sock 4711 * 0'
    said '0"; but see "A column of ss" in labs/problems.md'
}

@test "find: of a line of a log, the longest part that the page of problems has" {
    plant_items
    passes make -s find WHAT='[warn] the shared_FOLDER - the folder (cannot) do 7'
    [[ $output == $'In labs/problems.md, of "the folder cannot do":\n- Input/output error'* ]]
    printf '\nThe folder cannot do everything.\n' >>labs/91-old/answers.md
    passes make -s find WHAT='the folder cannot do everything'
    [[ $output == $'In labs/problems.md, of "the folder cannot do":'* ]]
    said $'labs/91-old/answers.md:\nThe folder cannot do everything.'
    passes make -s find WHAT='redd: output error, folder cannot redd'
    [[ $output == $'In labs/problems.md, of "folder cannot":'* ]]
    for what in '[warn] cpu since it' 'folder, the cannot'; do
        fails make -s find WHAT="$what"
    done
}

@test "find: first the rows of an error that have other words of the line, too" {
    plant_pages
    cat >labs/problems.md <<END
### Try again (11, EAGAIN)

| when | why | shown by |
|---|---|---|
| send() | Nobody reads. | [lab 90](90-new/answers.md), step 1: \`recv\` |
| connect(), redd: "couldn't reach the red server" | No place. | [lab 90](90-new/answers.md), step 2: \`recv\` |

### Broken pipe (32, EPIPE)

| when | why | shown by |
|---|---|---|
| "while sending four words" | Nobody. | [lab 90](90-new/answers.md), step 1: \`recv\` |
END
    red='- connect(), redd: "couldn'\''t reach the red server": No place. Lab 90, step 2.'
    for not in "couldn't" couldnt; do
        passes make -s find WHAT="7# $not reach the red server at /x, Resource temporarily unavailable"
        said "In labs/problems.md, of \"couldnt reach the red server\":
- EAGAIN, connect(), redd: \"couldn't reach the red server\": No place. Lab 90,
  step 2.

In labs/problems.md:
- send(): Nobody reads. Lab 90, step 1.
$red"
    done
    for line in 'the red server: (11: Resource temporarily unavailable' \
        'Resource temporarily unavailable while sending four words'; do
        passes make -s find WHAT="$line"
        [[ $output != *'problems.md, of'* ]]
        said $'In labs/problems.md:\n- send(): '
    done
}

@test "find: a number in brackets is no error that no lab has" {
    plant_items
    passes make -s find WHAT='redd: (7) the shared folder cannot do'
    [[ $output != *next:* && $output != *E2BIG* ]]
    printf '\n### Not permitted (1, EPERM)\n\nAsk root.\n' >>labs/problems.md
    passes make -s find WHAT='redd (1): Input/output error'
    [[ $output == 'EIO is error 5: '* && $output != *EPERM* ]]
}

@test "find: an error among other words leads to all of this error" {
    plant_pages
    passes make -s find WHAT='recv EAGAIN'
    said $'\n\nnext: make find WHAT=EAGAIN'
    for what in '(11)' 'mysock.sock (11)' 'failed (11: who knows?)' 'who? EAGAIN!'; do
        passes make -s find WHAT="$what"
        [[ $output == 'EAGAIN is error 11: '*'recv(sv[0]) = -1 EAGAIN'* ]]
    done
    plant_items
    printf '\n### Try again (11, EAGAIN)\n\nAsk who reads.\n' >>labs/problems.md
    passes make -s find WHAT='the shared folder gets EAGAIN'
    [[ $output == 'EAGAIN is error 11: '*'Ask who reads.'* && $output != *'(5, EIO)'* ]]
    for what in EAGAIN eagain recv; do
        passes make -s find WHAT="$what"
        [[ $output != *next:* ]]
    done
}

@test "find: of much, only the places of the answers, then of the evidence" {
    plant_pages
    printf '   Line %d.\n' {1..60} >sixty
    sed -i '/^1. \*/r sixty' labs/90-new/answers.md
    evidence=$'Lab 90, 1. Who waits?\nann       recv(sv[0]) = 3 "red"

Lab 90, 2. Who is in the backlog?\nbob       recv(sv[0]) = -1 EAGAIN\n'
    passes make -s find WHAT=recv
    [[ $output == "$evidence"'
The answers:
labs/90-new/answers.md, step 1, 2

next: to find less, add a word: WHAT="recv ..."; ALL=1 shows all' ]]
    passes make -s find WHAT=recv ALL=1
    [[ $output == "$evidence"$'\nlabs/90-new/answers.md:\n1. **Nobody'* ]]
    said $'   Line 60.\n'
    [[ $output == *'2. **Bob.** `ENOBUFS` would be wrong.' ]]
    passes make -s find WHAT='line 7'
    [[ $output == $'The answers:\nlabs/90-new/answers.md, step 1\n\nnext: '* ]]
    { echo && sed 's/^ */Word /' sixty; } >>labs/90-new/README.md
    passes make -s find WHAT='word line'
    [[ $output == $'labs/90-new/README.md\n\nnext: '* ]]
    printf 'One two three.\n\n%.0s' {1..61} >labs/91-old/three.md
    passes make -s find WHAT='one two three'
    [[ $output == *$'\n\nnext: ALL=1 shows all' ]]
    sed -n 1,58p sixty | sed 's/^ */Less /' >labs/91-old/less.md
    passes make -s find WHAT=less
    said 'Less Line 58.'
    [[ $output != *next:* ]]
    fails make -s find WHAT=recv ALL=yes
    said 'ALL=yes: want 1'
    fails make -s find WHAT=nowhere ALL=1
    said 'nothing in the labs has "nowhere"'
    printf 'eve       recv(%d) = 1\n' {1..60} >>expected/91-old.txt
    passes make -s find WHAT=recv
    [[ $output == $'The answers:\nlabs/90-new/answers.md, step 1, 2
labs/91-old/answers.md, step 1\n\nnext: '* ]]
    passes make -s find WHAT=recv ALL=1
    said 'eve       recv(60) = 1'
}

@test "find: words that are no phrase have to be in one place" {
    plant_pages
    passes make -s find WHAT='eagain connect'
    said 'ann       connect() = -1 EAGAIN'
    [[ $output != *'bob  '* ]]
    passes make -s find WHAT='bytes 11'
    said 'bob       recvmsg() = 11 bytes'
    fails make -s find WHAT='connect 0755'
    said 'nothing in the labs has "connect 0755"'
}

@test "find: nothing found says so, and what is near" {
    plant_pages
    fails make -s find WHAT=recvv
    said 'nothing in the labs has "recvv"; near: recv'
    fails make -s find WHAT=postgres
    said 'near: PostgreSQL'
    fails make -s find WHAT=EXDEV
    said 'EXDEV is error 18: Invalid cross-device link'
    said 'nothing in the labs has "EXDEV"'
    for what in '.*' 'a\d' '[' '(' "'; ls" '*'; do
        fails make -s find WHAT="$what"
        (($(grep -vc '^make: ' <<<"$output") == 1))
    done
}

@test "find: without a word, or without perl, one line" {
    fails make -s find
    said 'find.sh: want a word: make find WHAT=EAGAIN'
    (($(grep -vc '^make: ' <<<"$output") == 1))
    yields 2 scripts/study/find.sh a b
    said 'find.sh: want a word'
    printf '#!/bin/sh\nexit 2\n' >"$box/perl"
    chmod +x "$box/perl"
    PATH=$box:$PATH yields 2 scripts/study/find.sh EAGAIN
    [[ $output == *"perl, with its module Errno, is missing: 'scripts/setup.sh'"* ]]
}

@test "find: of the real labs" {
    cp -R "$origin/labs" "$origin/expected" .
    for what in EAGAIN 11 'Resource temporarily unavailable' SO_PEERCRED \
        ETOOMANYREFS recv MSG_DONTWAIT /proc socketpair; do
        passes scripts/study/find.sh "$what"
    done
    # musl has no text for it
    if [[ $(perl -MErrno -e 'print $! = Errno->ETOOMANYREFS') == Too* ]]; then
        passes scripts/study/find.sh 'too many references'
        said ' = -1 ETOOMANYREFS'
    fi
    for expected in expected/*.txt; do
        line=$(tail -n 1 "$expected")
        ALL=1 passes scripts/study/find.sh "$line"
        said "$line"
        [[ $output == *$'\nlabs/'* ]]
    done
}
