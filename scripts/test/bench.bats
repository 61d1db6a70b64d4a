#!/usr/bin/env bats
# bench.bats -- what make bench says and leaves, and what its engine refuses

# shellcheck disable=SC2154 # box, origin, status and output are set elsewhere
load helper

# The engine is built once for all tests, and most tests do without pictures.
setup_file() {
    local scripts=$BATS_TEST_DIRNAME/..
    mkdir "$BATS_FILE_TMPDIR/bin"
    cc -w -pthread -o "$BATS_FILE_TMPDIR/engine" "$scripts/bench/engine.c"
    ln -s /usr/bin/* "$BATS_FILE_TMPDIR/bin"
    rm -f "$BATS_FILE_TMPDIR/bin/gnuplot"
}

# The fastest of all measurements.
small=(QUICK=1 SIZES=64 PLACES=self 'TRANSPORTS=unix-stream tcp')

# Runs the benchmark with the real engine and these settings.
bench() {
    mkdir -p build
    cp "$BATS_FILE_TMPDIR/engine" build
    env PATH="$BATS_FILE_TMPDIR/bin" "$@" scripts/bench/bench.sh build/engine
}

# Runs it with an engine that only pretends, the one of the last sketch.
bench_planted() {
    env PATH="$BATS_FILE_TMPDIR/bin" "$@" \
        scripts/bench/bench.sh build/90-planted
}

# The rest of an engine that prints rows $1 for round trips, $2 for one way.
sketch_rows() {
    sketch "case \$* in
        --header*) exec $BATS_FILE_TMPDIR/engine \"\$@\" ;;
        *round-trip*) $1 ;;
        *) $2 ;;
    esac"
}

engine() {
    "$BATS_FILE_TMPDIR/engine" "$@"
}

# The rows of CSV file $1, without comments and header.
rows() {
    grep -v '^#' "$1" | tail -n +2
}

# The last processor that may be used.
last_cpu() {
    taskset -cp $$ | grep -o '[0-9]*' | tail -n 1
}

# The engine says only this, on one line, and its status is that of wrong usage.
refuses() {
    local why=$1
    yields 2 engine "${@:2}"
    said "engine: $why"
    [[ $output != *$'\n'* ]]
}

@test "a value that does not exist is refused, with those that do" {
    sketch 'echo "it ran"; : >ran' # nothing may run before all is checked
    for wrong in 'TRANSPORTS=tcp smoke' SIZES=5 PLACES=moon QUICK=yes; do
        yields 2 bench_planted "$wrong"
        said "bench.sh: ${wrong%%=*}: no "
        said 'there are: '
        [[ $output != *$'\n'* && ! -e ran ]]
    done
    yields 2 bench_planted SIZES=
    said 'SIZES: empty; there are: 1 4 16 '
    yields 2 bench_planted TRANSPORTS=spin PLACES=self
    said 'nothing of that can be measured here'
    yields 2 scripts/bench/bench.sh
    said 'usage: scripts/bench/bench.sh PROGRAM'
    yields 2 scripts/bench/bench.sh build/none
    said 'no such program'
}

@test "the engine refuses too few arguments, and shows all" {
    refuses 'usage: engine PLACE SIZE METRIC SLICES MILLISECONDS PEER_CPU '
    refuses 'usage: ' self 64 one-way 1 1 0
    refuses 'usage: ' --header
}

@test "the engine refuses each argument that is none" {
    refuses 'PLACE: no moon; there are: self ' moon 64 one-way 1 1 0 tcp
    refuses 'METRIC: no any; there are: round-trip ' self 64 any 1 1 0 tcp
    refuses 'METRIC: no any; there are: round-trip ' --header any
    refuses 'TRANSPORT: no smoke; there are: unix-stream ' \
        self 64 one-way 1 1 0 tcp smoke
    refuses 'TRANSPORT: tcp is named twice' self 64 one-way 1 1 0 tcp pipe tcp
    refuses 'TRANSPORT: tcp is named twice' \
        self 64 one-way 1 1 0 tcp tcp tcp tcp tcp tcp tcp
}

@test "the engine refuses what is not a number, and numbers out of range" {
    refuses "SIZE: 'x' is not a number" self x one-way 1 1 0 tcp
    refuses "SIZE: '64k' is not a number" self 64k one-way 1 1 0 tcp
    refuses "SIZE: '' is not a number" self '' one-way 1 1 0 tcp
    refuses 'SIZE: 0 is not from 1 to 1048576' self 0 one-way 1 1 0 tcp
    refuses 'SIZE: -1 is not from 1 to' self -1 one-way 1 1 0 tcp
    refuses 'SIZE: 1048577 is not from 1 to' self 1048577 one-way 1 1 0 tcp
    refuses 'SIZE: 99999999999999999999 is not from 1 to' \
        self 99999999999999999999 one-way 1 1 0 tcp
    refuses "SLICES: 'x' is not a number" self 64 one-way x 1 0 tcp
    refuses 'SLICES: 0 is not from 1 to' self 64 one-way 0 1 0 tcp
    refuses "MILLISECONDS: '0.5' is not a number" self 64 one-way 1 0.5 0 tcp
    refuses 'MILLISECONDS: 0 is not from 1 to' self 64 one-way 1 0 0 tcp
    refuses "PEER_CPU: 'x' is not a number" self 64 one-way 1 1 x tcp
    refuses 'PEER_CPU: -1 is not from 0 to' self 64 one-way 1 1 -1 tcp
}

@test "the engine refuses what a transport cannot, or a floor" {
    refuses 'udp: SIZE: 65508 is not from 1 to 65507' \
        self 65508 one-way 1 1 0 udp
    refuses 'pipe: SIZE: 100000 is not a multiple of 65536, a piece in self' \
        self 100000 one-way 1 1 0 pipe
    refuses 'eventfd: SIZE: 64 is not from 8 to 8' \
        self 64 round-trip 1 1 0 eventfd
    refuses 'spin: METRIC: it is measured as round-trip only' \
        cross 8 one-way 1 1 0 spin
    refuses 'memcpy: PLACE: it is measured in self only' \
        same 64 round-trip 1 1 0 memcpy
}

@test "a transport that does not deliver what was sent is not measured" {
    sed 's/= shared->buf\[end\];/= shared->buf[1 - end];/' \
        scripts/bench/engine.c >scripts/bench/broken.c
    cc -w -pthread -o broken scripts/bench/broken.c
    for transport in unix-stream unix-dgram udp; do
        yields 1 ./broken self 64 one-way 1 1 0 "$transport"
        [[ $output == "engine: $transport: not what was sent" ]]
    done
}

@test "make bench: one screen, all tables and whole files beside it" {
    passes make -s bench "${small[@]}"
    said 'AF_UNIX stream against TCP'
    said 'build/bench/tables.txt'
    (($(wc -l <<<"$output") <= 24))
    [[ -z $(awk 'length($0) > 80' - build/bench/tables.txt <<<"$output") ]]
    grep -q 'Round trip in us' build/bench/tables.txt
    grep -q 'time of unix-stream / tcp' build/bench/tables.txt
    # none of these was asked for
    fails grep -qE 'Floors|pieces' build/bench/tables.txt
    [[ -z $(rows build/bench/round-trip.csv | awk -F, '!($12 > 0)') ]]
    for file in round-trip one-way; do
        # two transports, three slices
        (($(rows "build/bench/$file.csv" | wc -l) == 6))
        grep -q '^# kernel: Linux' "build/bench/$file.csv"
        grep -q '/current_clocksource: [a-z]' "build/bench/$file.csv"
        fields=$(grep -v '^#' "build/bench/$file.csv" | awk -F, '{ print NF }')
        (($(sort -u <<<"$fields" | wc -l) == 1))
    done
    [[ -z $(find build/bench -name '.*') ]]
}

@test "however much was measured, the screen has 24 lines of 80 columns" {
    row="for t in unix-stream tcp; do for s in 1 2; do
        echo \"\$1,\$t,\$2,9,\$s,4"
    sketch_rows "$row,123456.7,1,2,3,5,4\"; done; done" \
        "$row,0,123456.7,0.123\"; done; done"
    passes bench_planted
    (($(wc -l <<<"$output") <= 24))
    [[ -z $(awk 'length($0) > 80' - build/bench/tables.txt <<<"$output") ]]
    for size in 64 1K 16K 64K 1M; do
        (($(grep -c "^$size .*123.*1.00" <<<"$output") == 2))
    done
    (($(grep -c '^256K ' build/bench/tables.txt) > 0))
}

@test "a ratio that turns is marked on the screen" {
    sketch_rows "for s in 1 2 3 4; do
        echo \"self,tcp,64,9,\$s,4,100,1,2,3,5,4\"
        echo \"self,unix-stream,64,9,\$s,4,\$((s * 49)),1,2,3,5,4\"; done" \
        "for s in 1 2 3 4; do
        echo \"self,tcp,64,9,\$s,4,0,100,5\"
        echo \"self,unix-stream,64,9,\$s,4,0,\$((s * 10)),5\"; done"
    passes bench_planted "${small[@]}"
    grep -qE '^64 .* 1\.23\?$' <<<"$output"
    grep -qE '^64 .* 0\.25$' <<<"$output"
    (($(grep -cE '^64 +1\.23 +2/4$' build/bench/tables.txt) == 1))
    (($(grep -cE '^64 +0\.250 +4/4$' build/bench/tables.txt) == 1))
}

@test "three pictures, each twice, that say where they were measured" {
    command -v gnuplot >/dev/null || skip 'no gnuplot: scripts/setup.sh --dev'
    passes bench PATH="$PATH" "${small[@]}"
    said 'Pictures: '
    for picture in round-trip one-way ratio; do
        grep -qF "$(uname -sr)" "build/bench/$picture.svg"
        [[ -s build/bench/$picture.png ]]
    done
}

@test "the transports take turns, slice by slice, however they were asked for" {
    passes bench "${small[@]}" TRANSPORTS='tcp,unix-stream tcp'
    same=$(rows build/bench/round-trip.csv | cut -d, -f2,5 | tr '\n' ' ')
    turns='unix-stream,1 tcp,1 unix-stream,2 tcp,2 unix-stream,3 tcp,3 '
    [[ $same == "$turns" ]]
}

@test "without gnuplot: tables, files, and what to install; no old pictures" {
    mkdir -p build/bench
    : >build/bench/ratio.png
    passes bench "${small[@]}"
    said 'AF_UNIX stream against TCP'
    said 'No pictures: gnuplot is missing (apt-get: gnuplot-nox, '
    [[ -s build/bench/one-way.csv && ! -e build/bench/ratio.png ]]
}

@test "without taskset: what to install" {
    cp -R "$BATS_FILE_TMPDIR/bin" "$box/bin"
    rm "$box/bin/taskset"
    yields 1 bench PATH="$box/bin" "${small[@]}"
    said 'taskset is missing; install util-linux'
}

@test "on one processor, cross is left out, and this is said" {
    passes taskset -c "$(last_cpu)" env "${small[@]}" PLACES='self cross' \
        make -s bench
    said 'cross is left out'
    [[ $(rows build/bench/one-way.csv | cut -d, -f1 | sort -u) == self ]]
    yields 2 taskset -c "$(last_cpu)" make -s bench PLACES=cross
    said 'nothing of that can be measured here'
}

@test "floors: at one size; memcpy at each that is asked for" {
    passes bench QUICK=1 SIZES='64 4096' PLACES='self same' \
        TRANSPORTS='pipe eventfd memcpy syscall clock'
    said 'unix-stream and tcp were not both measured'
    tables=$(<build/bench/tables.txt)
    [[ $tables == *'Floors, in ns'* ]]
    [[ -z $(awk 'length($0) > 80' <<<"$tables") ]]
    for floor in eventfd syscall clock; do
        grep -q "^$floor  *[0-9]" <<<"$tables"
    done
    tail=$(sed -n '/one by one/,/^One way/p' <<<"$tables") # no percentiles
    [[ $tail == *pipe* && $tail != *memcpy* ]]
    rows build/bench/round-trip.csv | grep -v pipe | cut -d, -f1-3 |
        LC_ALL=C sort -u >"$box/trips"
    printf '%s\n' same,eventfd,8 self,clock,8 self,eventfd,8 self,memcpy,4096 \
        self,memcpy,64 self,syscall,8 | diff - "$box/trips"
    [[ -z $(rows build/bench/one-way.csv |
        awk -F, '$2 != "pipe" && $2 != "memcpy"') ]]
}

@test "a datagram that is lost is counted: UDP in two processes" {
    passes bench QUICK=1 SIZES=1024 PLACES=same TRANSPORTS='unix-dgram udp'
    [[ -z $(rows build/bench/one-way.csv |
        awk -F, '$2 == "unix-dgram" && $7 != 0') ]]
    [[ -z $(rows build/bench/one-way.csv | awk -F, '$7 < 0 || $7 >= $6') ]]
    grep -qE '^1K +[0-9.]+ %$' build/bench/tables.txt
}

@test "a transport that cannot carry so much, and one that was stopped" {
    sketch true
    yields 2 bench_planted "${small[@]}"
    said 'nothing of that can be measured here'
    [[ -z $(ls -A build/bench) ]]
    sketch_rows 'echo self,tcp,1048576,9,1,4,9,1,2,3,5000000000,4' \
        'echo self,tcp,1048576,9,1,4,0,9,5'
    passes bench_planted "${small[@]}" SIZES=1048576
    grep -q 'in pieces of 64K' build/bench/tables.txt
    grep -qE '^1M .* 5s$' build/bench/tables.txt
}

# shellcheck disable=SC2016 # it is the LC_ALL of that program
@test "a point is a point, also where people write 1,5" {
    sketch_rows \
        'echo self,tcp,64,9,1,4,2500.0,1,2,3,4,4; echo "$LC_ALL" >used' \
        'echo self,tcp,64,9,1,4,0,2500.0,2.5'
    passes bench_planted LC_ALL=de_DE.UTF-8 "${small[@]}"
    [[ $(<used) == C ]]
    (($(grep -cE '^64 +tcp +2\.50 +2\.50-2\.50$' build/bench/tables.txt) == 2))
}

@test "a program that fails, or a build that one may not write to: 1" {
    sketch 'echo "no memory" >&2; exit 3'
    yields 1 bench_planted "${small[@]}"
    said 'self, 64 bytes, round-trip: it failed'
    [[ -z $(ls -A build/bench) ]]
    rm -r build/bench
    : >build/bench
    yields 1 bench_planted "${small[@]}"
    said 'cannot write to'
}

@test "stopped and continued in the middle of a write(), it measures on" {
    cpu=$(last_cpu)
    taskset -c "$cpu" "$BATS_FILE_TMPDIR/engine" same 1048576 one-way 10 30 \
        "$cpu" pipe >rows &
    for _ in {1..10}; do
        sleep 0.03
        kill -STOP $!
        kill -CONT $!
    done
    timeout 20 tail --pid=$! -f /dev/null || kill $!
    wait $!
    (($(wc -l <rows) == 10))
}

# The first run has left its rows, so the second is under way.
has_rows() {
    [[ -s build/bench/$(ls -A build/bench 2>/dev/null)/round-trip ]]
}

@test "Ctrl-C leaves nothing, and ends what was running" {
    {
        await has_rows
        printf '\003'
    } | fails on_terminal make -s bench PLACES=same
    [[ -z $(ls -A build/bench) ]]
    fails grep -qs "$box/the suite/build/engine" /proc/[0-9]*/cmdline
    passes grep -q 'of .*: same, ' "$box/screen"
}
