#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# How a host's own bootstrap uses the ranking: run it once, read the settings line by line without sourcing them, and print
# the zram-generator section that the host's configuration management would install.
set -euo pipefail

main() {
  local here settings key value code=0
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  settings=$("$here/bench-compressors.sh" --quick --emit env "$@") || code=$?
  case $code in
    0) ;;
    4 | 75) # inconclusive, or busy: keep what the host has
      echo "host-bootstrap.sh: no recommendation this time (code $code), keeping the present settings" >&2
      return 0
      ;;
    *) return "$code" ;;
  esac
  local algorithm=''
  while IFS='=' read -r key value; do
    # Only the keys that are known, only values of plain characters: whatever else stands there is not used.
    [[ $value =~ ^[A-Za-z0-9._-]*$ ]] || continue
    case $key in
      MEMLINE_ALGORITHM) algorithm=$value ;;
    esac
  done <<<"$settings"
  [[ $algorithm ]] || return 0
  printf '[zram0]\nzram-size = ram / 2\ncompression-algorithm = %s\n' "$algorithm"
}

main "$@"
