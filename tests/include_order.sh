#!/usr/bin/env bash
# Fails when an include runs against the order of the folders, or when SimGrid is included outside sim/simgrid/.
set -u
order=(sim hwmodels workloads scenarios analysis)
failed=0
for ((i = 0; i < ${#order[@]}; i++)); do
  for ((j = i + 1; j < ${#order[@]}; j++)); do
    if grep -rnE "#include [<\"]${order[j]}/" --include='*.h' --include='*.cc' "${order[i]}"; then
      echo "^ ${order[i]}/ may not include ${order[j]}/: the order is ${order[*]}" >&2
      failed=1
    fi
  done
done
if grep -rnE '#include [<"]simgrid/' --include='*.h' --include='*.cc' "${order[@]}" | grep -v '^sim/simgrid/'; then
  echo "^ only sim/simgrid/ may include SimGrid" >&2
  failed=1
fi
exit $failed
