#!/bin/bash
# A pretraining that is longer than a job may be: it queues itself again until it has ended.
#   sbatch experiments/slurm/requeue.sh --config experiments/pretrain/mini.yaml --out runs/mini --accumulate 8
#SBATCH --job-name=mpp-pretrain
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Before the end of its time, and where it makes room for another job, the processes get SIGTERM.
#SBATCH --signal=TERM@120
set -euo pipefail
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
status=0
srun --kill-on-bad-exit=1 --wait=0 mpp pretrain "$@" || status=$?
# 143 is the end by SIGTERM, with the state saved. Anything else would only come again.
if [ "$status" -eq 143 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
