#!/usr/bin/env bash
# Fails when a class has more member functions than one can keep in mind: 25, constructors and overrides included.
#   class_size.sh [--list [AT_LEAST]]    also prints each class with its count, most first
# Friends, defaulted and deleted functions, and what nested classes have of their own do not count.
set -u
most=25
list=-1
if [ "${1:-}" = --list ]; then list=${2:-0}; fi
cd "$(dirname "$0")/.." || exit 1

find include sim hwmodels workloads scenarios analysis python tests \( -name '*.h' -o -name '*.cc' \) -print0 |
  sort -z | xargs -0 awk -v most=$most -v list="$list" '
    # Comments, texts and characters mean nothing here; what is left goes to read(), character by character.
    function strip(line,   out, c, d, i, n, quote) {
      out = ""; n = length(line); quote = ""
      for (i = 1; i <= n; ++i) {
        c = substr(line, i, 1); d = substr(line, i, 2)
        if (in_comment) { if (d == "*/") { in_comment = 0; ++i } continue }
        if (raw != "") {
          if (substr(line, i, length(raw)) == raw) { i += length(raw) - 1; raw = "" }
          continue
        }
        if (quote != "") { if (c == "\\") ++i; else if (c == quote) quote = ""; continue }
        if (d == "//") break
        if (d == "/*") { in_comment = 1; ++i; continue }
        if (d == "R\"") {
          raw = substr(line, i + 2); sub(/\(.*/, "", raw); i += length(raw) + 2; raw = ")" raw "\""; out = out "0"; continue
        }
        # An apostrophe between digits divides them: 1%000.
        if (c == "\"" || (c == "\047" && substr(line, i - 1, 1) !~ /[0-9a-fA-F]/)) { quote = c; out = out "0"; continue }
        out = out c
      }
      return out " "
    }
    # The head of a declaration is a function: a name and its parameters, outside of templates and initialisers.
    function is_function(head,   i, c, angle, before) {
      if (head ~ /^ *(using|friend|typedef|static_assert|enum|namespace|extern)[^a-z_]/) return 0
      if (head ~ /(= *(default|delete) *$)/) return 0
      gsub(/alignas *\([^)]*\)|\[\[[a-z_]*\]\]|decltype *\([^)]*\)|requires *\([^)]*\)/, "", head)
      gsub(/operator *(\(\)|<=>|<<|>>|<=|>=|<|>|->|==|!=|=)/, "operator", head)
      angle = 0
      for (i = 1; i <= length(head); ++i) {
        c = substr(head, i, 1)
        if (c == "<") ++angle
        else if (c == ">") --angle
        else if (angle > 0) continue
        else if (c == "=" ) return 0
        else if (c == "(") return substr(head, 1, i - 1) ~ /[A-Za-z0-9_] *$/
      }
      return 0
    }
    function begin_class(head,   name) {
      name = head
      sub(/^.*(^|[^A-Za-z_])(class|struct|union) +/, "", name)
      gsub(/alignas *\([^)]*\)|FLOPCAST_API/, "", name)
      sub(/^ +/, "", name)
      sub(/[^A-Za-z0-9_:].*$/, "", name)
      ++depth; kind[depth] = "class"; class_name[depth] = name; count[depth] = 0; place[depth] = FILENAME ":" FNR
    }
    function declare(head) { if (kind[depth] == "class" && is_function(head)) ++count[depth] }
    function end_class() {
      if (count[depth] > most) {
        printf "%s: %s has %d member functions, more than %d\n", place[depth], class_name[depth], count[depth], most > "/dev/stderr"
        bad = 1
      }
      if (list >= 0 && count[depth] >= list) printf "%4d  %s  %s\n", count[depth], class_name[depth], place[depth]
    }
    function read(text,   i, c) {
      for (i = 1; i <= length(text); ++i) {
        c = substr(text, i, 1)
        if (c == "(") ++parens
        else if (c == ")") --parens
        if (c == "{" ) {
          if (parens == 0 && kind[depth] != "body" && head ~ /(^|[^A-Za-z_<,])(class|struct|union)( |$)/ && head !~ /\(.*\) *(const|noexcept|override|final)* *$/ && head !~ /^ *enum /) {
            begin_class(head)
          } else {
            # A function body, an initialiser, a namespace: what is in it is read for the classes of namespaces only.
            if (parens == 0 && kind[depth] == "class" && is_function(head)) { declare(head); ++depth; kind[depth] = "body of function" }
            else { ++depth; kind[depth] = (head ~ /^ *(inline +)?namespace|^ *extern 0/) ? "namespace" : "braces" }
            kept[depth] = head; parens_at[depth] = parens; parens = 0
            if (kind[depth] == "namespace" || kind[depth] == "body of function") kept[depth] = ""
          }
          head = ""
        } else if (c == "}") {
          if (kind[depth] == "class") { end_class(); head = "class" }
          else { head = kept[depth] == "" ? "" : kept[depth] " {}"; parens = parens_at[depth] }
          --depth
        } else if (c == ";" && parens == 0) {
          declare(head)
          head = ""
        } else if (c == ":" && head ~ /^ *(public|private|protected) *$/) {
          head = ""
        } else {
          head = head c
        }
      }
    }
    FNR == 1 { depth = 0; parens = 0; head = ""; in_comment = 0; raw = ""; kind[0] = "namespace" }
    /^ *#/ && raw == "" { next }
    { read(strip($0)) }
    END { exit bad }' | sort -rn
exit "${PIPESTATUS[2]}"
