#!/usr/bin/env bats
# bench.bats -- what make bench says and leaves

# shellcheck disable=SC2154 # box, origin, status and output are set elsewhere
load helper

# Lab 62 in the suite of this test, and the fastest of all measurements.
small=(QUICK=1 SIZES=64 PLACES=self 'TRANSPORTS=unix-stream tcp')
bench_here() {
    cp -R "$origin/labs/62-transport-cost" labs
    make -s build/62-transport-cost
}

# The rows of CSV file $1, without comments and header.
rows() {
    grep -v '^#' "$1" | tail -n +2
}

@test "a value that does not exist is refused, with those that do" {
    mkdir -p labs/62-transport-cost build
    sketch 'echo "it ran"; : >ran' # nothing may run before all is checked
    for wrong in 'TRANSPORTS=tcp smoke' SIZES=5 PLACES=moon QUICK=yes; do
        yields 2 env "$wrong" scripts/bench.sh build/90-planted
        said "bench.sh: ${wrong%%=*}: no "
        said 'there are: '
        [[ $output != *$'\n'* && ! -e ran ]]
    done
    yields 2 env SIZES= scripts/bench.sh build/90-planted
    said 'SIZES: empty; there are: 1 4 16 '
    yields 2 scripts/bench.sh
    said 'usage: scripts/bench.sh PROGRAM'
    yields 2 scripts/bench.sh build/none
    said 'no such program'
    yields 2 env TRANSPORTS=spin PLACES=self scripts/bench.sh build/90-planted
    said 'nothing of that can be measured here'
}

@test "a small bench: tables of 80 columns, whole files, a row for each slice" {
    bench_here
    passes make -s bench "${small[@]}"
    said 'Round trip in us'
    said 'time of unix-stream / tcp'
    [[ -z $(awk 'length($0) > 80' <<<"$output") ]]
    [[ $output != *Floors* && $output != *pieces* ]] # none was asked for
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

@test "three pictures, each twice, that say where they were measured" {
    command -v gnuplot >/dev/null || skip 'no gnuplot: scripts/setup.sh --dev'
    bench_here
    passes make -s bench "${small[@]}"
    for picture in round-trip one-way ratio; do
        grep -qF "$(uname -sr)" "build/bench/$picture.svg"
        [[ -s build/bench/$picture.png ]]
    done
}

@test "the transports take turns, slice by slice, however they were asked for" {
    bench_here
    passes make -s bench "${small[@]}" TRANSPORTS='tcp,unix-stream tcp'
    same=$(rows build/bench/round-trip.csv | cut -d, -f2,5 | tr '\n' ' ')
    turns='unix-stream,1 tcp,1 unix-stream,2 tcp,2 unix-stream,3 tcp,3 '
    [[ $same == "$turns" ]]
}

@test "without gnuplot: tables, files, and what to install; no old pictures" {
    bench_here
    mkdir -p "$box/bin" build/bench
    ln -s /usr/bin/* "$box/bin"
    rm -f "$box/bin/gnuplot"
    : >build/bench/ratio.png
    PATH=$box/bin passes make -s bench "${small[@]}"
    said 'Round trip in us'
    said 'no pictures: gnuplot is missing'
    said '(apt-get: gnuplot-nox, '
    [[ -s build/bench/one-way.csv && ! -e build/bench/ratio.png ]]
    rm "$box/bin/taskset"
    PATH=$box/bin yields 1 scripts/bench.sh build/62-transport-cost
    said 'taskset is missing; install util-linux'
}

@test "on one processor, cross is left out, and this is said" {
    bench_here
    passes taskset -c "$(taskset -cp $$ | grep -o '[0-9]*' | tail -n 1)" \
        make -s bench "${small[@]}" PLACES='self cross'
    said 'cross is left out'
    [[ $(rows build/bench/one-way.csv | cut -d, -f1 | sort -u) == self ]]
    yields 2 taskset -c "$(taskset -cp $$ | grep -o '[0-9]*' | tail -n 1)" \
        make -s bench PLACES=cross
    said 'nothing of that can be measured here'
}

@test "floors: measured apart, at one size; memcpy at each that is asked for" {
    bench_here
    passes make -s bench QUICK=1 SIZES='64 4096' PLACES='self same' \
        TRANSPORTS='pipe eventfd memcpy syscall clock'
    said 'Floors, in ns'
    [[ -z $(awk 'length($0) > 80' <<<"$output") ]]
    for floor in eventfd syscall clock; do
        grep -q "^$floor  *[0-9]" <<<"$output"
    done
    tail=$(sed -n '/one by one/,/^One way/p' <<<"$output") # no percentiles
    [[ $tail == *pipe* && $tail != *memcpy* ]]
    rows build/bench/round-trip.csv | grep -v pipe | cut -d, -f1-3 |
        LC_ALL=C sort -u >"$box/trips"
    printf '%s\n' same,eventfd,8 self,clock,8 self,eventfd,8 self,memcpy,4096 \
        self,memcpy,64 self,syscall,8 | diff - "$box/trips"
    [[ -z $(rows build/bench/one-way.csv |
        awk -F, '$2 != "pipe" && $2 != "memcpy"') ]]
    rm build/floors
    yields 2 env TRANSPORTS=clock scripts/bench.sh build/62-transport-cost
    said 'build/floors: no such program'
}

@test "a datagram that is lost is counted: UDP in two processes" {
    bench_here
    passes make -s bench QUICK=1 SIZES=1024 PLACES=same \
        TRANSPORTS='unix-dgram udp'
    [[ -z $(rows build/bench/one-way.csv |
        awk -F, '$2 == "unix-dgram" && $7 != 0') ]]
    [[ -z $(rows build/bench/one-way.csv | awk -F, '$7 < 0 || $7 >= $6') ]]
}

@test "a transport that cannot carry so much, and one that was stopped" {
    sketch true
    yields 2 env "${small[@]}" scripts/bench.sh build/90-planted
    said 'nothing of that can be measured here'
    [[ -z $(ls -A build/bench) ]]
    sketch "echo \$1,\$2,tcp,9,1,4,4,9000000000,1,2,3,5000000000,4"
    passes env "${small[@]}" SIZES=1048576 scripts/bench.sh build/90-planted
    said 'in pieces of 64K'
    grep -qE '^1M .* 5s$' <<<"$output"
}

@test "a point is a point, also where people write 1,5" {
    sketch "echo \$1,\$2,tcp,9,1,4,4,10,1,2,3,4,4; echo \$LC_ALL >used"
    passes env LC_ALL=de_DE.UTF-8 "${small[@]}" \
        scripts/bench.sh build/90-planted
    [[ $(<used) == C ]]
    rows build/bench/round-trip.csv | grep -qx 'self,tcp,64,9,1,4,2.5,1,2,3,4,4'
}

@test "a program that fails, or a build that one may not write to: 1" {
    sketch 'echo "no memory" >&2; exit 3'
    yields 1 env "${small[@]}" scripts/bench.sh build/90-planted
    said 'self, 64 bytes, round-trip: it failed'
    [[ -z $(ls -A build/bench) ]]
    rm -r build/bench
    : >build/bench
    yields 1 env "${small[@]}" scripts/bench.sh build/90-planted
    said 'cannot write to'
}

@test "stopped and continued in the middle of a write(), it measures on" {
    bench_here
    cpu=$(taskset -cp $$ | grep -o '[0-9]*' | tail -n 1)
    taskset -c "$cpu" build/62-transport-cost same 1048576 one-way 20 50 \
        "$cpu" pipe >rows &
    for _ in {1..20}; do
        sleep 0.03
        kill -STOP $!
        kill -CONT $!
    done
    timeout 20 tail --pid=$! -f /dev/null || kill $!
    wait $!
    (($(wc -l <rows) == 20))
}

@test "Ctrl-C leaves nothing, and ends what was running" {
    bench_here
    {
        until [[ -s build/bench/$(ls -A build/bench 2>/dev/null)/round-trip ]]; do
            sleep 0.05
        done
        printf '\003'
    } | fails on_terminal make -s bench PLACES=same
    [[ -z $(ls -A build/bench) ]]
    fails grep -qs "$box/the suite/build/15" /proc/[0-9]*/cmdline
    passes grep -q 'of .*: same, ' "$box/screen"
}
