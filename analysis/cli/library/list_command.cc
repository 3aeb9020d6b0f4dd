// `flopcast list`: what the libraries hold.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/money/study/cost_metrics.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/text_table.h"
#include "analysis/runs/metric_output.h"
#include "scenarios/read/text/text_file.h"
#include "workloads/rl/algorithms.h"
#include "workloads/serving/policies.h"
#include "workloads/serving/router.h"
#include "workloads/serving/traffic/clients.h"

namespace flopcast {
namespace {

struct ListArguments {
  std::string kind;
  std::vector<std::string> library_folders;
  bool markdown = false;
};

// One entry: its name beside its title, what one compares it by, where that was read.
std::string entry(const LibraryRow& row, std::size_t name_width, const TextStyle& style) {
  const std::string indent(name_width + 2, ' ');
  const auto block = [&](const std::string& text) {
    return text.empty() ? std::string() : indent + wrap(text, style.width() - indent.size(), indent) + "\n";
  };
  std::string out = style.bold(pad_right(row.name, name_width)) + "  " +
                    wrap(row.title, style.width() - indent.size(), indent) + "\n" + block(row.figures);
  if (!row.source.empty()) out += style.dim(block("source: " + row.source));
  return out;
}

/// Policies of serving replicas: no files, but rows of tables of the program.
template <class Row>
std::vector<LibraryRow> policy_rows(std::span<const Row> table) {
  std::vector<LibraryRow> rows;
  for (const Row& row : table)
    rows.push_back({std::string(row.name), std::string(row.title), "", std::string(row.source)});
  return rows;
}

constexpr const char* kKinds[] = {"gpus",        "nodes",      "fabrics",    "clusters", "models",
                                  "software",    "engines",    "frameworks", "clients",  "schedules",
                                  "collectives", "routers",    "attention",  "batching", "admission",
                                  "preemption",  "algorithms", "metrics",    "scenarios"};

std::vector<LibraryRow> rows_of(const ListArguments& arguments) {
  if (arguments.kind == "algorithms") return policy_rows(algorithms());
  if (arguments.kind == "routers") return policy_rows(routers());
  if (arguments.kind == "clients") return policy_rows(benchmark_clients());
  if (arguments.kind == "batching") return policy_rows(batching_policies());
  if (arguments.kind == "admission") return policy_rows(admission_policies());
  if (arguments.kind == "preemption") return policy_rows(preemption_policies());
  if (arguments.kind == "attention")
    return list_library(LibraryKind::attention_kinds, Libraries::discover(arguments.library_folders));
  const std::vector<std::string> kinds(std::begin(kKinds), std::end(kKinds));
  if (std::find(kinds.begin(), kinds.end(), arguments.kind) == kinds.end())
    throw InputError(Diagnostic{"", 0, 0, "KIND", quoted(arguments.kind), one_of(arguments.kind, kinds),
                                nearest_name(arguments.kind, kinds)});
  return list_library(library_kind(arguments.kind), Libraries::discover(arguments.library_folders));
}

void show_entries(const ListArguments& arguments) {
  if (arguments.markdown && arguments.kind != "metrics")
    throw InputError(
        Diagnostic{"", 0, 0, "--markdown", quoted(arguments.kind), "metrics, which docs/metrics.md is of", ""});
  if (arguments.kind == "metrics") {
    const std::vector<MetricKind> kinds = all_metric_kinds();
    const TextStyle style = terminal_style(stdout);
    put(arguments.markdown ? metric_reference_markdown(kinds) : metric_reference(kinds, style));
    return;
  }
  const std::vector<LibraryRow> rows = rows_of(arguments);
  std::size_t name_width = 0;
  for (const LibraryRow& row : rows) name_width = std::max(name_width, display_width(row.name));
  const TextStyle style = terminal_style(stdout);
  std::string out;
  for (const LibraryRow& row : rows) out += entry(row, name_width, style);
  put(out);
}

}  // namespace

void add_list_command(Command& program) {
  program.add_command<ListArguments>(
      "list", "Show what the libraries hold, with sources",
      [](Command& command, ListArguments& arguments) {
        command.option("KIND", arguments.kind, fmt::format("One of {}", fmt::join(kKinds, ", ")))
            .offers({std::begin(kKinds), std::end(kKinds)})
            .required();
        add_library_option(command, arguments.library_folders);
        command.flag("--markdown", arguments.markdown, "Of metrics: as a page of Markdown");
      },
      show_entries);
}

}  // namespace flopcast
