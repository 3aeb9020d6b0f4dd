#!/usr/bin/env bash
# Which sources the fast tests run less than a share of: coverage.sh [PERCENT], after
#   cmake --preset coverage && ninja -C build/coverage flopcast_tests && ctest --preset coverage
# A line per file below the share (90 % unless told), the least covered first; then the share of all lines.
set -euo pipefail
least=${1:-90}
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..
root=$(readlink -f "$root")
find "$root/build/coverage" -name '*.gcda' -print0 |
  xargs -0 -n 20 gcov --no-output --source-prefix "$root" --relative-only 2>/dev/null |
  awk -v least="$least" '
    /^File / { split($0, part, "\047"); file = part[2] }
    /^Lines executed/ && file ~ /^(sim|hwmodels|workloads|scenarios|analysis)\/.*\.cc$/ {
      split($0, figure, /[:% ]+/)
      share = figure[3]; lines = figure[5]
      if (!(file in most) || share > most[file]) { most[file] = share; size[file] = lines }
      file = ""
    }
    END {
      for (file in most) {
        run += most[file] * size[file] / 100; all += size[file]
        if (most[file] < least) printf "%6.1f %%  %s (%d lines)\n", most[file], file, size[file] | "sort -n"
      }
      close("sort -n")
      printf "%.1f %% of %d lines\n", all ? 100 * run / all : 0, all
    }'
