#!/usr/bin/env bash
# Measure generation and training on one GPU, in 12 minutes at most; `generate` and `train` are the
# halves. It needs no hub: models have random weights.
#
#   jobs/bench/gpu.sh generate|train|all [--cpu]
#
# --cpu takes tiny models instead, to see that all works where there is no GPU. Can be set:
#   PYTHON  the interpreter (python3); what is installed beside it is used
#   WHEELS  a folder of wheels that are installed over that, without asking an index; if it is not
#           set, textmill and all that it needs come from pip's index
#   OUT     a folder for the figures, a JSON file for each measurement, and the log
set -euo pipefail

part="${1:-}"
case "$part:${2:-}" in
  generate: | train: | all: | generate:--cpu | train:--cpu | all:--cpu) ;;
  *)
    echo "usage: jobs/bench/gpu.sh generate|train|all [--cpu]" >&2
    exit 2
    ;;
esac
size="${2:-}"
python="${PYTHON:-python3}"
repository="$(cd "$(dirname "$0")/../.." && pwd)"
work="$(mktemp -d)"
running=""
trap '[ -z "$running" ] || kill "$running" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 143' INT TERM # by way of EXIT: what is measured must not outlive this script
out="${OUT:-$work/out}"
mkdir -p "$out"
failed=0

install() {
  "$python" -m venv --without-pip "$work/venv"
  local pip=("$python" -m pip --python "$work/venv/bin/python" install --quiet)
  if [ -z "${WHEELS+set}" ]; then
    "${pip[@]}" "${repository}[gpu]" 'accelerate==1.15.*'
  else
    # an interpreter that is itself of a virtual environment would hide its packages from a venv
    "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
      > "$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beside.pth"
    local wheels=("$WHEELS"/*.whl)
    if [ -e "${wheels[0]}" ]; then
      "${pip[@]}" --no-index --no-deps --ignore-installed "${wheels[@]}"
    fi
  fi
  export PATH="$work/venv/bin:$PATH" PYTHONPATH="$repository" HF_HUB_OFFLINE=1
}

# Run `textmill bench` under a time limit of its own, so that one that hangs leaves time to others.
#   measure NAME SECONDS WORD...
measure() {
  local name="$1" limit="$2" begun="$SECONDS"
  shift 2
  [ -z "$size" ] || limit=$((limit * 5)) # engines take their time to start on a CPU
  timeout --kill-after=10 "$limit" python -m jobs.cli bench "$@" --json \
    > "$work/figures" 2> "$work/errors" &
  running=$!
  if wait "$running"; then
    mv "$work/figures" "$out/$name.json"
    echo "$name: $((SECONDS - begun)) s"
  else
    echo "$name: failed or was stopped after $((SECONDS - begun)) of $limit s" >&2
    tail -n 20 "$work/errors" >&2
    failed=1
    sleep 15 # Ray's processes outlive a command that was killed, and hold the GPU
  fi
  running=""
  { echo "== $name"; cat "$work/errors"; } >> "$out/gpu.log"
}

generate() {
  local load=(--lengths heavy --load-format dummy --engines "vllm,textmill")
  if [ -n "$size" ]; then
    load+=(--rows 100 --repeats 1 --max-num-seqs 32)
  else
    load+=(--rows 3840 --repeats 1 --max-num-seqs 512)
  fi
  measure generate-1b 160 generate "${load[@]}" --model "$work/models/1b"
  measure generate-7b 190 generate "${load[@]}" --model "$work/models/7b"
}

train() {
  local load=(--arms "trainer_tuned,fleet" --model "$work/models/encoder")
  if [ -n "$size" ]; then
    measure train-4 120 train "${load[@]}" --runs 4 --rows 30 --steps 4
    measure train-8 220 train "${load[@]}" --runs 8 --rows 30 --steps 4
  else
    measure train-16 120 train "${load[@]}" --runs 16 --steps 30
    measure train-64 220 train "${load[@]}" --runs 64 --steps 30
  fi
}

install
python -m jobs.bench.gpu models "$work/models" ${size:+--small}
[ "$part" = train ] || generate
[ "$part" = generate ] || train
python -m jobs.bench.gpu summary "$out" | tee "$out/gpu.txt"
exit "$failed"
