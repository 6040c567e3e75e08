#!/usr/bin/env bash
# Run `make demo` and `make test` of the last commit on a fresh Debian, and print the seconds of both.
#
#     tests/support/debian.sh SUITE [FOLDER [COMMAND...]]
#
# SUITE is bookworm (Debian 12), trixie (13) or another that debootstrap knows. FOLDER is the root of that system
# (default build/SUITE). It is made if it is missing or empty, and kept, so that the next run starts sooner. COMMAND
# runs instead of both, in a clone of the last commit and with an empty HOME. Needs root and debootstrap. The mounts
# are in a namespace that ends with this script, however it ends. Variables PIP_* and the file of PIP_CERT are passed
# on.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ $# -ge 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 4; }
suite=$1 root=$(realpath -m "${2:-build/$1}")
shift $(($# < 2 ? $# : 2))
[ "$(id -u)" = 0 ] || { echo 'Needs root: sudo make debian13'; exit 3; }
command -v debootstrap >/dev/null || { echo 'Needs debootstrap: apt-get install -y debootstrap'; exit 3; }

if [ ! -e "$root/.made" ]; then
    [ ! -e "$root" ] || [ -z "$(ls -A "$root")" ] || { echo "$root is not empty, and not made by this script"; exit 4; }
    debootstrap --variant=minbase "$suite" "$root"
    chroot "$root" apt-get -q update
    chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends ca-certificates git make
    touch "$root/.made"
fi
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
[ -z "${PIP_CERT:-}" ] || cp -L --parents "$PIP_CERT" "$root"
rm -rf "$root/srv/hsl" "$root"/srv/home.*
git clone -q --no-local . "$root/srv/hsl"
home=$(mktemp -d -p "$root/srv" home.XXXXXX)

# What runs inside; it ends at the first failure.
inside='
timed() { local start=$SECONDS status=0; "$@" </dev/null || status=$?
    printf "%s: %d s, exit %d\n" "$*" $((SECONDS - start)) $status; [ $status = 0 ] || exit $status; }
cd /srv/hsl
if [ $# -gt 0 ]; then timed "$@"; exit; fi
timed make demo
du -sm .venv
timed make test'
# The root is a mount point of its own: `ip netns` needs that.
mounts='mount --bind "$1" "$1" && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t sysfs sysfs "$1/sys"
exec chroot "$@"'
mapfile -t pip < <(env | grep '^PIP_')
exec unshare --mount --pid --fork --kill-child sh -c "$mounts" sh "$root" env -i "${pip[@]}" \
    HOME="/srv/${home##*/}" LANG=C.UTF-8 TERM="${TERM:-dumb}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    bash -c "$inside" inside "$@"
