#!/usr/bin/env bash
# Fails when a source is not as clang-format 14 writes it; --fix writes it so. Other versions break lines elsewhere: 77,
# which ctest takes for "skipped", where 14 is not installed (Debian 12 and Ubuntu 24.04 package clang-format-14).
set -euo pipefail
cd "$(dirname "$0")/.."
format=
for candidate in clang-format-14 clang-format; do
  ! "$candidate" --version 2>/dev/null | grep -q ' version 14\.' || { format=$candidate; break; }
done
[[ $format ]] || { echo "skipped: clang-format 14 is not installed"; exit 77; }
how=(--dry-run --Werror --ferror-limit=1)
[[ ${1:-} != --fix ]] || how=(-i)
folders=()
for folder in include sim hwmodels workloads scenarios analysis python examples tests; do
  [[ ! -d $folder ]] || folders+=("$folder")
done
find "${folders[@]}" \( -name '*.cc' -o -name '*.h' \) -print0 | xargs -0 -n 16 -P "$(nproc)" "$format" --style=file "${how[@]}"
