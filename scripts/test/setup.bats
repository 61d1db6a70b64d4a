#!/usr/bin/env bats
# setup.bats -- what setup.sh installs, with pretended package managers

load helper

# A PATH with everything but bats, and with the managers and
# other commands in $@, which are pretended: they say how they were called, and
# a manager makes what it is asked for appear.
pretend() {
    local tool
    mkdir "$TMPDIR/bin"
    # shellcheck disable=SC2046 # each path is a word of its own
    ln -s $(type -P sh bash sed tr sort cat env chmod make gcc cc timeout \
        awk find grep diff prove script setpriv true false) "$TMPDIR/bin"
    # shellcheck disable=SC2016 # it is the pretended id that expands it
    pretend_tool id <<<'echo "${PRETEND_UID-0}"'
    for tool in "$@"; do
        pretend_tool "$tool" <<'END'
echo "called: ${0##*/} $*"
case $*" " in
    *" bats "*)
        echo '#!/bin/sh' >"${0%/*}/bats"
        chmod +x "${0%/*}/bats"
        ;;
esac
END
    done
}

# A command of that name, which does what standard input says.
pretend_tool() {
    {
        echo '#!/bin/sh'
        cat
    } >"$TMPDIR/bin/$1"
    chmod +x "$TMPDIR/bin/$1"
}

# Runs setup.sh with that PATH alone.
setup_sh() {
    PATH=$TMPDIR/bin scripts/setup.sh "$@"
}

forget() {
    rm -rf "${TMPDIR:?}/bin"
}

@test "what is missing is installed, and only that, by whoever does it here" {
    for expected in \
        'apt-get install -q -y --no-install-recommends bats' \
        'dnf install -y bats' \
        'pacman -S --needed --noconfirm bats' \
        'zypper --non-interactive install bats' \
        'apk add bats'; do
        pretend "${expected%% *}"
        LC_ALL=C passes setup_sh
        said "called: $expected"
        passes setup_sh
        [[ $output == 'setup.sh: nothing is missing' ]]
        forget
    done
}

@test "where nothing is missing, nothing is done" {
    pretend apt-get bats
    passes setup_sh
    [[ $output == 'setup.sh: nothing is missing' ]]
    passes setup_sh --check
    [[ -z $output ]]
    forget
}

@test "an ordinary user installs through sudo" {
    pretend dnf
    # shellcheck disable=SC2016 # it is the pretended sudo that expands it
    pretend_tool sudo <<<'echo "called: sudo $*"; "$@"'
    PRETEND_UID=1000 LC_ALL=C passes setup_sh
    said 'called: sudo dnf install -y bats'
    forget
}

@test "an ordinary user without sudo is told what root has to install" {
    pretend apt-get
    PRETEND_UID=1000 fails setup_sh
    said "type su -c 'scripts/setup.sh', or have root install bats"
    [[ $output != *called* ]]
    forget
}

@test "without a package manager it says what to install by hand" {
    pretend
    fails setup_sh
    said 'install by hand: bats'
    forget
}

@test "--check says what is missing and installs nothing" {
    pretend apt-get
    fails setup_sh --check
    said 'missing: bats'
    [[ $output != *called* ]]
    fails setup_sh --dev --check
    said 'shfmt'
    said 'scripts/setup.sh --dev'
    forget
}

@test "an installation that did not work is said" {
    pretend apt-get
    pretend_tool apt-get <<<'exit 100'
    fails setup_sh
    said 'still missing: bats (packages: bats)'
    forget
}

@test "a wrong option is refused" {
    fails scripts/setup.sh --devel
    said '--devel'
    said 'usage'
}
