#!/bin/bash
# One pretraining on two nodes with four GPUs each; what follows the script goes to mpp pretrain:
#   sbatch experiments/slurm/pretrain.sh --config experiments/pretrain/mini.yaml --out runs/mini --accumulate 8
# Other numbers: sbatch --nodes 4 ... . Eight processes share the batches of a step out, so that
# accumulate is a multiple of eight. Data and --out lie on a disk that all nodes share.
#SBATCH --job-name=mpp-pretrain
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
# Two minutes before the end the state is saved; the same sbatch goes on from it.
#SBATCH --signal=TERM@120
set -euo pipefail
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
# A process that fails takes the others with it; the first is the last to end, when it has saved.
exec srun --kill-on-bad-exit=1 --wait=0 mpp pretrain "$@"
