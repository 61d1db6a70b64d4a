#!/usr/bin/env bash
# kernels.sh -- do the labs print the same under other kernels?
#
# usage: scripts/prove/kernels.sh KERNEL PROGRAM...
#
# KERNEL is the file of a kernel (a vmlinuz), or a suite of Debian, such as
# bookworm: then the kernel of that suite for clouds is downloaded, by apt-get
# from where this machine has its packages, into build/kernels. The programs
# have to be static ones (build/musl/...).
#
# qemu boots the kernel with a file system in memory that has nothing but
# busybox, the programs and what they should print. Each lab runs there as root
# and as an ordinary user. This takes about a minute, because qemu does all that
# a processor does by itself. Prints TAP, the kernel's version in each line.
#
# Exit status: 0 if all are as expected, or skipped; 1; 2 for wrong usage.
set -euo pipefail

scripts=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lab.bash
. "$scripts/lab.bash"
(($# > 1)) || refuse 'usage: scripts/prove/kernels.sh KERNEL PROGRAM...'

# The architecture of the programs is that of this machine.
machine=$(uname -m)
[[ $machine == x86_64 ]] || refuse "$machine: only x86_64 is prepared here"
for tool in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio; do
    command -v "${tool%%:*}" >/dev/null ||
        refuse "${tool%%:*} is missing: install the package ${tool#*:}"
done

# apt-get, with the packages of the suite $1 alone, and without a trace in what
# this machine has of its own.
apt_of() {
    local home=$suite/build/kernels/$1
    "$2" -qq -o "Dir::Etc::SourceList=$home/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$home/lists" \
        -o "Dir::Cache=$home" -o Acquire::Languages=none \
        -o APT::Sandbox::User=root "${@:3}"
}

# Downloads the kernel of suite $1, if it is not there, and sets kernel.
download() {
    local home=$suite/build/kernels/$1 site package
    kernel=$(printf '%s\n' "$home"/boot/vmlinuz-* | head -n 1)
    [[ ! -e $kernel ]] || return 0
    command -v apt-get >/dev/null ||
        refuse "$1: no such file, and apt-get is missing: name a vmlinuz"
    mkdir -p "$home/lists/partial" "$home/archives/partial"
    # shellcheck disable=SC2016 # $(SITE) is apt-get's own
    site=$(apt-get indextargets --format '$(SITE)' | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $1 main" \
        >"$home/sources.list"
    apt_of "$1" apt-get update || refuse "$1: apt-get finds no such suite"
    package=$(apt_of "$1" apt-cache depends linux-image-cloud-amd64 |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    (cd "$home" && apt_of "$1" apt-get download "$package" &&
        dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x ./boot)
    kernel=$(printf '%s\n' "$home"/boot/vmlinuz-* | head -n 1)
}

# What the guest does instead of init: for each lab and each user, an empty
# directory, the lab, and a comparison. It ends by switching the machine off.
guest() {
    cat <<'END'
#!/bin/sh
PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o mode=1777 tmpfs /tmp
ifconfig lo up
cd /tmp
for lab in /labs/*; do
    name=${lab#/labs/}
    for user in root nobody; do
        mkdir run && chown "$user" run && cd run
        su -s /bin/sh "$user" -c "umask 022; timeout 120 $lab" \
            >../said 2>../err </dev/null
        status=$?
        left=$(ls)
        cd .. && rm -rf run diff && : >diff
        title="$name as $user, Linux $(uname -r)"
        sed -E -f /mask.sed said >masked
        if [ $status = 77 ]; then
            echo "TAP: ok - $title # SKIP $(head -n 1 err)"
        elif [ $status = 0 ] && [ -z "$left" ] &&
            diff "/expected/$name.txt" masked >diff; then
            echo "TAP: ok - $title"
        else
            echo "TAP: not ok - $title: exit status $status $left"
            sed 's/^/TAP: # /' err diff
        fi
    done
done
poweroff -f
END
}

# Sets initramfs to the path of a file system with the programs.
pack() {
    local root=$work/root program tool
    mkdir -p "$root"/{bin,labs,expected,proc,sys,dev,tmp,etc}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for tool in sh mount ifconfig su mkdir chown rm ls sed diff head uname \
        timeout poweroff; do
        ln -s busybox "$root/bin/$tool"
    done
    printf '%s\n' root:x:0:0::/:/bin/sh nobody:x:65534:65534::/:/bin/sh \
        >"$root/etc/passwd"
    for program in "$@"; do
        lab_of "$program" || refuse "$program: want build/musl/NN-slug"
        cp "$program" "$root/labs/$name"
        cp "$suite/expected/$name.txt" "$root/expected"
    done
    cp "$scripts/mask.sed" "$root"
    guest >"$root/init"
    chmod 755 "$root/init" "$root/labs"/*
    initramfs=$work/initramfs
    (cd "$root" && find . | cpio -o -H newc -R 0:0 2>/dev/null) >"$initramfs"
}

if [[ -e $1 ]]; then
    kernel=$1
else
    [[ $1 =~ ^[a-z]+$ ]] || refuse "$1: no such file"
    download "$1"
fi
trap remove_work EXIT
make_work
pack "${@:2}"
timeout 600 qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 1024 -nographic \
    -no-reboot -kernel "$kernel" -initrd "$initramfs" \
    -append 'console=ttyS0 quiet panic=-1' </dev/null 2>&1 |
    tr -d '\r' | sed -n 's/.*TAP: //p' >"$work/said" || true
echo "1..$((2 * ($# - 1)))"
cat "$work/said"
(($(grep -cE '^(not )?ok -' "$work/said") == 2 * ($# - 1))) ||
    echo "# the kernel $kernel did not come to the end"
! grep -q '^not ok' "$work/said" &&
    (($(grep -c '^ok -' "$work/said") == 2 * ($# - 1)))
