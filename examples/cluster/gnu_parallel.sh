#!/usr/bin/env bash
# A sweep in shards over machines that ssh reaches, by GNU parallel; results come back and are merged.
#
#   examples/cluster/gnu_parallel.sh my_study.textproto results.sqlite 16 --sshlogin node1,node2 --workdir "$PWD"
#
# Without --sshlogin the shards run here, as many at a time as there are cores. flopcast must be on the path everywhere,
# and the folder must be shared (or add --transferfile and --return).
set -euo pipefail
study=${1:?a study: a file or a name}
results=${2:?a SQLite file for the results}
parts=${3:?how many shards}
shift 3
shards=()
for ((part = 1; part <= parts; ++part)); do shards+=("$results.$part-of-$parts"); done
parallel "$@" --halt soon,fail=1 "${FLOPCAST:-flopcast}" sweep "$study" --workers 1 --shard "{}/$parts" \
  --output "$results.{}-of-$parts" ::: $(seq "$parts")
"${FLOPCAST:-flopcast}" sweep merge "$results" "${shards[@]}"
