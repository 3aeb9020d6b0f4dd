#!/usr/bin/env bash
# Has every type of the headers a name of its own? Two types of one name in one namespace are one to the linker, which keeps one of
# their destructors for both: nothing warns, and the program crashes when it ends. Run in the root of the tree.
set -euo pipefail
twice=$(grep -rhoE '^(struct|class|enum class|union) [A-Z][A-Za-z0-9_]*( final)?( :[^;]*)? \{' --include='*.h' \
  sim hwmodels workloads scenarios analysis |
  sed -E 's/^(struct|class|enum class|union) ([A-Za-z0-9_]+).*/\2/' | sort | uniq -d)
[[ -z $twice ]] || {
  for name in $twice; do
    echo "$name is defined more than once:"
    grep -rnE "^(struct|class|enum class|union) $name( final)?( :[^;]*)? \{" --include='*.h' sim hwmodels workloads scenarios analysis
  done
  exit 1
}
