#!/usr/bin/env bash
# Shows on a Debian 12 made for it what the README promises: `make run` for anybody, `make test` for root.
#
#   tests/fresh/run.sh          everything (long: it runs the whole of `make test`)
#   tests/fresh/run.sh quick    without `make test`
#
# The machine is a folder: a minimal Debian and an archive of HEAD, entered with its own mounts and process ids, so
# that nothing outlives this script. It shares the network, and so the ports 9817 and 9818 must be free. Of the
# machine around it, it gets what reaches the registries: name service, CA bundle, pip.conf, apt's mirror.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ((EUID != 0)); then
  echo 'make fresh needs root: it builds a Debian of its own. Run: sudo make fresh' >&2
  exit 1
fi

cache=${VAKHTA_CACHE:-$HOME/.cache/vakhta}/fresh
base=$cache/bookworm

build_base() {
  scripts/apt.sh debootstrap git
  local mirror
  mirror=$(python3 -c 'from tests.real.debian import machine_mirror; print(machine_mirror())')
  mkdir -p "$cache"
  local scratch
  scratch=$(mktemp -d "$cache/.new-XXXXXX")
  debootstrap --variant=minbase --include=python3,python3-venv,make,ca-certificates bookworm "$scratch" "$mirror"
  chmod 755 "$scratch"
  mv "$scratch" "$base"
}

furnish() { # $1: the machine's root
  local root=$1 file
  for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
    if [[ -e $file ]]; then cp -L "$file" "$root$file"; fi
  done
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  if [[ -e $HOME/.config/pip/pip.conf ]]; then cp "$HOME/.config/pip/pip.conf" "$root/etc/pip.conf"; fi
  # how this machine reaches its mirror (proxy, how old its lists may be), as one-line settings
  grep -hsE '^\s*Acquire::.*;' /etc/apt/apt.conf /etc/apt/apt.conf.d/* >"$root/etc/apt/apt.conf.d/90acquire" || true
  mkdir -p "$root/checkout" "$root/old"
  git archive HEAD | tar -x -C "$root/checkout"
  cp tests/fresh/steps.py "$root/steps.py"
}

enter() { # in its own mount and pid namespaces; $1: the machine's root, then what to run there
  local root=$1
  shift
  # shellcheck disable=SC2016 # the inner shell expands these
  unshare --mount --pid --fork --kill-child --propagation private bash -euc '
    root=$1; shift
    mount --bind "$root" "$root"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    cd "$root"
    pivot_root . old
    exec chroot . bash -euc "umount -l /old; exec \"\$@\"" bash "$@"
  ' bash "$root" "$@"
}

[[ -d $base ]] || build_base
root=$(mktemp -d "$cache/machine-XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
cp -a "$base/." "$root"
chmod 755 "$root"
furnish "$root"

passed=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8)
for name in PIP_CERT PIP_INDEX_URL PIP_EXTRA_INDEX_URL http_proxy https_proxy no_proxy; do
  if [[ -n ${!name:-} ]]; then passed+=("$name=${!name}"); fi
done
enter "$root" env -i "${passed[@]}" python3 -u /steps.py "${1:-all}"
