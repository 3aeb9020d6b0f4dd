#!/usr/bin/env bash
# A sweep as a Slurm array job, without MPI: each task runs one shard on all cores that it was given, into a file of its
# own. Started again, every shard goes on where it stopped; a task that failed is submitted again by its number.
#
#   sbatch --array=1-16 examples/cluster/slurm_array.sh my_study.textproto results
#   flopcast sweep merge results.sqlite results/*.sqlite       # when all have ended
#SBATCH --job-name=flopcast-sweep
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail
study=${1:?a study: a file or a name}
folder=${2:?a folder for the results, on a file system that all nodes see}
part=${SLURM_ARRAY_TASK_ID:-1}
parts=${SLURM_ARRAY_TASK_MAX:-1}  # arrays count from 1: --array=1-N
mkdir -p "$folder"
exec "${FLOPCAST:-flopcast}" sweep "$study" --shard "$part/$parts" --output "$folder/part-$part-of-$parts.sqlite" \
  --workers "${SLURM_CPUS_PER_TASK:-1}"
