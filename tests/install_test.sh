#!/usr/bin/env bash
# Is what `cmake --install` puts somewhere enough for another program, and does it still work elsewhere?
# install_test.sh CMAKE BUILD_FOLDER SOURCE_FOLDER CXX
set -euo pipefail
cmake=$1 build=$2 source=$3 cxx=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$source/examples/host" "$work/host"  # outside the tree
cd "$work"
unset FLOPCAST_LIBRARY

fail() { echo "install_test: $*" >&2; exit 1; }

# The example says where its data are and that its threads agree; the step meets contention.
check_run() {
  local prefix=$1
  shift
  "$@" >out 2>err || { cat out err >&2; fail "$* ended with $?"; }
  grep -q "^data: $prefix/share/flopcast$" out || { cat out >&2; fail "$*: data are not those of $prefix"; }
  ! grep -q "(0 flows met another)" out || fail "$*: no flow met another"
}

"$cmake" --install "$build" --prefix "$work/first" >/dev/null
library=$(dirname "$(cd "$work/first" && find . -name libflopcast.so)")
[[ $library == ./lib* ]] || fail "libflopcast.so is not installed"

"$cmake" -S host -B out-of-tree -DCMAKE_PREFIX_PATH="$work/first" -DCMAKE_CXX_COMPILER="$cxx" >log || { cat log >&2; exit 1; }
"$cmake" --build out-of-tree >log || { cat log >&2; exit 1; }
check_run "$work/first" out-of-tree/host

share=$work/first/share
grep -q '^\.TH FLOPCAST' "$share/man/man1/flopcast-run.1" || fail "no manual page of run"
for file in bash-completion/completions/flopcast zsh/site-functions/_flopcast fish/vendor_completions.d/flopcast.fish; do
  grep -q "complete -- " "$share/$file" || fail "$file completes nothing"
done

mv first second
check_run "$work/second" env LD_LIBRARY_PATH="$work/second/$library" out-of-tree/host

export PKG_CONFIG_PATH=$work/second/$library/pkgconfig
read -ra flags < <(pkg-config --cflags --libs flopcast)
"$cxx" -std=c++20 host/main.cc -o by-pkg-config "${flags[@]}" -pthread
check_run "$work/second" env LD_LIBRARY_PATH="$work/second/$library" ./by-pkg-config

# Only what is meant to be seen is seen; and the program finds its data and SimGrid's module there too.
nm -D --defined-only "second/$library/libflopcast.so" | c++filt | grep -E ' [TWVDB] ' |
  grep -vE ' (flopcast::|(non-virtual )?(typeinfo|typeinfo name|vtable) for flopcast::)' >shown || true
[[ ! -s shown ]] || { head shown >&2; fail "symbols that are not Flopcast's are shown"; }
sed -n '/R"(/,/^)";/p' host/main.cc | sed 's/.*R"(//; /^)";/d' >narrow.textproto
second/bin/flopcast run narrow.textproto --unfolded >out 2>err || { cat out err >&2; fail "the installed program failed"; }
! grep -q "(0 flows met another)" out || fail "the installed program: no flow met another"
