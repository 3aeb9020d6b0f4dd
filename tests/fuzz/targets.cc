#include "tests/fuzz/targets.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "analysis/render/text/csv.h"
#include "analysis/runs/chakra/chakra_report.h"
#include "analysis/runs/serving/exchange/trace_stats_report.h"
#include "analysis/studies/claims/claims.h"
#include "flopcast/errors.h"
#include "flopcast/metrics.h"
#include "flopcast/run.h"
#include "flopcast/scenario.h"
#include "scenarios/imports/chakra_import.h"
#include "scenarios/imports/import_model.h"
#include "scenarios/imports/runs/import_run.h"
#include "scenarios/policy/export_rules.h"
#include "scenarios/read/text/date.h"
#include "scenarios/read/text/json_file.h"
#include "scenarios/read/text/quantity.h"
#include "scenarios/studies/study.h"
#include "sim/replay.h"
#include "tests/analysis/environment.h"
#include "workloads/schedules/schedule.h"

namespace flopcast::fuzz {
namespace {

void demand(bool holds, const std::string& what) {
  if (!holds) throw Finding(what);
}

/// An input as a file, for readers that take a path.
class File {
 public:
  explicit File(std::string_view contents) : descriptor_(::memfd_create("input", 0)) {
    demand(descriptor_ >= 0 &&
               ::write(descriptor_, contents.data(), contents.size()) == static_cast<ssize_t>(contents.size()),
           "no memory for the input");
  }
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// What a reader may throw of a bad input, and what its diagnostics have to be.
template <class Read>
void reading(const Read& read) {
  try {
    read();
  } catch (const InputError& error) {
    demand(!error.diagnostics().empty(), "an InputError without a diagnostic");
    for (const Diagnostic& d : error.diagnostics()) {
      demand(!d.found.empty() || !d.expected.empty(), "a diagnostic that says nothing");
      demand(d.suggestion.empty() || d.found.find("\"" + d.suggestion + "\"") == std::string::npos,
             "\"did you mean\" offers the word that was given: " + to_string(d));
    }
  }
}

void quantities(std::string_view input) {
  for (int dimension = 0; dimension <= static_cast<int>(Dimension::failure_rate); ++dimension) {
    const auto found = parse_quantity(input, static_cast<Dimension>(dimension));
    const double* const value = std::get_if<double>(&found);
    if (value == nullptr) continue;
    demand(std::isfinite(*value), "a quantity that is not finite");
    // Per hour and in other units doubles end earlier; fields end at 1e18.
    constexpr double kLeast = 1e-300, kMost = 1e300;
    if (std::abs(*value) > kMost) continue;
    const auto again =
        parse_quantity(quantity_text(*value, static_cast<Dimension>(dimension)), static_cast<Dimension>(dimension));
    const double* const same = std::get_if<double>(&again);
    demand(same != nullptr && std::abs(*same - *value) <= 1e-12 * std::max(std::abs(*value), kLeast),
           "a quantity that its own text is not");
  }
}

void dates(std::string_view input) {
  const auto day = parse_date(std::string(input));
  if (day) demand(parse_date(to_string(*day)) == day, "a day that its own text is not");
}

void tables(std::string_view input) {
  reading([&] {
    const CsvTable table = parse_csv(std::string(input), "input.csv");
    for (std::size_t row = 0; row < table.size(); ++row)
      if (table.has("value")) demand(std::isfinite(table.number(row, "value")), "a number that is not finite");
  });
}

void json(std::string_view input) {
  reading([&] { parse_json_object(std::string(input), "input.json"); });
}

void configs(std::string_view input) {
  const File file(input);
  reading([&] {
    const ImportedModel imported = import_model(file.path());
    demand(!imported.text.empty(), "an imported model without a text");
  });
}

/// A line each for the number of ranks, of micro-batches, and the table.
void schedule_tables(std::string_view input) {
  ScheduleRequest request;
  request.ranks = 4;
  request.micro_batches = 8;
  reading([&] {
    const Schedule schedule = parse_schedule(std::string(input), "input.txt", request);
    demand(!to_text(schedule).empty() || schedule.order.empty(), "a schedule without a text");
  });
}

void traces(std::string_view input) {
  const File file(input);
  reading([&] {
    const TraceStats stats = trace_stats({.path = file.path()});
    demand(std::isfinite(stats.hit_bound()), "a hit rate that is not finite");
    demand(!trace_stats_json("input", "fuzz", stats).empty(), "no figures");
  });
}

/// A rank's execution trace, run by three ranks.
void chakra(std::string_view input) {
  const File file(input);
  reading([&] {
    const ChakraJob job = load_chakra({file.path(), "", 3});
    if (job.trace(0).nodes.size() > 10'000) return;
    static const Scenario kScenario = testing::resolved("all_reduce_8_h100");
    const ChakraReplay found =
        replay_chakra(job, kScenario.cluster, {NodePricing::automatic, Precision::bf16, nullptr}, {});
    demand(std::isfinite(found.report.time.value()) && found.report.time >= Seconds(0), "a time that is none");
    demand(!chakra_json(found.report, "fuzz").empty(), "no figures");
  });
}

/// The name of a file, whose ending says how it is written, a line end, and its text; a command where there is no name.
void launches(std::string_view input) {
  const std::size_t end = std::min(input.find('\n'), input.size());
  const std::string name(input.substr(0, end)), text(input.substr(std::min(end + 1, input.size())));
  reading([&] {
    const ImportedRun run = import_run(text, name.find('/') == std::string::npos ? name : "command",
                                       testing::environment().data().libraries(),
                                       {.model = "llama-3.1-8b", .gpus = 8, .sequence_length = 1024});
    demand(!run.text.empty(), "an imported run without a text");
    try {
      resolve_text(run.text, "imported.textproto", testing::environment());
    } catch (const InputError&) {  // a plan that cannot be is refused as any other
    }
  });
}

void rules(std::string_view input) {
  const File file(input);
  const std::array files{file.path()};
  reading([&] {
    const RuleBook book = load_rule_book(testing::environment().data().libraries(), files);
    demand(!book.rules().empty(), "rules of the program that are gone");
  });
}

void claims(std::string_view input) {
  const File file(input);
  reading([&] { load_claims(file.path()); });
}

void studies(std::string_view input) {
  const File file(input);
  reading([&] { load_study(testing::environment().data().libraries(), file.path()); });
}

/// The text of a scenario, or an override before a line of dashes and the text.
ResolvedScenario resolved(std::string_view input) {
  constexpr std::string_view kDivider = "\n--\n";
  const std::size_t divider = input.find(kDivider);
  if (divider == std::string_view::npos)
    return resolve_text(std::string(input), "input.textproto", testing::environment());
  return resolve_text(std::string(input.substr(divider + kDivider.size())), "input.textproto", testing::environment(),
                      {std::string(input.substr(0, divider))});
}

void scenarios(std::string_view input) {
  reading([&] { check(resolved(input)); });
}

/// Work that takes longer than a moment is not what is looked for here.
constexpr std::uint64_t kMostDone = 60'000;
constexpr std::size_t kMostGpus = 512;

Report run_small(const ResolvedScenario& scenario, Sharing sharing) {
  RunSettings settings;
  settings.sharing = sharing;
  settings.allow_oom = true;
  settings.progress = [](const Progress& progress) {
    return progress.done < kMostDone && progress.all < 20 * kMostDone;
  };
  return run(scenario, testing::environment(), settings);
}

double number_of(const Report& report, std::string_view name) {
  for (const Metric& metric : metrics(report))
    if (metric.name == name) return metric.number().value_or(NAN);
  return NAN;
}

void look_at(const Report& report) {
  for (const Metric& metric : metrics(report))
    if (const auto number = metric.number()) demand(std::isfinite(*number), metric.name + " is not finite");
  google::protobuf::Struct message;
  demand(google::protobuf::util::JsonStringToMessage(report.json(), &message).ok(), "JSON that no reader takes");
  demand(!report.text().empty(), "a report without a text");
}

void look_at_step(const Report& report) {
  const double step = number_of(report, "training.step_time_s");
  double sum = 0;
  for (const char* part :
       {"forward_s", "backward_input_s", "backward_weight_s", "overlapped_s", "bubble_s", "optimizer_s"})
    sum += number_of(report, std::string("training.") + part);
  demand(step > 0, "a step that takes no time");
  demand(std::abs(sum - step) <= 1e-6 * step, "parts that do not sum to the step");
}

void look_at_service(const Report& report) {
  const double left = number_of(report, "serving.completed") + number_of(report, "serving.rejected") +
                      number_of(report, "serving.lost");
  demand(left <= number_of(report, "serving.requests"), "more requests leave than arrive");
}

void runs(std::string_view input) {
  reading([&] {
    const ResolvedScenario scenario = resolved(input);
    if (scenario.gpus() > static_cast<int>(kMostGpus)) return;
    try {
      const Report shared = run_small(scenario, Sharing::max_min);
      look_at(shared);
      if (scenario.work() == Work::serving) look_at_service(shared);
      if (scenario.work() != Work::training) return;
      look_at_step(shared);
      const Report ideal = run_small(scenario, Sharing::ideal);
      demand(number_of(ideal, "training.step_time_s") <= number_of(shared, "training.step_time_s") * (1 + 1e-6),
             "links without contention are slower");
    } catch (const Interrupted&) {
    } catch (const StuckError& error) {
      throw Finding(error.what());
    }
  });
}

constexpr std::array kTargets{
    Target{"quantity", quantities}, Target{"date", dates},         Target{"csv", tables},
    Target{"json", json},           Target{"config", configs},     Target{"schedule", schedule_tables},
    Target{"trace", traces},        Target{"rules", rules},        Target{"claims", claims},
    Target{"study", studies},       Target{"scenario", scenarios}, Target{"run", runs},
    Target{"chakra", chakra},       Target{"launch", launches}};

}  // namespace

std::span<const Target> targets() { return kTargets; }

const Target* find_target(std::string_view name) {
  for (const Target& target : kTargets)
    if (target.name == name) return &target;
  return nullptr;
}

}  // namespace flopcast::fuzz
