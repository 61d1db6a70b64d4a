# shellcheck shell=bash
# lab.bash -- what a path says of a lab, for all scripts that are given one
#
# Sourced. Sets suite, the directory of the suite.
#
# shellcheck disable=SC2034 # suite, name, number, slug and title are theirs to use

suite=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# Takes a path such as build/05-seqpacket-vs-stream and sets name, its last part;
# number, 5; slug, seqpacket-vs-stream; title, as people read it, with the
# variant if a compiler of its own made it. Fails if the path is no lab's.
lab_of() {
    local variant
    name=${1##*/}
    [[ $name =~ ^([0-9]+)-(.+)$ ]] || return 1
    number=$((10#${BASH_REMATCH[1]}))
    slug=${BASH_REMATCH[2]}
    title="${BASH_REMATCH[1]} $slug"
    variant=${1%/*}
    case ${variant##*/} in
        build | labs | user | "$1") ;;
        *) title+=" (${variant##*/})" ;;
    esac
}

# For a script whose only argument is a lab's path: "${1-}", how many there are,
# and what to say if that is wrong.
need_lab() {
    if (($2 != 1)) || ! lab_of "$1"; then
        echo "${0##*/}: usage: $3" >&2
        exit 2
    fi
}

# Why it did not work, in one line, and status 2.
refuse() {
    echo "${0##*/}: $*" >&2
    exit 2
}

# Makes a directory below build/ and sets work to its path: what it holds can be
# executed, which is not so everywhere (/tmp may be mounted noexec). Who calls
# this has remove_work as its EXIT trap: Ctrl-C may come at any time.
make_work() {
    mkdir -p "$suite/build" 2>/dev/null || true
    work=$(mktemp -du "$suite/build/work.XXXXXX")
    mkdir -m 700 "$work" 2>/dev/null ||
        refuse "cannot write below $suite/build: copy the suite to a" \
            "directory of your own"
}

# A Ctrl-C may also come now, or the terminal may go away: no signal ends rm.
remove_work() {
    trap '' HUP INT TERM
    rm -rf "${work-}"
}

# What was done, and whether it is as it should be, as TAP: plan and one line.
tap() {
    printf '1..1\n%s - %s\n' "$1" "${*:2}"
}

# Ends a script whose lab cannot be judged here; the reason is $1.
tap_skip() {
    echo "1..0 # SKIP $title: $1"
    exit 77
}

# Runs $2 with each line of standard input as its arguments, $1 at once.
beside() {
    local running=0 words
    while read -r -a words; do
        ((running < $1)) || wait -n || true
        "$2" "${words[@]}" &
        ((++running))
    done
    wait
}

# Says why strace cannot trace here with the options given, if so.
no_strace() {
    local why
    if ! command -v strace >/dev/null; then
        echo 'strace is missing: install the package strace'
    elif ! why=$(strace -f -n "$@" -qq -o /dev/null true 2>&1); then
        echo "strace may not trace here: ${why%%$'\n'*}"
    fi
}

# Makes $1/build/$name, a program that runs strace with the arguments that
# follow. $log is where it may keep a log. Not every sh has the $'...' that
# bash quotes a path with.
wrap() {
    mkdir -p "$1/build"
    # shellcheck disable=SC2016 # it is that program's $0
    printf '#!%s\nexport log="$0.log"\nexec strace -qq %s\n' \
        "$BASH" "${*:2}" >"$1/build/$name"
    chmod +x "$1/build/$name"
}
