#!/usr/bin/env bash
# Installs what building and testing Fairlead needs, on Debian 12 and 13 and Ubuntu 24.04.
#
#   hack/install-deps.sh          what `make build`, `make test` and `make image` need
#   hack/install-deps.sh --all    and what only benchmarks, people and `make check-aarch64` use
#
# Silent, and without network, when nothing is missing. Rust itself comes from rustup.
set -euo pipefail
cd "$(dirname "$0")/.."

# A probe (a program, or a file by its absolute path) and the package that brings it.
required=(
    cc gcc
    /usr/include/stdio.h libc6-dev
    make make
    musl-gcc musl-tools
    /usr/include/bpf/bpf_helpers.h libbpf-dev
    /usr/include/linux/bpf.h linux-libc-dev
    mount mount
    unshare util-linux
    ip iproute2
    ping iputils-ping
    dig bind9-dnsutils
    nft nftables
    ethtool ethtool
    perl perl-base
    /etc/ssl/certs/ca-certificates.crt ca-certificates
)
optional=(
    tcpdump tcpdump
    /usr/lib/cni/bridge containernetworking-plugins
)
# Debian has a package of that name, Ubuntu 24.04 has it among the kernel's tools.
bpftools=(bpftool linux-tools-generic)
# What the datapath is tried with comes first. Nobody tries it with one older than 17.
clangs=(clang-19 clang-20 clang-21 clang-22 clang-18 clang-17 clang)
targets=(x86_64-unknown-linux-musl)

die() {
    echo "install-deps: $*" >&2
    exit 1
}

present() {
    case $1 in
    /*) [ -e "$1" ] ;;
    *) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
    esac
}

has_clang() {
    local clang version known
    for clang in ${CLANG-} "${clangs[@]}"; do
        present "$clang" || continue
        version=$("$clang" -dumpversion)
        known=$("$clang" --print-targets)
        [ "${version%%.*}" -ge 17 ] && [[ $known =~ [[:space:]]bpf[[:space:]] ]] && return
    done
    return 1
}

# What apt-get calls with the rights it needs; its chatter is shown only when it fails.
apt() {
    local output sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    output=$("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "$@" </dev/null 2>&1) ||
        die "apt-get $* failed:"$'\n'"$output"
}

available() {
    local policy
    policy=$(apt-cache policy "$1")
    [[ $policy == *'Candidate: '[0-9]* ]]
}

# Sets `missing` to the packages whose probes fail.
find_missing() {
    missing=()
    while [ $# -gt 0 ]; do
        present "$1" || missing+=("$2")
        shift 2
    done
}

install_packages() {
    local packages=() clang package
    find_missing "${required[@]}"
    packages+=("${missing[@]}")
    missing=()
    [ -z "$all" ] || find_missing "${optional[@]}"
    local wanted=("${missing[@]}") need_clang= need_bpftool=
    has_clang || need_clang=1
    present bpftool || need_bpftool=1
    [ $((${#packages[@]} + ${#wanted[@]})) -gt 0 ] || [ -n "$need_clang$need_bpftool" ] || return 0

    command -v apt-get >/dev/null ||
        die "no apt-get here: install what ${packages[*]} ${need_clang:+clang} are on this system"
    apt update -qq
    if [ -n "$need_clang" ]; then
        for clang in "${clangs[@]}"; do available "$clang" && break; done
        packages+=("$clang")
    fi
    if [ -n "$need_bpftool" ]; then
        for package in "${bpftools[@]}"; do available "$package" && break; done
        packages+=("$package")
    fi
    for package in "${wanted[@]}"; do
        if available "$package"; then packages+=("$package"); else
            echo "install-deps: this system has no package $package; going on without it"
        fi
    done
    [ ${#packages[@]} -gt 0 ] || return 0
    echo "install-deps: installing ${packages[*]}"
    apt install -y -qq --no-install-recommends "${packages[@]}"
    has_clang || die "no clang of version 17 or newer with the bpf target, not even after installing $clang"
}

install_targets() {
    local target directory
    command -v rustc >/dev/null || die "no Rust here: install it with rustup (https://rustup.rs)"
    for target in "${targets[@]}"; do
        directory=$(rustc --print target-libdir --target "$target")
        [ ! -d "$directory" ] || continue
        command -v rustup >/dev/null || die "Rust lacks the target $target and there is no rustup to add it"
        echo "install-deps: adding the Rust target $target"
        rustup --quiet target add "$target"
    done
}

all=
case ${1-} in
'') ;;
--all) all=1 targets+=(aarch64-unknown-linux-musl) ;;
*) die "usage: hack/install-deps.sh [--all]" ;;
esac
install_packages
install_targets
