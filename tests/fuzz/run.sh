#!/usr/bin/env bash
# libFuzzer on every target for a share of the time: run.sh FUZZER MINUTES. Begins with the kept corpus; what is new and
# interesting stays in corpus/ beside the fuzzer, what breaks something in found/ there. Fails when something did.
# A hang is 20 s, too much memory 2 GB, as for users.
set -euo pipefail
fuzzer=$(readlink -f "$1") minutes=$2
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
mapfile -t targets < <(cd "$here/corpus" && ls)
seconds=$((minutes * 60 / ${#targets[@]}))
((seconds > 0)) || seconds=1
cd "$(dirname "$fuzzer")"
mkdir -p found
failed=0 executions=0
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target"
  log=found/$target.log
  FLOPCAST_FUZZ_TARGET=$target "$fuzzer" "corpus/$target" "$here/corpus/$target" -max_total_time="$seconds" -timeout=20 \
    -rss_limit_mb=2048 -max_len=16384 -artifact_prefix="found/$target-" -print_final_stats=1 >"$log" 2>&1 || {
    failed=1
    echo "$target: something was found, see $PWD/$log and $PWD/found/$target-*"
  }
  count=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
  echo "$target: ${count:-0} executions"
  executions=$((executions + ${count:-0}))
done
echo "$executions executions"
exit $failed
