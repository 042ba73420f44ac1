#!/usr/bin/env bash
# Run a command beside a Slurm of this machine alone, as Debian's slurm-wlm and munge have it:
#
#   benchmarks/slurm.sh python -m benchmarks.sweeps 96 5 slurm
#
# Three daemons start as the user who calls, in a directory of their own (SLURM_DIR, or a new one),
# and end with the command. Nothing outside is written: SLURM_CONF tells sbatch, srun, scontrol and
# squeue of it.
#
# CPUS=2 says how many cores Slurm gives to jobs; the daemons, and so the jobs, keep the affinity of
# the caller. Jobs are confined by no cgroup, and there is no accounting: sacct knows of nothing.
set -euo pipefail

cpus=${CPUS:-2}
port=${PORT:-16817} # and the next; not those of a Slurm that is there
dir=$(realpath "${SLURM_DIR:-$(mktemp -d /tmp/slurm-XXXXXX)}")
host=$(hostname -s)
user=$(id -un)
export SLURM_CONF=$dir/slurm.conf
mkdir -p "$dir/state" "$dir/spool"
chmod 755 "$dir" # munged refuses a socket where others may write

dd if=/dev/urandom of="$dir/munge.key" bs=128 count=1 status=none
chmod 400 "$dir/munge.key"
cat > "$SLURM_CONF" <<CONF
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$user
SlurmdUser=$user
# a job that is put back into the queue starts when its credential has expired: 120 s by default
AuthInfo=socket=$dir/munge.socket,cred_expire=10
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$(free -m | awk '/^Mem/ {print $2 - 500}')
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF

daemons=()
stop() {
  scancel --quiet --user="$user" 2>/dev/null || true
  for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
  for _ in {1..50}; do kill -0 "${daemons[@]}" 2>/dev/null || break; sleep 0.2; done
  for pid in "${daemons[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  wait
}
trap stop EXIT
trap 'exit 130' INT TERM

munged --foreground --socket="$dir/munge.socket" --key-file="$dir/munge.key" \
  --pid-file="$dir/munged.pid" --seed-file="$dir/munged.seed" --log-file="$dir/munged.log" 2>/dev/null &
daemons=($!)
for _ in {1..50}; do [ -S "$dir/munge.socket" ] && break; sleep 0.1; done
slurmctld -D > /dev/null 2>&1 &
daemons=($! "${daemons[@]}")
slurmd -D > /dev/null 2>&1 &
daemons=($! "${daemons[@]}")
for _ in {1..100}; do
  [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ] && break
  sleep 0.2
done
if [ "$(sinfo --noheader --format=%T)" != idle ]; then
  tail "$dir"/*.log >&2
  exit 1
fi
"$@"
