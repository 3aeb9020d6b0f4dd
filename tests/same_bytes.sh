#!/usr/bin/env bash
# Do two builds of the program (g++ -O3 and clang++ -O1, say) give the same bytes for every scenario of the library?
# same_bytes.sh PROGRAM OTHER
set -euo pipefail
cd "$(dirname "$0")/.."
one=$1 other=$2 failed=0 count=0
for file in scenarios/library/*.textproto; do
  # What one refuses (a trace that is not at hand) the other has to refuse in the same words.
  if ! cmp -s <("$one" run "$file" --json - 2>&1) <("$other" run "$file" --json - 2>&1); then
    echo "differs: $file"
    failed=1
  fi
  count=$((count + 1))
done
((count > 0))
echo "$count scenarios, $([[ $failed == 0 ]] && echo "the same bytes" || echo "some differ")"
exit $failed
