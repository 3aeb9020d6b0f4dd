#!/usr/bin/env bash
# A sweep as one Slurm job over MPI: candidates go to whoever is free, rank 0 writes the one file of results. Started
# again, it goes on where it stopped.
#
#   sbatch --ntasks=256 examples/cluster/slurm_mpi.sh my_study.textproto results.sqlite
#
# --enable-recovery (Open MPI 4): a rank that dies does not end the others; what it was working on is run again.
#SBATCH --job-name=flopcast-sweep
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail
study=${1:?a study: a file or a name}
results=${2:?a SQLite file for the results}
exec mpirun --enable-recovery -n "${SLURM_NTASKS:?run by sbatch}" "${FLOPCAST:-flopcast}" sweep "$study" --output "$results"
