#!/usr/bin/env bash
# Run a command beside a Ray cluster of this machine alone: a head that takes no jobs, and two
# workers of one core each. hydra-ray-launcher must be in the environment whose Python runs:
#
#   benchmarks/ray.sh python -m benchmarks.sweeps 96 5 ray
#
# The cluster ends with the command. Its processes keep the affinity of the caller.
set -euo pipefail

port=${PORT:-6399}
dir=$(mktemp -d /tmp/ray-XXXXXX) # a short name: sockets are in it
export RAY_ADDRESS=127.0.0.1:$port RAY_USAGE_STATS_ENABLED=0 RAY_DEDUP_LOGS=0 RAY_raylet_start_wait_time_s=300
small=(--node-ip-address=127.0.0.1 --object-store-memory=100000000 --disable-usage-stats --block)

nodes=()
stop() {
  for pid in "${nodes[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT TERM

started() {
  until grep -q "runtime started" "$dir/$1.log"; do
    kill -0 "${nodes[0]}" 2>/dev/null || { cat "$dir/$1.log" >&2; exit 1; }
    sleep 0.5
  done
}

ray start --head --port="$port" --num-cpus=0 --include-dashboard=false --temp-dir="$dir" \
  "${small[@]}" > "$dir/head.log" 2>&1 &
nodes=($!)
started head
for worker in worker1 worker2; do
  ray start --address="$RAY_ADDRESS" --num-cpus=1 "${small[@]}" > "$dir/$worker.log" 2>&1 &
  nodes=($! "${nodes[@]}")
  started "$worker"
done
"$@"
