#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Install what memline's build, tests and optional parts need, from Debian packages, by name.
#
#   scripts/bootstrap.sh                       what make rank needs
#   scripts/bootstrap.sh --with test           also what make test needs
#   scripts/bootstrap.sh --with allocators vm  optional groups: test allocators bpf vm peers browser
#   scripts/bootstrap.sh --dry-run             print what is missing, install nothing
#
# It installs only what is missing, so a second run does nothing. It never repartitions, reboots or changes a setting.
# Exit codes: 0 all there, 2 usage, 69 no apt-get or Go too old, 77 something is missing and this user may not install it.
set -euo pipefail

packages() {
  case $1 in
    base) echo coreutils util-linux make ;;
    test) echo gcc libc6-dev shellcheck jq procps git strace e2fsprogs ;;
    allocators) echo libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0 libtbbmalloc2 gcc libc6-dev ;;
    bpf) echo clang-14 llvm-14 libbpf-dev ;;
    vm) echo qemu-system-x86 busybox-static cpio debootstrap ;;
    peers) echo stress-ng fio bpftrace ;;
    browser) echo chromium ;;
    *) usage "unknown group '$1'; there are test, allocators, bpf, vm, peers, browser" ;;
  esac
}

usage() {
  echo "bootstrap.sh: $1" >&2
  exit 2
}

help() { sed -n '4,13s/^# \{0,1\}//p' "$0"; }

# installed NAME says whether dpkg has the package; elsewhere than on Debian nothing is known to be installed.
installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

check_go() {
  local go version
  go=$(command -v go || true)
  if [[ -z $go ]]; then
    echo "bootstrap.sh: Go 1.25 or later is not here; Debian's own is too old, so install it from the Go project" >&2
    exit 69
  fi
  version=$("$go" env GOVERSION)
  if [[ $(printf '%s\n' go1.25 "$version" | sort -V | head -n 1) != go1.25 ]]; then
    echo "bootstrap.sh: $version is too old; memline needs Go 1.25 or later" >&2
    exit 69
  fi
}

main() {
  local dry_run=no group package
  local -a groups=(base) missing=()
  while (($# > 0)); do
    case $1 in
      --dry-run) dry_run=yes ;;
      --with)
        [[ ${2-} && $2 != -* ]] || usage "--with takes one or more group names"
        while [[ ${2-} && $2 != -* ]]; do
          groups+=("$2")
          shift
        done
        ;;
      -h | --help) help && exit 0 ;;
      *) usage "unknown argument '$1' (try --help)" ;;
    esac
    shift
  done

  for group in "${groups[@]}"; do
    local names
    names=$(packages "$group")
    for package in $names; do
      installed "$package" || missing+=("$package")
    done
  done
  if ((${#missing[@]} == 0)); then
    [[ $dry_run == no ]] || echo "nothing is missing"
    check_go
    return
  fi
  if [[ $dry_run == yes ]]; then
    echo "would install: ${missing[*]}"
    return
  fi
  if ! command -v apt-get >/dev/null; then
    echo "bootstrap.sh: no apt-get here; install these yourself: ${missing[*]}" >&2
    exit 69
  fi
  if ((EUID != 0)); then
    echo "bootstrap.sh: needs root to install: ${missing[*]}" >&2
    exit 77
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update >&2
  apt-get -qq install --yes --no-install-recommends "${missing[@]}" >&2
  check_go
}

main "$@"
