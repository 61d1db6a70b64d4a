#!/usr/bin/env bash
# bench.sh -- what does a message cost, by transport, size and place?
#
# usage: scripts/bench/bench.sh PROGRAM                        (build/engine)
#        where QUICK=1 TRANSPORTS=... SIZES=... PLACES=... may be set
#
# Has the program measure round trips and one way, at each place and size; all
# transports of one place, size and metric take turns. Prints one screen, and
# leaves in build/bench every table (tables.txt), every slice (round-trip.csv,
# one-way.csv), and pictures, if there is gnuplot. Files appear there only when
# they are whole. See README.md beside this file.
#
# Exit status: 0 measured; 1 failed; 2 for wrong usage.
set -euo pipefail
export LC_ALL=C # mawk would write 1,5 in other places, and read 1 in 1.5

here=$(cd "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
transports='unix-stream unix-seqpacket unix-dgram tcp udp pipe'
floors='eventfd spin memcpy syscall clock'
sizes='1 4 16 64 256 1024 4096 16384 65536 262144 1048576'
places='self same cross'
metrics='round-trip one-way'
floor_size=8 # of the floors that have one size only: all but memcpy

refuse() {
    echo "bench.sh: $1" >&2
    exit 2
}

fail() {
    echo "bench.sh: $1" >&2
    exit 1
}

# Prints what of list $3 is in $2, in its order and once; refuses what of $2 is
# not in $3. $1 is what the list is called.
chosen() {
    local word words=' ' some=
    set -f # here, in the caller's $(): a * is no file
    for word in ${2//,/ }; do
        [[ " $3 " == *" $word "* ]] || refuse "$1: no $word; there are: $3"
        words+="$word "
    done
    [[ $words != ' ' ]] || refuse "$1: empty; there are: $3"
    for word in $3; do
        [[ $words != *" $word "* ]] || some+=" $word"
    done
    echo "${some# }"
}

# The numbers in a list such as 0-2,5.
expand() {
    local range
    for range in ${1//,/ }; do
        seq "${range%-*}" "${range#*-}"
    done
}

# Sets cpu, the first that may be used, and other, the next that is a core of
# its own; empty if there is none.
choose_cpus() {
    local allowed siblings candidate
    local topology=/sys/devices/system/cpu/cpu
    # not those of /proc/self/status, where some may be offline
    allowed=$(taskset -cp "$$")
    allowed=$(expand "${allowed##* }")
    cpu=${allowed%%$'\n'*}
    other=
    siblings=$(cat "$topology$cpu/topology/thread_siblings_list" 2>/dev/null ||
        echo "$cpu")
    siblings=$(expand "$siblings")
    for candidate in $allowed; do
        if [[ -z $other ]] && ! grep -qx "$candidate" <<<"$siblings"; then
            other=$candidate
        fi
    done
}

# Does the program measure transport $1 at place $2, with size $3 and metric $4?
# What an AF_UNIX message may have of SO_SNDBUF the program finds out.
can() {
    case $1 in
        eventfd) [[ $3.$4 == "$floor_size.round-trip" ]] ;;
        spin) [[ $2.$3.$4 == "cross.$floor_size.round-trip" ]] ;;
        syscall | clock) [[ $2.$3.$4 == "self.$floor_size.round-trip" ]] ;;
        memcpy) [[ $2 == self && $3 != "$floor_size" ]] ;;
        udp) (($3 <= 65507 && $3 != floor_size)) ;;
        *) [[ $3 != "$floor_size" ]] ;;
    esac
}

# Lines "PLACE SIZE METRIC TRANSPORT...", one for each run of the program.
runs() {
    local place size metric transport group
    for place in $wanted_places; do
        for size in $floor_size $wanted_sizes; do
            for metric in $metrics; do
                group=
                for transport in $wanted; do
                    ! can "$transport" "$place" "$size" "$metric" ||
                        group+=" $transport"
                done
                [[ -z $group ]] || echo "$place $size $metric$group"
            done
        done
    done
}

# Shows how far it is, on a terminal; without an argument, nothing any more.
progress() {
    if [[ -t 2 ]]; then
        printf '\r\e[K%s' "${1-}" >&2
    fi
}

# Measures all that file $1 lists, one line after the other.
measure() {
    local place size metric group ms peer done=0 all
    all=$(wc -l <"$1")
    while read -r place size metric group <&3; do
        progress "$((++done)) of $all: $place, $size bytes, $metric"
        peer=$cpu
        [[ $place != cross ]] || peer=$other
        ms=$slice_ms # as long as the round trips timed one by one take, too
        [[ $metric == one-way ]] || ms=$((slice_ms * 3 / 4))
        # shellcheck disable=SC2086 # each transport is a word of its own
        timeout --foreground 60 taskset -c "$cpu" "$program" "$place" \
            "$size" "$metric" "$slices" "$ms" "$peer" $group \
            >>"$work/$metric" || {
            progress
            fail "$place, $size bytes, $metric: it failed"
        }
    done 3<"$1"
    progress
}

# What must be known beside the figures.
comments() {
    local model file
    model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
    echo "# $1: one row is one slice of one transport"
    echo "# date: $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    echo "# kernel: $(uname -sr)"
    echo "# CPU: ${model:-$(uname -m)}"
    echo "# processors: $(nproc); self and same on $cpu, cross on $cpu and" \
        "${other:-none}"
    for file in /proc/sys/net/core/{w,r}mem_{default,max} \
        /proc/sys/net/ipv4/tcp_{w,r}mem \
        /sys/devices/system/clocksource/clocksource0/current_clocksource \
        "/sys/devices/system/cpu/cpu$cpu/cpufreq/scaling_governor"; do
        echo "# $file: $({ tr '\t' ' ' <"$file"; } 2>/dev/null || echo unknown)"
    done
    echo "# $slices slices of $slice_ms ms"
    echo '# columns: see scripts/bench/README.md'
}

write_csv() {
    local metric
    for metric in $metrics; do
        comments "$metric" >"$work/$metric.csv"
        "$program" --header "$metric" >>"$work/$metric.csv"
        cat "$work/$metric" >>"$work/$metric.csv"
    done
}

# Has tables.awk show $1: screen, tables, or plot.
show() {
    awk -v show="$1" -v dir="$work" -v order="$wanted" \
        -v places="$wanted_places" -v names="$transports" \
        -f "$here/tables.awk" "$work/round-trip.csv" "$work/one-way.csv"
}

draw() {
    local name drawn='' number=0 ratio=0
    if ! command -v gnuplot >/dev/null; then
        echo 'No pictures: gnuplot is missing (apt-get: gnuplot-nox,' \
            'elsewhere: gnuplot).'
        return 0
    fi
    for name in $transports; do
        ((++number))
        [[ " $wanted " != *" $name "* ]] || drawn+=" $number"
    done
    show plot
    [[ -n $drawn && -e $work/trip-all.dat ]] || return 0
    [[ ! -e $work/all-ratio.dat ]] || ratio=1
    (cd "$work" && gnuplot -e "places = '$wanted_places'; drawn = '$drawn';
        names = '$transports'; ratio = $ratio" "$here/pictures.gp") ||
        fail 'gnuplot failed'
    echo 'Pictures:   round-trip, one-way, ratio; each .svg and .png, there'
}

# Sets what is to be measured.
read_settings() {
    [[ ${QUICK-} =~ ^[01]?$ ]] || refuse "QUICK: no $QUICK; there are: 0 1"
    slices=10 slice_ms=30
    wanted_sizes=$sizes
    if [[ ${QUICK-} == 1 ]]; then
        slices=3 slice_ms=8
        wanted_sizes='64 4096 65536'
    fi
    wanted="$transports $floors"
    wanted=$(chosen TRANSPORTS "${TRANSPORTS-$wanted}" "$wanted")
    wanted_sizes=$(chosen SIZES "${SIZES-$wanted_sizes}" "$sizes")
    wanted_places=$(chosen PLACES "${PLACES-$places}" "$places")
}

# Sets work, a directory on the same file system as the results.
make_work() {
    if ! { mkdir -p build/bench && work=$(mktemp -d build/bench/.XXXXXX); } \
        2>/dev/null; then
        fail "cannot write to $PWD/build/bench"
    fi
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    work=$(realpath "$work")
}

main() {
    (($# == 1)) || refuse 'usage: scripts/bench/bench.sh PROGRAM'
    read_settings
    program=$(realpath -- "$1")
    [[ -x $program ]] || refuse "$1: no such program; 'make bench' builds it"
    command -v taskset >/dev/null ||
        fail 'taskset is missing; install util-linux'
    choose_cpus
    if [[ -z $other && " $wanted_places " == *' cross '* ]]; then
        echo 'cross is left out: there are no two processors for it, each a' \
            'core of its own'
        wanted_places=${wanted_places//cross/}
    fi
    make_work

    touch "$work"/{round-trip,one-way}
    runs >"$work/runs"
    measure "$work/runs"
    [[ -s $work/round-trip || -s $work/one-way ]] ||
        refuse 'nothing of that can be measured here'
    write_csv
    show screen
    show tables >"$work/tables.txt"

    echo 'All tables: build/bench/tables.txt'
    echo 'Each slice: build/bench/round-trip.csv, one-way.csv'
    draw
    echo 'What the figures mean, and what they do not: scripts/bench/README.md'
    rm -f "$work"/{runs,round-trip,one-way,*.dat} build/bench/*.{svg,png}
    mv "$work"/* build/bench
}

main "$@"
