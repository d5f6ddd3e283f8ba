#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Rank the compressors that this host could swap with, end to end: real pages, a private zram device, real faults.
#
#   scripts/bench-compressors.sh [--quick | --test-compressors | --test-all] [options]
#
#   --quick              seven times 128 MiB of the mixed pattern, in 28 rounds of 32 MiB: under 45 s for three compressors
#   --test-compressors   256 MiB of the mixed pattern (the default)
#   --test-all           the same with every pattern, one ranking each
#   --small-tests        64 MiB instead
#   --patterns A,B       these patterns (mempressure --help names them)
#   --rounds N           measured rounds, after one warm-up round (7, --quick 28; a paired exact test needs 6)
#   --duration TIME      start no new round after this time (90, 90s, 5m); what was measured is ranked
#   --timeout TIME       give up a single test after this time (300s)
#   --out DIR            where the records go (results/RUN below the current folder)
#   --emit FORM          print only the settings: env, sysctl or zram-generator
#   --wait TIME          wait this long for another run to end instead of leaving with 75 (0s)
#   --quiet              print nothing when all goes well, for cron
#   --dry-run            print the plan and end
#
# It needs root and zram; without them it ranks user-space codecs and says so. It leaves the host as it found it, also
# after kill -9: the next run, or zramctl restore, undoes what was left. Settings are printed, never applied.
# Exit codes: 0 ranked, 1 failure, 2 usage, 4 inconclusive, 75 busy or not enough memory, 130 and 143 interrupted.
set -euo pipefail

readonly self=${0##*/}
bin=${MEMLINE_BIN:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/bin}
bytes=256M device_bytes=512M codec_bytes=16M patterns=mixed rounds='' duration='' limit=300 out='' emit='' wait_for=0 quiet=no dry_run=no
run='' records='' deadline='' default_algorithm='' pressure_pid='' answer=''
algorithms=() pattern_list=()

main() {
  options "$@"
  forget_environment
  # Quarters of a round tell more than the whole: from one phase to the next a shared machine is up to 1.3 times slower, which
  # only the number of phases averages out (docs/method.md).
  [[ $rounds ]] || case $bytes in 32M) rounds=28 ;; *) rounds=7 ;; esac
  [[ -x $bin/zramctl ]] || fail 1 "the tools are not in $bin; run make build, or set MEMLINE_BIN"
  run=$(date -u +%Y%m%dT%H%M%SZ)-$$
  out=${out:-results/$run}
  [[ $out == /* ]] || out=$PWD/$out
  records=$out/records.ndjson
  IFS=, read -r -a pattern_list <<<"$patterns"
  check_patterns
  if [[ $dry_run == yes ]]; then
    plan
    return
  fi
  export MEMLINE_RUN_ID=$run
  if on_zram; then
    rank_zram
  else
    rank_codecs
  fi
  report
}

options() {
  while (($# > 0)); do
    case $1 in
      --quick) bytes=32M device_bytes=64M codec_bytes=4M ;;
      --test-compressors) ;;
      --test-all) patterns=mixed,text,pointers,sequential,random ;;
      --small-tests) bytes=64M device_bytes=128M ;;
      --quiet) quiet=yes ;;
      --dry-run) dry_run=yes ;;
      -h | --help) sed -n '4,26s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
      --patterns | --rounds | --duration | --timeout | --out | --emit | --wait)
        [[ ${2-} ]] || fail 2 "$1 takes a value (try --help)"
        option "$1" "$2"
        shift
        ;;
      --*=*) set -- "$1" "${1%%=*}" "${1#*=}" "${@:2}" ;;
      *) fail 2 "unknown argument '$1' (try --help)" ;;
    esac
    shift
  done
}

option() {
  case $1=$2 in
    --patterns=*[!a-z0-9,:._-]* | --patterns=,* | --patterns=*,) fail 2 "--patterns: '$2' is not a list such as mixed,text" ;;
    --patterns=*) patterns=$2 ;;
    --rounds=[1-9] | --rounds=[1-9][0-9]) rounds=$2 ;;
    --rounds=*) fail 2 "--rounds: '$2' is not a number from 1 to 99" ;;
    --duration=*) duration=$(seconds "$1" "$2") ;;
    --timeout=*) limit=$(seconds "$1" "$2") ;;
    --wait=*) wait_for=$(seconds "$1" "$2") ;;
    --out=*) out=$2 ;;
    --emit=env | --emit=sysctl | --emit=zram-generator) emit=$2 ;;
    --emit=*) fail 2 "--emit: '$2' is not env, sysctl or zram-generator" ;;
  esac
}

# seconds OPTION TIME prints a time such as 90, 90s or 5m in seconds.
seconds() {
  [[ $2 =~ ^([0-9]{1,6})([smh]?)$ ]] || fail 2 "$1: '$2' is not a time such as 90, 90s or 5m"
  local unit=seconds
  case ${BASH_REMATCH[2]} in
    m) unit=minutes ;;
    h) unit=hours ;;
  esac
  ((BASH_REMATCH[1] > 0)) || [[ $1 == --wait ]] || fail 2 "$1: 0 leaves no time for anything"
  date -u -d "1970-01-01 UTC + ${BASH_REMATCH[1]} $unit" +%s
}

# forget_environment drops the defaults that this user may have set for the tools: the run measures what it says it does.
forget_environment() {
  local name
  for name in $(compgen -A export MEMLINE_); do
    case $name in
      MEMLINE_BIN | MEMLINE_STATE_DIR | MEMLINE_LOCK_FD | MEMLINE_DEBUG) ;;
      *) unset "$name" ;;
    esac
  done
}

# check_patterns refuses a pattern that mempressure does not know, before anything is waited for.
check_patterns() {
  local pattern said
  for pattern in "${pattern_list[@]}"; do
    said=$("$bin/mempressure" 1M --pattern "$pattern" --dry-run 2>&1 >/dev/null) || [[ $? != 2 ]] ||
      fail 2 "--patterns: ${said#mempressure: --pattern: }"
  done
}

# open_out makes the folder of the records and starts the clock of --duration.
open_out() {
  mkdir -p -- "$out" || fail 1 "cannot make $out; give --out a folder that you may write to"
  [[ ! -e $records ]] || fail 2 "$records exists already; --out takes a new folder"
  : >"$records"
  [[ -z $duration ]] || deadline=$(date -d "now + $duration seconds" +%s)
}

plan() {
  echo "run      $run"
  echo "records  $records"
  if on_zram; then
    echo "test     $bytes of ${patterns//,/, } on a private zram device of $device_bytes, highest priority"
  else
    echo "test     $codec_bytes of ${patterns//,/, } through each user-space codec"
  fi
  echo "rounds   1 warm-up, $rounds measured, candidates and floor in random order"
  echo "limits   ${limit}s a test${duration:+, no new round after ${duration}s}"
}

# on_zram says whether the real thing can be measured, and on a terminal or in the log why not.
on_zram() {
  if ((EUID != 0)); then
    say "not root: ranking user-space codecs instead of this kernel's zram"
    return 1
  fi
  if [[ ! -e /sys/class/zram-control/hot_add ]]; then
    say "no zram (modprobe zram would load it where it is a module): ranking user-space codecs instead"
    return 1
  fi
  if [[ $(cat /sys/module/zswap/parameters/enabled 2>/dev/null) == Y ]]; then
    fail 75 "zswap is on and would take the pages before zram sees them; write N to /sys/module/zswap/parameters/enabled for the run"
  fi
}

rank_zram() {
  trap 'stop 130' INT
  trap 'stop 143' TERM HUP
  trap 'cleanup $?' EXIT
  export MEMLINE_OWNER_PID=$$
  local -a patience=()
  ((wait_for == 0)) || patience=(--wait "${wait_for}s")
  "$bin/zramctl" restore "${patience[@]}" >/dev/null || exit # it has said why; it also makes the state folder
  lock_host
  open_out
  find_algorithms
  local -a candidates
  local round pattern candidate
  for ((round = 0; round <= rounds; round++)); do
    if [[ $deadline && $round -gt 0 && $(date +%s) -ge $deadline ]]; then
      say "stopped before round $round: --duration is over"
      break
    fi
    for pattern in "${pattern_list[@]}"; do
      mapfile -t candidates < <(printf '%s\n' floor "${algorithms[@]}" | shuf)
      for candidate in "${candidates[@]}"; do
        progress "round $round of $rounds: $pattern, $candidate"
        measure "$candidate" "$pattern" "$round"
      done
    done
  done
  progress ''
}

# lock_host takes the host's one lock, or shares the one that a caller holds, and passes it on to every tool below.
lock_host() {
  local file=${MEMLINE_STATE_DIR:-/run/memline}/host.lock fd holder
  fd=${MEMLINE_LOCK_FD-}
  if [[ $fd && /proc/self/fd/$fd -ef $file ]] && flock --nonblock "$fd"; then
    return
  fi
  exec {fd}<>"$file"
  if ! flock --nonblock "$fd"; then
    holder=$(head -n 1 "$file")
    ((wait_for == 0)) || say "waiting for the host lock, held by ${holder:-another run}"
    flock --wait "$wait_for" "$fd" ||
      fail 75 "the host lock is held by ${holder:-another run} (pid and name); try again when it has ended, or --wait longer"
  fi
  echo "$$ $self" >"$file"
  export MEMLINE_LOCK_FD=$fd
}

# find_algorithms asks by trial which compressors there are and which is the kernel's own choice.
find_algorithms() {
  local line
  ask zramctl algorithms
  while IFS= read -r line; do
    if [[ $line =~ \"event\":\"algorithm\".*\"algorithm\":\"([a-z0-9-]+)\".*\"works\":true ]]; then
      algorithms+=("${BASH_REMATCH[1]}")
      [[ $line != *'"default":true'* ]] || default_algorithm=${BASH_REMATCH[1]}
    fi
  done <<<"$answer"
  [[ $default_algorithm ]] || fail 1 "zramctl algorithms named no default"
}

# measure CANDIDATE PATTERN ROUND makes a device, swaps the pages out and back in, and takes the device away. A test that
# fails is on record and the ranking judges it; only what would spoil every other test ends the run.
measure() {
  local algorithm=$1 data=$2 code=0
  export MEMLINE_LABELS=algorithm=$1,pattern=$2,round=$3
  if [[ $1 == floor ]]; then
    algorithm=$default_algorithm data=same
  fi
  ask zramctl create --size "$device_bytes" --algorithm "$algorithm" --swap --priority 32767
  [[ $answer =~ \"event\":\"ready\"[^$'\n']*\"device\":\"(/dev/zram[0-9]+)\" ]] || fail 1 "zramctl create named no device"
  local device=${BASH_REMATCH[1]}
  press "$device" "$data" || code=$?
  ask zramctl destroy "$device"
  case $code in
    0 | 1 | 124 | 137) ;; # measured, or failed by itself: the records say so
    *) fail "$code" "mempressure left with $code: $(tail -n 1 "$out/stderr.log")" ;;
  esac
}

# press DEVICE PATTERN runs the phases and returns mempressure's exit code. While the pages live in the device, between
# page-out and read-back, it compacts the pool and records what the kernel says of it.
press() {
  local line code=0 go said
  rm -f "$out/go" "$out/said"
  mkfifo "$out/go" "$out/said" || fail 1 "no pipes in $out"
  exec {go}<>"$out/go"
  timeout --foreground --kill-after=10s "${limit}s" "$bin/mempressure" "$bytes" --quiet --pattern "$2" \
    --pageout --pause-after pageout --readback random --verify <"$out/go" >"$out/said" 2>>"$out/stderr.log" &
  pressure_pid=$!
  exec {said}<"$out/said"
  while IFS= read -r line <&"$said"; do
    keep "$line"
    if [[ $line == *'"event":"ready"'* ]]; then
      ask zramctl compact "$1"
      ask zramctl status "$1"
      echo >&"$go"
    fi
  done
  exec {said}<&- {go}>&-
  rm -f "$out/go" "$out/said"
  wait "$pressure_pid" || code=$?
  pressure_pid=''
  return "$code"
}

rank_codecs() {
  trap 'stop 130' INT
  trap 'stop 143' TERM HUP
  open_out
  local round pattern
  for ((round = 0; round <= rounds; round++)); do
    if [[ $deadline && $round -gt 0 && $(date +%s) -ge $deadline ]]; then
      break
    fi
    for pattern in "${pattern_list[@]}"; do
      progress "round $round of $rounds: $pattern, user-space codecs"
      export MEMLINE_LABELS=pattern=$pattern,round=$round
      ask arenabench codecs --pattern "$pattern" --size "$codec_bytes"
    done
  done
  progress ''
}

# report ranks the records: the ranking, the table, the settings.
report() {
  unset MEMLINE_LABELS
  local code=0
  tool summarize rank -o ndjson "$records" >"$out/ranking.ndjson" || code=$?
  tool summarize rank -o table "$records" >"$out/ranking.txt" 2>/dev/null || true
  local form
  for form in zram-generator sysctl env; do
    "$bin/summarize" rank --emit "$form" "$records" >"$out/settings.$form" 2>/dev/null || rm -f "$out/settings.$form"
  done
  if [[ $emit ]]; then
    [[ -e $out/settings.$emit ]] || fail "$((code ? code : 4))" "no settings to print: $(tail -n 1 "$out/ranking.txt")"
    cat "$out/settings.$emit"
  elif [[ $quiet == no && -s $out/ranking.txt ]]; then
    cat "$out/ranking.txt"
    if [[ -e $out/settings.zram-generator ]]; then
      printf '\nSettings, printed and not applied:\n'
      sed 's/^/  /' "$out/settings.zram-generator"
    fi
    printf '\nRecords, ranking and settings: %s\n' "$out"
  fi
  case $code in
    0) ;;
    4) [[ -s $out/ranking.txt ]] && fail 4 "$(tail -n 1 "$out/ranking.txt")" ;;&
    *) fail "$code" "summarize rank left with $code: $(tail -n 1 "$out/stderr.log")" ;;
  esac
}

# tool NAME ARGS... runs a tool under the test's time limit; what it says for people goes to the log.
tool() {
  local name=$1
  shift
  timeout --foreground --kill-after=10s "${limit}s" "$bin/$name" "$@" 2>>"$out/stderr.log"
}

# ask NAME ARGS... runs a tool, keeps its records with the run's and in $answer, and ends the run when it fails.
ask() {
  local code=0
  answer=$(tool "$@") || code=$?
  [[ -z $answer ]] || keep "$answer"
  ((code == 0)) || fail "$code" "$1 $2 left with $code: $(tail -n 1 "$out/stderr.log")"
}

# keep LINES adds records to the run's.
keep() {
  printf '%s\n' "$1" >>"$records" || fail 1 "cannot write to $records"
}

# stop CODE ends the run on a signal; the EXIT trap cleans up.
stop() {
  trap '' INT TERM HUP
  echo "$self: stopped; putting the host back" >&2
  exit "$1"
}

# cleanup CODE takes away whatever this run still owns, however it ends; nothing that fails here may keep it from that.
cleanup() {
  set +e
  trap '' INT TERM HUP
  trap - EXIT
  progress ''
  if [[ $pressure_pid ]]; then
    kill -TERM "$pressure_pid" 2>/dev/null
    wait "$pressure_pid" 2>/dev/null
  fi
  # Its records are not kept: they belong to no measurement, and a full disk must not keep it from its work.
  "$bin/zramctl" restore --owner-pid $$ --quiet >/dev/null || exit 1
  rm -f "$out/go" "$out/said"
  exit "$1"
}

# fail CODE SENTENCE ends the run.
fail() {
  echo "$self: $2" >&2
  exit "$1"
}

say() {
  [[ $quiet == yes ]] || echo "$self: $1" >&2
}

# progress TEXT shows one changing line where stderr is a terminal.
progress() {
  [[ $quiet == no && -t 2 ]] || return 0
  printf '\r\033[K%s' "$1" >&2
}

main "$@"
