#include "analysis/cli/studies/sweep_results.h"

#include <fmt/format.h>

#include "analysis/cli/line/output.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/studies/sweep/sweep_show.h"

namespace flopcast {
namespace {

/// What of a file is looked at.
struct ResultsArguments {
  std::string file, sweep;
  FrameOptions options;
  std::string html, csv;
  int top = 10;

  SweepFrame frame(const SqliteFile& store) const { return load_frame(store, stored_sweep(store, sweep), options); }
};

void describe_results(Command& c, ResultsArguments& a) {
  c.option("--sweep", a.sweep, "Which study of the file (needed where it has several)").value_name("NAME");
  c.option("--goal", a.options.goals, "What is best, e.g. \"min training.step_time_s\"; several: a front")
      .value_name("GOAL")
      .repeated();
  c.option("--where", a.options.where, "Only candidates of which this holds, e.g. \"training.plan.tensor <= 4\"")
      .value_name("CONDITION");
  c.flag("--infeasible", a.options.infeasible, "Also candidates that break the study's conditions");
}

void show_results(const ResultsArguments& a) {
  const SqliteFile store = open_store(a.file, SqliteFile::Access::read);
  show(to_text(store, a.frame(store), a.top, terminal_style(stdout)));
}

void report_results(const ResultsArguments& a) {
  const OutputOption outputs[] = {{"--html", a.html, false}};
  check_outputs(outputs);
  const SqliteFile store = open_store(a.file, SqliteFile::Access::read);
  write_text(a.html, to_html(a.frame(store)));
}

void export_results(const ResultsArguments& a) {
  check_writable(a.csv, "--csv");
  const SqliteFile store = open_store(a.file, SqliteFile::Access::read);
  write_text(a.csv, to_csv(store, stored_sweep(store, a.sweep)));
}

struct CompareSweepsArguments {
  std::string a, b, sweep_a, sweep_b, goal, where;
};

void compare_results(const CompareSweepsArguments& arguments) {
  FrameOptions options;
  if (!arguments.goal.empty()) options.goals = {arguments.goal};
  options.where = arguments.where;
  const SqliteFile a = open_store(arguments.a, SqliteFile::Access::read),
                   b = open_store(arguments.b, SqliteFile::Access::read);
  const SweepFrame frame_a = load_frame(a, stored_sweep(a, arguments.sweep_a), options);
  if (options.goals.empty()) options.goals = {frame_a.goals.front().text};
  const SweepFrame frame_b = load_frame(b, stored_sweep(b, arguments.sweep_b), options);
  show(to_text(compared_sweeps(frame_a, frame_b), terminal_style(stdout)));
}

}  // namespace

void add_sweep_results(Command& sweep) {
  sweep.add_command<ResultsArguments>(
      "show", "The best candidates, the Pareto front, which axis matters, what went wrong",
      [](Command& c, ResultsArguments& a) {
        c.option("FILE", a.file, "What a sweep has left").required();
        describe_results(c, a);
        c.option("--top", a.top, "Rows of the list of the best").value_name("N").between(1, 100'000).show_default();
      },
      show_results);
  sweep.add_command<ResultsArguments>(
      "report", "A page with scatter, front, parallel coordinates, a heat map and a table that sorts",
      [](Command& c, ResultsArguments& a) {
        c.option("FILE", a.file, "What a sweep has left").required();
        describe_results(c, a);
        c.option("--html", a.html, "The page").value_name("FILE").required();
      },
      report_results);
  sweep.add_command<ResultsArguments>(
      "export", "All results as CSV, in the order of their numbers",
      [](Command& c, ResultsArguments& a) {
        c.option("FILE", a.file, "What a sweep has left").required();
        c.option("--sweep", a.sweep, "Which study of the file (needed where it has several)").value_name("NAME");
        c.option("--csv", a.csv, "Where to (`-`: stdout)").value_name("FILE").default_value("-");
      },
      export_results);
  sweep.add_command<CompareSweepsArguments>(
      "compare", "Two sweeps candidate by candidate, over the axes that both have",
      [](Command& c, CompareSweepsArguments& a) {
        c.option("A", a.a, "What a sweep has left").required();
        c.option("B", a.b, "What another one has left").required();
        c.option("--sweep-a", a.sweep_a, "Which study of A").value_name("NAME");
        c.option("--sweep-b", a.sweep_b, "Which study of B").value_name("NAME");
        c.option("--goal", a.goal, "By what, e.g. \"min training.step_time_s\"").value_name("GOAL");
        c.option("--where", a.where, "Only candidates of which this holds").value_name("CONDITION");
      },
      compare_results);
}

}  // namespace flopcast
