#!/usr/bin/env bash
# Fails when an include runs against the order of the rooms, or when SimGrid is included outside sim/simgrid/.
# A room may include itself, rooms above it, and the public headers of include/flopcast/ where it implements them.
set -u
rooms=(
  sim/base sim/jobs sim
  hwmodels/chips hwmodels/kernels hwmodels/fabric hwmodels/calibration
  workloads/model workloads/software workloads/schedules workloads/collectives
  workloads/training workloads/training/memory workloads/training/prices workloads/training/passes workloads/training/step
  workloads/training/estimate workloads/chakra
  workloads/serving/base workloads/serving/cache workloads/serving/traffic workloads/serving/metrics workloads/serving/experts workloads/serving workloads/serving/session
  workloads/rl
  scenarios/proto scenarios/read/text scenarios/read/fields scenarios/read/calibrations scenarios/read/libraries
  scenarios/imports/runs/shell scenarios/imports
  scenarios/policy scenarios/resolve/serving scenarios/resolve/laws scenarios/resolve/rl scenarios/resolve scenarios/studies
  analysis/render/text analysis/render/chart
  analysis/runs/parts analysis/runs/training/timeline analysis/runs/training analysis/runs/training/show
  analysis/runs/serving/exchange analysis/runs/serving analysis/runs/rl analysis/runs/chakra analysis/runs
  analysis/money/sums analysis/money/prices analysis/money/study analysis/money
  analysis/face
  analysis/studies analysis/studies/compare analysis/studies/claims analysis/studies/curve analysis/studies/explain analysis/studies/plan
  analysis/studies/policy analysis/studies/size analysis/studies/sweep/study analysis/studies/sweep/store analysis/studies/sweep
  analysis/evidence/published analysis/evidence/calibrate analysis/evidence/validate analysis/app
  analysis/cli/terminal analysis/cli/line analysis/cli/run analysis/cli/exchange analysis/cli/studies analysis/cli/evidence
  analysis/cli/library analysis/cli
)
folders='sim|hwmodels|workloads|scenarios|analysis'

# sim/load_simgrid.cc opens the module that sim/simgrid/ is, by the one header made for that.
grep -rnoE "^#include [<\"]($folders)/[^\">]+" --include='*.h' --include='*.cc' sim hwmodels workloads scenarios analysis |
  awk -v list="${rooms[*]}" '
    BEGIN { n = split(list, room, " ") }
    function place(path,   i, best, length_of_best) {  # the longest room that the path lies in
      best = 0; length_of_best = 0
      for (i = 1; i <= n; i++)
        if (index(path, room[i] "/") == 1 && length(room[i]) > length_of_best) { best = i; length_of_best = length(room[i]) }
      return best
    }
    {
      split($0, part, ":")
      from = part[1]; to = $0; sub(/.*#include [<"]/, "", to)
      if (!place(from) || !place(to)) { printf "%s:%s: %s is in no room\n", from, part[2], place(from) ? to : from; bad = 1 }
      else if (place(to) > place(from)) {
        printf "%s:%s: %s may not include %s, which stands below it\n", from, part[2], room[place(from)], to; bad = 1
      }
    }
    END { exit bad }' >&2
failed=$((PIPESTATUS[1] != 0))

if grep -rnE '#include [<"]simgrid/' --include='*.h' --include='*.cc' sim hwmodels workloads scenarios analysis |
    grep -v '^sim/simgrid/'; then
  echo "^ only sim/simgrid/ may include SimGrid" >&2
  failed=1
fi
# The public headers stand alone: the standard library and each other.
if grep -rnE '^ *#include' include/flopcast | grep -vE '#include ("flopcast/[a-z_]+\.h"|<[a-z_]+>)$'; then
  echo "^ include/flopcast/ may include only the standard library and its own headers" >&2
  failed=1
fi
exit $failed
