#!/usr/bin/env bash
# Start a Ray head on this machine, which listens on loopback alone and wants a token; or end it.
#
#   cluster/local-head.sh start [FOLDER]
#   cluster/local-head.sh stop [FOLDER]
#
# FOLDER (by default ~/.textmill-head) holds Ray's own files and the token. PORT (6379) and
# DASHBOARD_PORT (8265) can be set, and CPUS, where the head is to have fewer than the machine.
set -euo pipefail

command="${1:-}"
folder="${2:-$HOME/.textmill-head}"
port="${PORT:-6379}"
dashboard="${DASHBOARD_PORT:-8265}"

start() {
  mkdir -p "$folder"
  folder="$(cd "$folder" && pwd)"
  if [ ! -s "$folder/token" ]; then
    (umask 077 && python3 -c 'import secrets; print(secrets.token_hex(32), end="")' > "$folder/token")
  fi
  export RAY_worker_niceness=0 # its 15 lets a job wait for whatever else this machine does
  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$folder/token"
  unset RAY_AUTH_TOKEN
  export RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 # then nothing of it listens but on loopback
  # the agent, which starts jobs, takes a free port: by default it is that of any other Ray on the
  # machine, and a head whose agent found it taken starts no job
  ray start --head \
    --node-ip-address=127.0.0.1 --port="$port" \
    --dashboard-host=127.0.0.1 --dashboard-port="$dashboard" \
    --dashboard-agent-listen-port=0 \
    --temp-dir="$folder/ray" --disable-usage-stats ${CPUS:+--num-cpus="$CPUS"} > "$folder/start.log" 2>&1 ||
    { cat "$folder/start.log" >&2; exit 1; }
  echo "The head is up. To use it:"
  echo "  export RAY_AUTH_TOKEN_PATH=$folder/token"
  echo "  textmill submit STUDY --address http://127.0.0.1:$dashboard --shared FOLDER --root FOLDER/out"
}

stop() {
  folder="$(cd "$folder" && pwd)"
  # those of this head alone: `ray stop` would end every Ray of the machine
  local ours
  ours="$(for pid in $(pgrep -f -- "$folder/ray/"); do family "$pid"; done | sort -u)"
  [ -n "$ours" ] || return 0
  # shellcheck disable=SC2086 # one word for each process
  kill $ours 2> /dev/null || true
  sleep 3
  # shellcheck disable=SC2086
  kill -KILL $ours 2> /dev/null || true
}

# A process and all that it started: Ray's agents and workers hide what they were called with.
family() {
  echo "$1"
  for child in $(pgrep -P "$1"); do family "$child"; done
}

case "$command" in
  start) start ;;
  stop) stop ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
