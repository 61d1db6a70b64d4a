#!/usr/bin/env bash
# bench.sh -- what does a message cost, by transport, size and place?
#
# usage: scripts/bench.sh PROGRAM                    (build/62-transport-cost)
#        where QUICK=1 TRANSPORTS=... SIZES=... PLACES=... may be set
#
# Has the program measure round trips and one way, at each place and size, and
# floors, beside it, what is paid even without a message; all of a kind take
# turns. Prints tables, and leaves build/bench/round-trip.csv and one-way.csv,
# and the pictures that gnuplot makes of them. Files appear there only when they
# are whole.
#
# Exit status: 0 measured; 1 failed; 2 for wrong usage.
set -euo pipefail
export LC_ALL=C # mawk would write 1,5 in other places, and read 1 in 1.5

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
transports='unix-stream unix-seqpacket unix-dgram tcp udp pipe'
floors='eventfd spin memcpy syscall clock'
sizes='1 4 16 64 256 1024 4096 16384 65536 262144 1048576'
places='self same cross'
floor_size=8 # of those floors that have but one

refuse() {
    echo "bench.sh: $1" >&2
    exit 2
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

# Can transport $1 be measured at place $2, with size $3 and metric $4? What
# an AF_UNIX message may have of SO_SNDBUF the program finds out.
can() {
    case $1 in
        udp) (($3 <= 65507 && $3 != floor_size)) ;;
        memcpy) [[ $2 == self && $3 != "$floor_size" ]] ;;
        eventfd) [[ $3 == "$floor_size" && $4 == round-trip ]] ;;
        spin) [[ $3.$4.$2 == "$floor_size.round-trip.cross" ]] ;;
        syscall | clock) [[ $3.$4.$2 == "$floor_size.round-trip.self" ]] ;;
        *) [[ $3 != "$floor_size" ]] ;;
    esac
}

# Lines "PLACE SIZE METRIC TRANSPORT...", one for each run of a program; those
# of floors apart.
runs() {
    local place size metric kind transport group
    for place in $wanted_places; do
        for size in $floor_size $wanted_sizes; do
            for metric in round-trip one-way; do
                for kind in "$transports" "$floors"; do
                    group=
                    for transport in $wanted; do
                        [[ " $kind " == *" $transport "* ]] || continue
                        can "$transport" "$place" "$size" "$metric" || continue
                        group+=" $transport"
                    done
                    [[ -z $group ]] || echo "$place $size $metric$group"
                done
            done
        done
    done
}

progress() {
    if [[ -t 2 ]]; then
        printf '\r\e[K%s' "${1-}" >&2
    fi
}

# Measures all that file $1 lists, one line after the other.
measure() {
    local place size metric group ms peer measuring done=0 all
    all=$(wc -l <"$1")
    while read -r place size metric group <&3; do
        progress "$((++done)) of $all: $place, $size bytes, $metric"
        peer=$cpu
        [[ $place != cross ]] || peer=$other
        [[ $place != self ]] || peer=-1
        measuring=$program
        [[ " $floors " != *" ${group%% *} "* ]] || measuring=$floors_program
        ms=$slice_ms # as long as the round trips timed one by one take, too
        [[ $metric == one-way ]] || ms=$((slice_ms * 3 / 4))
        # shellcheck disable=SC2086 # each transport is a word of its own
        timeout --foreground 60 taskset -c "$cpu" "$measuring" "$place" \
            "$size" "$metric" "$slices" "$ms" "$peer" $group \
            >>"$work/$metric" || {
            progress
            echo "bench.sh: $place, $size bytes, $metric: it failed" >&2
            exit 1
        }
    done 3<"$1"
    progress
}

# What must be known beside the figures.
comments() {
    local model file
    model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
    echo "# $1"
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
    echo '# sndbuf_bytes: as getsockopt() says before the first message'
    echo '# self: a stream carries more than 65536 bytes in pieces of so' \
        'many, one trip after the other'
}

# Makes the two files of what the program said.
write_csv() {
    {
        comments 'round trips: one row is one slice of one transport'
        echo '# percentiles: of so many samples, trips timed one by one, each' \
            'with one reading of the clock; none of floors'
        printf '%s,' place transport size_bytes sndbuf_bytes slice round_trips \
            mean_ns p50_ns p99_ns p99.9_ns
        echo max_ns,samples
        awk -F, '{ printf "%s,%s,%s,%s,%s,%s,%.1f,%s,%s,%s,%s,%s\n", $1, $3,
            $2, $4 ? $4 : "", $5, $6, $8 / $6, $9, $10, $11, $12, $13 }' \
            "$work/round-trip"
    } >"$work/round-trip.csv"
    {
        comments 'one way: one row is one slice of one transport'
        echo '# mean and MB (10^6 bytes): of what was received, until the' \
            'receiver had all'
        printf '%s,' place transport size_bytes sndbuf_bytes slice messages \
            lost mean_ns
        echo MB_per_s
        awk -F, '{ printf "%s,%s,%s,%s,%s,%s,%d,%.1f,%.3f\n", $1, $3, $2,
            $4 ? $4 : "", $5, $6, $6 - $7, $8 / $7, 1e3 * $2 * $7 / $8 }' \
            "$work/one-way"
    } >"$work/one-way.csv"
}

draw() {
    local name drawn='' number=0 ratio=0
    if ! command -v gnuplot >/dev/null; then
        printf '\nno pictures: gnuplot is missing\n(apt-get: %s, %s; or %s)\n' \
            gnuplot-nox 'elsewhere: gnuplot' 'scripts/setup.sh --dev'
        return 0
    fi
    for name in $transports; do
        ((++number))
        [[ " $wanted " != *" $name "* ]] || drawn+=" $number"
    done
    [[ -n $drawn && -e $work/trip-all.dat ]] || return 0
    [[ ! -e $work/all-ratio.dat ]] || ratio=1
    (cd "$work" && gnuplot -e "places = '$wanted_places'; drawn = '$drawn';
        names = '$transports'; ratio = $ratio" "$scripts/bench.gp") || {
        echo 'bench.sh: gnuplot failed' >&2
        exit 1
    }
}

main() {
    (($# == 1)) || refuse 'usage: scripts/bench.sh PROGRAM'
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
    program=$(realpath -- "$1")
    floors_program=${program%/*}/floors
    [[ -x $program ]] || refuse "$1: no such program; 'make bench' builds it"

    command -v taskset >/dev/null || {
        echo 'bench.sh: taskset is missing; install util-linux' >&2
        exit 1
    }
    choose_cpus
    if [[ -z $other && " $wanted_places " == *' cross '* ]]; then
        echo 'cross is left out: there are no two processors for it, each a' \
            'core of its own'
        wanted_places=${wanted_places//cross/}
    fi
    if ! { mkdir -p build/bench && work=$(mktemp -d build/bench/.XXXXXX); } \
        2>/dev/null; then
        echo "bench.sh: cannot write to $PWD/build/bench" >&2
        exit 1
    fi
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    work=$(realpath "$work")
    touch "$work"/{round-trip,one-way}
    runs >"$work/runs"
    [[ -s $work/runs ]] || refuse 'nothing of that can be measured here'
    [[ -x $floors_program ]] || ! grep -qwE "${floors// /|}" "$work/runs" ||
        refuse "$floors_program: no such program; 'make bench' builds it"
    echo 'self: one thread. same: two processes, one core. cross: two cores.'
    echo "Each figure is of $slices slices of $slice_ms ms, all in turn."
    measure "$work/runs"
    [[ -s $work/round-trip || -s $work/one-way ]] ||
        refuse 'nothing of that can be measured here'
    write_csv
    awk -v dir="$work" -v order="$wanted" -v places="$wanted_places" \
        -v names="$transports" \
        -f "$scripts/bench.awk" "$work/round-trip.csv" "$work/one-way.csv"
    draw
    rm -f "$work"/{runs,round-trip,one-way,*.dat} build/bench/*.{svg,png}
    mv "$work"/* build/bench
    echo
    echo 'see build/bench'
}

main "$@"
