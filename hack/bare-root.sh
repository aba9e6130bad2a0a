#!/usr/bin/env bash
# Runs a command in a bare Debian with nothing but this checkout and the Rust toolchain in it, and
# so shows that hack/install-deps.sh names everything else.
#
#   hack/bare-root.sh                                     .ci/run, from a cold start
#   hack/bare-root.sh sh -c 'hack/install-deps.sh && make lint'
#   SUITE=trixie hack/bare-root.sh                        another release from the same mirror
#
# Needs root, debootstrap and the package mirror that apt is configured for. The checkout and the
# toolchain are read-only in there, the crates those that are here. Everything is gone afterwards.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/.." && pwd)
cd "$checkout"

die() {
    echo "bare-root: $*" >&2
    exit 1
}

# The second half, in namespaces of its own: fills the root, moves into it and runs the command.
# It is pivot_root and not chroot because who enters another mount namespace by setns leaves a
# chroot, and the tests do.
enter() {
    local root=$1
    shift
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=755 run "$root/run"
    read_only "$checkout" "$root/src"
    read_only "${CARGO_HOME:-$HOME/.cargo}" "$root/opt/cargo"
    read_only "${RUSTUP_HOME:-$HOME/.rustup}" "$root/opt/rustup"
    cd "$root"
    mkdir -p .outside
    pivot_root . .outside
    umount -l /.outside
    cd /src
    exec env -i HOME=/root LANG=C.UTF-8 TERM="${TERM-dumb}" \
        PATH=/opt/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        CARGO_HOME=/opt/cargo RUSTUP_HOME=/opt/rustup CARGO_TARGET_DIR=/target \
        CARGO_NET_OFFLINE=true RUSTUP_AUTO_INSTALL=0 "$@"
}

read_only() {
    mkdir -p "$2"
    mount --bind "$1" "$2"
    mount -o remount,bind,ro "$2"
}

# The distribution's own sources as apt knows them: "URI release component", one a line.
sources() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
        awk '$4 == "Debian" || $4 == "Ubuntu" { print $1, $2, $3 }' | sort -u
}

# What the bare system's apt needs to reach the same mirror.
configure_apt() {
    local root=$1 release=$2 own=$3
    if [ "$release" = "$own" ]; then
        sources | sed 's/^/deb /'
    else
        echo "deb $mirror $release main"
    fi >"$root/etc/apt/sources.list"
    apt-config dump | { grep -E '^Acquire::https?(::[^ ]*)?::Proxy' || true; } >"$root/etc/apt/apt.conf.d/proxy"
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

if [ "${1-}" = --entered ]; then
    shift
    enter "$@"
fi

[ "$(id -u)" -eq 0 ] || die "a root file system is made by root"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
own=$(. /etc/os-release && echo "$VERSION_CODENAME")
release=${SUITE:-$own}
mirror=$(sources | awk -v own="$own" '$2 == own && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || die "apt is configured for no mirror of $own: see /etc/apt/sources.list"
[ $# -gt 0 ] || set -- .ci/run

# Here, because the bare system's view of the crates is read-only and offline.
cargo fetch --quiet --locked
root=$(mktemp -d "${TMPDIR:-/tmp}/fairlead-bare.XXXXXX")
# The mounts are gone with their namespace; should one ever remain, nothing behind it is touched.
trap 'rm -rf --one-file-system "$root"' EXIT
chmod 755 "$root"
echo "bare-root: $release from $mirror in $root"
debootstrap --variant=minbase "$release" "$root" "$mirror" >"$root.log" 2>&1 ||
    { cat "$root.log" >&2; rm -f "$root.log"; die "debootstrap failed: see above"; }
rm -f "$root.log"
configure_apt "$root" "$release" "$own"
unshare --mount --pid --fork --kill-child --propagation private "$checkout/hack/bare-root.sh" --entered "$root" "$@"
