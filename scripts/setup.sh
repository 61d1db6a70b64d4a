#!/bin/sh
# setup.sh -- install what is missing, and only that
#
# usage: scripts/setup.sh [--dev] [--check]
#
# Installs what 'make check' needs, with the system's package manager, as root
# or through sudo; with --dev also what 'make check-all' needs. --check only
# says what is missing. Where nothing is missing, it only says so.
# It is plain sh, because bash may be what is missing.
#
# Exit status: 0 if nothing is missing now; 1 if something is; 2 wrong usage.
set -eu

# Arch keeps prove here, and only a login shell has it in its PATH.
PATH=$PATH:/usr/bin/core_perl

# What is needed and which package has it; "+" joins two, "-" is for none.
tools() {
    # command      apt-get      dnf         pacman      zypper      apk
    cat <<'END'
bash         bash         bash        bash        bash        bash
make         make         make        make        make        make
cc           gcc          gcc         gcc         gcc         gcc
libc-headers libc6-dev    glibc-devel glibc       glibc-devel musl-dev
timeout      coreutils    coreutils   coreutils   coreutils   coreutils
awk          mawk         gawk        gawk        gawk        gawk
find         findutils    findutils   findutils   findutils   findutils
grep         grep         grep        grep        grep        grep
diff         diffutils    diffutils   diffutils   diffutils   diffutils
bats         bats         bats        bats        bats        bats
prove        perl         perl-Test-Harness perl   perl       perl-utils
END
    [ -z "$dev" ] || cat <<'END'
shellcheck   shellcheck   ShellCheck  shellcheck  ShellCheck  shellcheck
script       bsdutils util-linux-script util-linux util-linux util-linux-misc
patch        patch        patch       patch       patch       patch
setpriv      util-linux   util-linux  util-linux  util-linux  setpriv
gcc          gcc          gcc         gcc         gcc         gcc
clang        clang        clang       clang       clang       clang
clang-format clang-format clang-tools-extra clang clang-tools clang-extra-tools
clang-tidy   clang-tidy   clang-tools-extra clang clang-tools clang-extra-tools
libasan      gcc          libasan+libubsan gcc-libs gcc       -
musl-gcc     musl-tools   musl-gcc    musl        musl-devel  -
shfmt        shfmt        shfmt       shfmt       shfmt       shfmt
END
    # Where these are missing, what needs them is skipped: --check lets it pass.
    [ -z "$dev" ] || [ -n "$check" ] || cat <<'END'
strace       strace       strace      strace      strace      strace
gnuplot      gnuplot-nox  gnuplot     gnuplot     gnuplot     gnuplot
END
}

is_there() {
    case $1 in
        libc-headers) echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 ;;
        # busybox has these, without the options that are used here
        timeout) timeout --foreground 1 sh -c : 2>/dev/null ;;
        find) find . -maxdepth 0 -printf '' 2>/dev/null ;;
        grep) echo a | grep -qzsF a 2>/dev/null ;;
        diff) diff --label a -U 9 /dev/null /dev/null 2>/dev/null ;;
        libasan) [ -e "$(cc -print-file-name=libasan.so 2>/dev/null)" ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# Prints a line for each tool that is missing: its name and its packages.
missing() {
    tools | while read -r tool apt dnf pacman zypper apk; do
        is_there "$tool" && continue
        case $manager in
            apt-get) echo "$tool $apt" ;;
            dnf) echo "$tool $dnf" ;;
            pacman) echo "$tool $pacman" ;;
            zypper) echo "$tool $zypper" ;;
            apk) echo "$tool $apk" ;;
            *) echo "$tool -" ;;
        esac
    done
}

on_one_line() {
    tr '\n' ' ' | sed 's/ *$//'
}

# The arguments are packages.
install() {
    case $manager in
        apt-get)
            $sudo apt-get update -q &&
                $sudo env DEBIAN_FRONTEND=noninteractive \
                    apt-get install -q -y --no-install-recommends "$@"
            ;;
        dnf) $sudo dnf install -y "$@" ;;
        pacman) $sudo pacman -S --needed --noconfirm "$@" ;;
        zypper) $sudo zypper --non-interactive install "$@" ;;
        *) $sudo apk add "$@" ;;
    esac
}

dev='' check='' manager='' sudo=''
for argument in "$@"; do
    case $argument in
        --dev) dev=--dev ;;
        --check) check=yes ;;
        *)
            echo "setup.sh: $argument: unknown;" \
                'usage: scripts/setup.sh [--dev] [--check]' >&2
            exit 2
            ;;
    esac
done
for candidate in apt-get dnf pacman zypper apk; do
    if [ -z "$manager" ] && command -v "$candidate" >/dev/null; then
        manager=$candidate
    fi
done

# Says that all is there; --check says only what is missing.
all_is_there() {
    [ -n "$check" ] || echo 'setup.sh: nothing is missing'
    exit 0
}

wanted=$(missing)
[ -n "$wanted" ] || all_is_there
names=$(echo "$wanted" | sed 's/ .*//' | on_one_line)
packages=$(echo "$wanted" | sed 's/.* //; /^-$/d' | tr '+' '\n' | sort -u |
    on_one_line)

if [ -n "$check" ]; then
    echo "missing: $names; 'scripts/setup.sh${dev:+ $dev}' installs them" \
        "(packages: $packages)" >&2
    exit 1
fi
if [ -z "$manager" ]; then
    echo "setup.sh: no package manager that it knows;" \
        "install by hand: $names" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup.sh: neither root nor sudo; type su -c 'scripts/setup.sh'," \
            "or have root install $packages" >&2
        exit 1
    fi
    sudo=sudo
fi
echo "setup.sh: installing $packages"
# shellcheck disable=SC2086 # each package is a word of its own
install $packages || true
wanted=$(missing)
if [ -n "$wanted" ]; then
    names=$(echo "$wanted" | sed 's/ .*//' | on_one_line)
    echo "setup.sh: still missing: $names (packages: $packages);" \
        "see what $manager said" >&2
    exit 1
fi
all_is_there
