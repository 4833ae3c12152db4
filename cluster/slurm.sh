#!/usr/bin/env bash
# A study on nodes that Slurm lends: Ray is started on all of them, and ended when the study has.
#
#   sbatch --nodes=4 cluster/slurm.sh STUDY ROOT [--set KEY=VALUE]...
#
# Submit it from an environment that all nodes see and in which textmill is installed; they must see
# STUDY and ROOT, too. HEAD_ADDRESS can be set, where the first node has several networks.
#SBATCH --job-name=textmill
#SBATCH --output=textmill-%j.log
#SBATCH --open-mode=append
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
# Nodes are whole ones: Ray takes all of a node, and what ends it ends every Ray of a user there.
set -euo pipefail

if [ $# -lt 2 ] || [ -z "${SLURM_JOB_ID:-}" ]; then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
study="$1" root="$2"
shift 2

# This script runs on the first node, whose own name may stand for its loopback address.
head="${HEAD_ADDRESS:-$(hostname -I | cut -d ' ' -f 1)}"

RAY_AUTH_TOKEN="$(python3 -c 'import secrets; print(secrets.token_hex(32))')"
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
export RAY_TMPDIR="/tmp/ray-$SLURM_JOB_ID" # paths of sockets must be short
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300 # seconds; its 30 are few for a shared file system
export RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0

# The time limit is near, or others come first: what is done is in ROOT, the next run goes on there.
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1

srun --export=ALL --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpu-bind=none \
  ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" -- \
  textmill run "$study" --root "$root" "$@" &
wait $! # bash hears a signal while it waits, not while it runs a program
