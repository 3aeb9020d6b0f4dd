#!/usr/bin/env bash
# Does the wrapper build when it must, and only then? Runs a copy of it in a toy tree, with stand-ins for the tools.
set -eu
wrapper=$PWD/flopcast
toy=$(mktemp -d)
trap 'rm -rf "$toy"' EXIT
cd "$toy"

mkdir -p tree/{cmake,include,python,sim,hwmodels,workloads,scenarios/library,analysis,tests} tools elsewhere
touch tree/CMakeLists.txt tree/CMakePresets.json tree/sim/{graph.cc,replay.cc} tree/scenarios/library/one.textproto
cp "$wrapper" tree/flopcast
ln -s "$toy/tree/flopcast" elsewhere/link

tool() { { echo '#!/bin/sh'; cat; } >"tools/$1"; chmod +x "tools/$1"; }
tool dpkg-query <<<"sed -n 's/^  \"\\([a-z0-9+-]*\\) .*/\\1=installed /p' $toy/tree/flopcast | tr -d '\\n'"
tool cmake <<<"mkdir -p build/release/python; echo $toy/tools/interpreter >build/release/python/interpreter
touch build/release/build.ninja"
tool interpreter <<<'printf "<%s>" "${PYTHONPATH#"${PYTHONPATH%/build/*}"}" "$@"; exit 8'
tool ninja <<END
[ ! -e $toy/broken ] || { echo "error: broken"; exit 1; }
echo . >>$toy/builds
printf '#!/bin/sh\nprintf "<%%s>" "\$@"\nexit 7\n' >$toy/tree/build/release/flopcast
chmod +x $toy/tree/build/release/flopcast
END
export PATH=$toy/tools:$PATH

failed=0
expect() {  # what, found, expected
  [[ $2 == "$3" ]] || { echo "$1: found '$2', expected '$3'"; failed=1; }
}
builds() { wc -l <builds; }
run() { "${front:-tree/flopcast}" "$@" 2>stderr && echo " 0" || echo " $?"; }

expect "arguments and exit code pass; stdout is the program's alone" "$(run run 'a b' --x)" "<run><a b><--x> 7"
expect "the first call builds" "$(builds)" 1
run list >/dev/null
expect "nothing changed, nothing built" "$(builds)" 1
expect "and nothing said" "$(cat stderr)" ""
touch tree/scenarios/library/one.textproto
run list >/dev/null
expect "data files are read where they are" "$(builds)" 1
touch tree/sim/graph.cc
run list >/dev/null
expect "a changed source is built" "$(builds)" 2
rm tree/sim/replay.cc
run list >/dev/null
expect "a removed source is noticed" "$(builds)" 3
expect "through a link, from elsewhere" "$(cd elsewhere && front=./link run 'c d')" "<c d> 7"
touch tree/sim/graph.cc broken
expect "a failed build is not run" "$(run list)" " 1"
rm broken
expect "and is tried again" "$(run list) $(builds)" "<list> 7 4"
expect "the module's interpreter starts, and has the module" "$(PYTHONPATH='' run python 'a b')" \
  "</build/release/python><a b> 8"
expect "a module is a target of its own" "$(builds)" 5
run python >/dev/null
expect "that is built once" "$(builds)" 5
mv tree moved
sed -i "s|$toy/tree|$toy/moved|" tools/*
expect "a moved tree is built anew" "$(front=moved/flopcast run list) $(builds)" "<list> 7 6"
exit $failed
