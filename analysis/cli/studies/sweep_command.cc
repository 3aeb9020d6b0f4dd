// `flopcast sweep`: all candidates of a study, kept in one file.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/failure.h"
#include "analysis/cli/line/output.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/studies/sweep_results.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/text_table.h"
#include "analysis/studies/sweep/sweep_run.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/text/text_file.h"
#include "sim/jobs/mpi_jobs.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

struct SweepArguments {
  std::string study, file, csv, shard;
  std::vector<std::string> sets, library_folders;
  int workers = 0;
  bool retry = false, fresh = false, list = false;
};

/// "2/7"
struct SweepShard {
  int part = 1, of = 1;
};

SweepShard shard_of(const std::string& text) {
  SweepShard out;
  if (text.empty()) return out;
  const char *begin = text.data(), *end = begin + text.size();
  const auto [slash, first] = std::from_chars(begin, end, out.part);
  const bool split = first == std::errc() && slash != end && *slash == '/';
  const auto [rest, second] = std::from_chars(split ? slash + 1 : end, end, out.of);
  if (!split || second != std::errc() || rest != end || out.part < 1 || out.of < out.part || out.of > 100'000) {
    throw InputError(Diagnostic{"", 0, 0, "--shard", quoted(text), "the part and how many there are, such as 2/7", ""});
  }
  return out;
}

std::string store_file(const SweepArguments& a, const SweepStudy& study, const SweepShard& shard) {
  if (!a.file.empty()) return a.file;
  return shard.of == 1 ? study.name + ".sqlite" : fmt::format("{}.{}-of-{}.sqlite", study.name, shard.part, shard.of);
}

std::string settings_of(const SweepStudy& study, const SweepCandidate& candidate) {
  std::vector<std::string> out;
  std::size_t at = 0;
  for (const SweepAxis& axis : study.axes)
    for (const AxisColumn& column : axis.columns)
      out.push_back(fmt::format("{}={}", column.name, candidate.cells[at++]));
  return fmt::format("{}", fmt::join(out, "  "));
}

void list_candidates(const SweepStudy& study, const SweepShard& shard) {
  std::uint64_t place = 0;
  for_each_wanted(study, [&](const SweepCandidate& candidate) {
    if (!in_shard(study, place++, candidate.number, shard.part, shard.of)) return true;
    put(fmt::format("{:>6}  {}\n", candidate.number, settings_of(study, candidate)));
    return true;
  });
}

std::string counted(std::uint64_t count, const char* what) {
  return fmt::format("{} {}{}", format_integer(static_cast<double>(count)), what, count == 1 ? "" : "s");
}

void tell_faults(const SqliteFile& file, const StoredSweep& sweep) {
  constexpr int kShown = 5;
  const std::uint64_t all = sweep.counts.refused + sweep.counts.failed;
  if (all == 0) return;
  const std::size_t width = terminal_style(stdout).width();
  show("\n" +
       wrap(fmt::format("{} gave no result ({} refused, {} failed); --retry runs them again", counted(all, "candidate"),
                        sweep.counts.refused, sweep.counts.failed),
            width, "") +
       "\n");
  for (const StoredFault& fault : stored_faults(file, sweep, kShown))
    show(fmt::format("  {:>6}  {}\n", fault.number,
                     wrap(fault.error.substr(0, fault.error.find('\n')), width - 10, "          ")));
  if (all > kShown) show(fmt::format("          and {} more: `flopcast sweep show {}`\n", all - kShown, file.path()));
}

/// Chips are varied, and the price of one of them stands for all, whatever dollars are kept.
bool one_price_for_all(const SweepStudy& study) {
  const auto varies = [&](std::string_view path) {
    return std::any_of(study.axes.begin(), study.axes.end(), [&](const SweepAxis& axis) {
      return std::any_of(axis.values.begin(), axis.values.end(), [&](const AxisValue& value) {
        return std::any_of(value.sets.begin(), value.sets.end(),
                           [&](const std::string& assignment) { return assignment.starts_with(path); });
      });
    });
  };
  const auto base = study.bases.find(study.scenario);
  if (base == study.bases.end() || !base->second.message->price().has_gpu()) return false;
  const bool chips = varies("cluster.node=") || varies("cluster.base=") || varies("cluster.node_override.gpu=");
  const bool dollars = std::any_of(study.keep.begin(), study.keep.end(),
                                   [](const std::string& name) { return name.find("usd") != std::string::npos; });
  return chips && dollars && base->second.message->price().model() == "stated" && !varies("price");
}

void tell(const SweepStudy& study, const SweepSummary& summary, const std::string& file) {
  if (summary.other_build)
    remark(fmt::format("flopcast: {} results of another build of flopcast were kept; --fresh runs all again",
                       summary.kept));
  if (summary.interrupted) return;
  show(wrap(fmt::format("{}: {} of {}, {} run now, {} kept; in {}", study.name, counted(summary.wanted, "candidate"),
                        format_integer(static_cast<double>(study.product)), summary.run.done, summary.kept, file),
            terminal_style(stdout).width(), "  ") +
       "\n");
  if (one_price_for_all(study))
    show(wrap(fmt::format("The study varies chips, and the price that {} states for its own, {}, stands for them all: "
                          "dollars do not tell which chip is cheaper. A joint axis gives each its price.gpu.",
                          study.scenario, study.bases.at(study.scenario).message->price().gpu()),
              terminal_style(stdout).width(), "") +
         "\n");
  const SqliteFile store = open_store(file, SqliteFile::Access::read);
  tell_faults(store, stored_sweep(store, study.name));
}

/// Processes of one rank; only rank 0 has results in the end.
int workers_of(const SweepArguments& a, bool over_mpi) {
  return over_mpi && a.workers <= 0 ? 1 : workers_or_cores(a.workers);
}

void check_mpi(const SweepArguments& a) {
  if (!mpi_module_exists()) {
    throw InputError(Diagnostic{"", 0, 0, "", "a start by mpirun",
                                "a flopcast that was built where MPI is found (libopenmpi-dev)", "",
                                "--shard 1/8 and so on, then sweep merge"});
  }
  if (!a.shard.empty() || a.list)
    throw InputError(Diagnostic{"", 0, 0, a.list ? "--list" : "--shard", "a start by mpirun", "either", ""});
}

/// Rank 0 of mpirun: hands out candidates. The workers are forked before MPI begins, which does not care for forks
/// later.
MakeJobHost mpi_host(int workers) {
  return [workers](const std::function<std::string(std::uint64_t)>& work) -> std::unique_ptr<JobHost> {
    auto own = std::make_unique<WorkerPool>(workers, work);
    return std::make_unique<MpiJobHost>(start_mpi(), std::move(own));
  };
}

void serve_rank(const SweepArguments& a) {
  const Environment environment = load_environment(a.library_folders);
  const SweepStudy study = load_sweep(a.study, environment, a.sets);
  auto own = std::make_unique<WorkerPool>(workers_of(a, true), sweep_work(study, environment));
  serve_jobs(start_mpi(), std::move(own));
}

void sweep(const SweepArguments& a) {
  if (a.study.empty())
    throw InputError(Diagnostic{"", 0, 0, "STUDY", "nothing", "a study: a file, or a name of the libraries", ""});
  const SweepShard shard = shard_of(a.shard);
  const OutputOption outputs[] = {{"--csv", a.csv}};
  check_outputs(outputs);
  const bool over_mpi = started_by_mpi();
  if (over_mpi) check_mpi(a);
  if (over_mpi && mpi_rank_of_environment() > 0) return serve_rank(a);
  const Environment environment = load_environment(a.library_folders);
  const SweepStudy study = load_sweep(a.study, environment, a.sets);
  const StopFlag interrupt;
  if (a.list) return list_candidates(study, shard);
  ProgressLine line;
  SweepOptions options;
  options.file = store_file(a, study, shard);
  options.workers = workers_of(a, over_mpi);
  if (over_mpi) options.host = mpi_host(options.workers);
  options.shard = shard.part;
  options.shards = shard.of;
  options.retry = a.retry;
  options.fresh = a.fresh;
  line.stage(study.name);
  options.progress = [&line](const SweepProgress& progress) {
    line.update(progress.done, std::max<std::uint64_t>(progress.all, 1), "candidates");
    return !StopFlag::raised();
  };
  const SweepSummary summary = run_sweep(study, environment, options);
  line.clear();
  tell(study, summary, options.file);
  if (summary.interrupted) {
    throw InterruptedAndKept(fmt::format("interrupted; {} are kept in {}: the same command goes on from there",
                                         counted(summary.stored.all(), "result"), options.file));
  }
  if (!a.csv.empty()) {
    const SqliteFile store = open_store(options.file, SqliteFile::Access::read);
    write_text(a.csv, to_csv(store, stored_sweep(store, study.name)));
  }
  // A script must not take for a success what answers nothing; of a shard others may have the answers.
  if (shard.of == 1 && summary.wanted > 0 && summary.stored.ok == 0) {
    throw InputError(Diagnostic{study.file, 0, 0, "",
                                fmt::format("{} of which none gave a result", counted(summary.wanted, "candidate")),
                                "at least one that does", ""});
  }
}

// Merge.

struct MergeArguments {
  std::string into;
  std::vector<std::string> from;
};

void merge(const MergeArguments& a) {
  const MergeResult result = merge_stores(a.into, a.from);
  show(fmt::format("{} from {} added to {}\n", counted(result.rows, "result"), counted(result.files, "file"), a.into));
  for (const StoredSweep& sweep : stored_sweeps(open_store(a.into, SqliteFile::Access::read))) {
    if (sweep.wanted > sweep.counts.all())
      remark(fmt::format("flopcast: {} of {} are missing in {}: another shard's, or one that was interrupted",
                         counted(sweep.wanted - sweep.counts.all(), "candidate"),
                         format_integer(static_cast<double>(sweep.wanted)), sweep.name));
  }
}

}  // namespace

void add_sweep_command(Command& program) {
  Command command = program.add_command<SweepArguments>(
      "sweep", "Run all candidates of a study on every core, and keep what they give; goes on where it stopped",
      [](Command& c, SweepArguments& a) {
        c.option("STUDY", a.study, "Study with axes: a file, or a name of scenarios/studies").values(Values::studies);
        c.option("--output", a.file,
                 "SQLite file for the results; several studies may share one (default: STUDY.sqlite)")
            .value_name("FILE");
        c.option("--csv", a.csv, "Write all results as CSV in the end (`-`: to stdout)").value_name("FILE");
        add_workers_option(c, a.workers, "Candidates");
        c.option("--shard", a.shard, "Only this part of the candidates, e.g. 2/7, into a file of its own (sweep merge)")
            .value_name("I/N");
        c.flag("--retry", a.retry, "Run what gave no result again");
        c.flag("--fresh", a.fresh, "Run everything again");
        c.flag("--list", a.list, "Instead: list the candidates");
        add_set_option(c, a.sets, "Override a field in every candidate");
        add_library_option(c, a.library_folders);
      },
      sweep);
  command.add_command<MergeArguments>(
      "merge", "Put the results of several files, such as shards, into one",
      [](Command& c, MergeArguments& a) {
        c.option("INTO", a.into, "The file that gets them; made where it does not exist").required();
        c.option("FROM", a.from, "Files of shards").required();
      },
      merge);
  add_sweep_results(command);
}

}  // namespace flopcast
