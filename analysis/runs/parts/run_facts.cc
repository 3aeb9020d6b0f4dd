#include "analysis/runs/parts/run_facts.h"

#include <fmt/format.h>

#include "analysis/render/text/format.h"

namespace flopcast {

std::string Comparison::verdict() const {
  switch (kind) {
    case PublishedKind::value:
      return has_error() ? format_error(error()) : "-";
    case PublishedKind::input:
      return "an input";
    case PublishedKind::at_least:
    case PublishedKind::at_most:
      return fmt::format("{} this: {}", kind == PublishedKind::at_least ? "at least" : "at most",
                         keeps_bound() ? "kept" : "missed");
  }
  return "";
}

std::string_view RunFacts::shared_by() const {
  if (sharing == Sharing::ideal) return "ideal";
  return solver == Solver::in_process ? "shared" : "simgrid";
}

}  // namespace flopcast
