// `flopcast policy`: what export rules say of chips, and what the fastest chip is that one just allows.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/studies/policy_rules.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/studies/policy/frontier.h"
#include "analysis/studies/policy/frontier_html.h"
#include "analysis/studies/policy/policy.h"
#include "scenarios/proto/policy_report.pb.h"
#include "scenarios/read/text/text_file.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

struct ClassifyArguments {
  std::vector<std::string> chips, sets, rule_files, library_folders;
  std::string date, rule;
  ResultFiles files;
  // A chip by nothing but its figures.
  std::optional<double> tpp, density, io, memory;
  bool elsewhere = false;
};

std::optional<Date> day_of(const std::string& text, const std::string& option) {
  if (text.empty()) return std::nullopt;
  if (const auto day = parse_date(text)) return day;
  throw InputError(Diagnostic{"", 0, 0, option, quoted(text), "a day such as 2023-11-17", ""});
}

std::optional<ChipFigures> chip_by_figures(const ClassifyArguments& a) {
  if (!a.tpp && !a.density && !a.io && !a.memory) return std::nullopt;
  ChipFigures chip;
  chip.name = "figures";
  chip.title = "A chip by its figures";
  if (a.tpp) chip.tpp = *a.tpp;
  if (a.density) chip.density = *a.density;
  if (a.io) chip.io = BytesPerSecond(*a.io * 1e9);
  if (a.memory) chip.memory_bandwidth = BytesPerSecond(*a.memory * 1e9);
  chip.datacenter_marketed = !a.elsewhere;
  return chip;
}

/// Figures describe a chip of their own; a chip that has a name is changed by --set.
void check_together(const ClassifyArguments& a) {
  Diagnostics faults;
  const auto refuse = [&](const char* option, const std::string& found, const std::string& expected) {
    faults.push_back({"", 0, 0, option, found, expected, ""});
  };
  const bool by_figures = a.tpp || a.density || a.io || a.memory;
  if (a.chips.empty() && !a.sets.empty()) refuse("--set", "no chip", "the name of the chip that is changed");
  const std::pair<const char*, bool> given[] = {{"--tpp", a.tpp.has_value()},
                                                {"--pd", a.density.has_value()},
                                                {"--io", a.io.has_value()},
                                                {"--dram", a.memory.has_value()},
                                                {"--not-datacenter", a.elsewhere}};
  for (const auto& [option, is_given] : given) {
    if (is_given && !a.chips.empty()) {
      refuse(option, fmt::format("a chip by name, {}, which it does not change", a.chips.front()),
             "figures alone, or --set to change a chip: --set hbm_bandwidth=\"2 TB/s\", "
             "--set datacenter_marketed=false");
    }
  }
  if (a.elsewhere && a.chips.empty() && !by_figures)
    refuse("--not-datacenter", "no figures", "a chip by its figures: --tpp, --pd, --io, --dram");
  if (!faults.empty()) throw InputError(faults);
}

PolicyQuestion question_of(const ClassifyArguments& a, const Libraries& libraries) {
  PolicyQuestion question{{}, day_of(a.date, "--date"), a.rule};
  check_together(a);
  for (const std::string& name : a.chips) question.chips.push_back(load_chip(libraries, name, a.sets));
  if (auto chip = chip_by_figures(a)) question.chips.push_back(std::move(*chip));
  if (question.chips.empty()) question.chips = all_chips(libraries);
  return question;
}

void run_classify(const ClassifyArguments& a) {
  a.files.check();
  const Libraries libraries = Libraries::discover(a.library_folders);
  const RuleBook book = load_rule_book(libraries, a.rule_files);
  const PolicyQuestion question = question_of(a, libraries);
  const std::vector<ChipVerdict> verdicts = judge(question, book);
  present(a.files, verdicts, question, book);
}

void add_classify(Command& policy) {
  policy.add_command<ClassifyArguments>(
      "classify", "What the rules say of chips: limb, margin, from when to when",
      [](Command& command, ClassifyArguments& a) {
        command.option("CHIP", a.chips, "Names from `flopcast list gpus`, or files; none: all of the library")
            .values(Values::chips);
        command.option("--date", a.date, "Only the rules of this day").value_name("DAY");
        command.option("--rule", a.rule, "Only this rule (`flopcast policy rules` lists them)").value_name("ID");
        command
            .option("--set", a.sets,
                    "Change the chips, as a file with `base` would: hbm_bandwidth=\"2 TB/s\", "
                    "scale[0].field=bf16_peak scale[0].by=0.5")
            .value_name("FIELD=VALUE")
            .repeated();
        add_rules_option(command, a.rule_files);
        const auto figure = [&](const char* option, std::optional<double>& value, const char* what) {
          command.option(option, value, what).value_name("NUMBER").not_negative();
        };
        figure("--tpp", a.tpp, "A chip by its figures: total processing performance");
        figure("--pd", a.density, "... performance density, TPP per mm2");
        figure("--io", a.io, "... inputs and outputs, GB/s both directions");
        figure("--dram", a.memory, "... memory bandwidth, GB/s");
        command.flag("--not-datacenter", a.elsewhere, "... not designed or marketed for data centres");
        a.files.add_to(command, "result", "with the margins as pictures");
        add_library_option(command, a.library_folders);
      },
      run_classify);
}

void add_rules(Command& policy) {
  policy.add_command<ClassifyArguments>(
      "rules", "Show the rules: thresholds, dates, consequences, sources",
      [](Command& command, ClassifyArguments& a) {
        add_rules_option(command, a.rule_files);
        add_library_option(command, a.library_folders);
      },
      [](const ClassifyArguments& a) {
        const Libraries libraries = Libraries::discover(a.library_folders);
        show(rules_text(load_rule_book(libraries, a.rule_files), terminal_style(stdout)));
      });
}

struct FrontierArguments {
  ScenarioArguments scenario;
  std::vector<std::string> rules, rule_files, allowed;
  std::string date;
  ResultFiles files;
  double headroom = 1, largest_area = FrontierQuestion{}.largest_area_mm2;
  int workers = 0;
};

/// The scenario on every node of the library that it can be put on, one for each GPU.
std::vector<RealChip> chips_that_exist(const ScenarioArguments& scenario, const Environment& environment) {
  const Libraries& libraries = environment.data().libraries();
  std::vector<RealChip> out;
  for (const std::string& node : libraries.names(LibraryKind::nodes)) {
    ScenarioArguments on_node = scenario;
    on_node.sets.push_back("cluster.node=" + node);
    try {
      const ResolvedScenario resolved = on_node.load(environment);
      const std::string& gpu = resolved.value().cluster.node.gpu.name;
      const auto same = [&](const RealChip& chip) { return chip.figures.name == gpu; };
      if (std::none_of(out.begin(), out.end(), same)) out.push_back({load_chip(libraries, gpu), resolved.value()});
    } catch (const InputError&) {
      // The plan does not go with nodes of that size: the chip is no answer to this scenario.
    }
  }
  return out;
}

void run_frontier(const FrontierArguments& a) {
  a.files.check();
  const Environment environment = a.scenario.environment();
  const Libraries& libraries = environment.data().libraries();
  const RuleBook book = load_rule_book(libraries, a.rule_files);
  const ResolvedScenario resolved = a.scenario.load(environment);
  const Scenario& scenario = resolved.value();
  if (!scenario.training && !scenario.serving) {
    throw InputError(Diagnostic{scenario.file, 0, 0, "", "a scenario without `training` or `serving`",
                                "one whose step or service can be replayed", ""});
  }
  FrontierQuestion question;
  question.date = day_of(a.date, "--date");
  question.rules = rules_to_respect(a.rules, question.date, book);
  question.allowed = a.allowed;
  question.headroom = a.headroom;
  question.largest_area_mm2 = a.largest_area;
  ProgressLine progress;
  CompareOptions options;
  options.run = study_options(scenario, environment, progress);
  options.workers = workers_or_cores(a.workers);
  const Frontier found = frontier(scenario, load_chip(libraries, scenario.cluster.node.gpu.name), question, book,
                                  ChipCosts::load(libraries), chips_that_exist(a.scenario, environment), options);
  present(a.files, found);
}

void add_frontier(Command& policy) {
  policy.add_command<FrontierArguments>(
      "frontier", "The chips that rules just allow, replayed: the fastest and the cheapest for a scenario",
      [](Command& command, FrontierArguments& a) {
        a.scenario.add_to(command);
        command.option("--rule", a.rules, "A rule to respect; may be repeated").value_name("ID").repeated();
        command.option("--date", a.date, "The rules and letters of this day").value_name("DAY");
        add_design_options(command, a.allowed, a.headroom, a.largest_area);
        add_rules_option(command, a.rule_files);
        a.files.add_to(command, "result", "with the frontier as a picture");
        add_workers_option(command, a.workers);
      },
      run_frontier);
}

}  // namespace

void add_rules_option(Command& command, std::vector<std::string>& files) {
  command.option("--rules", files, "File with rules of your own, added to or replacing the program's")
      .value_name("FILE")
      .repeated();
}

void add_design_options(Command& command, std::vector<std::string>& allowed, double& headroom, double& largest_area) {
  command.option("--allow", allowed, "An outcome that counts as free, such as \"3A090.b (NAC eligible)\"")
      .value_name("OUTCOME")
      .repeated();
  command.option("--headroom", headroom, "How many times the scenario's own figures a design may have")
      .between(0.01, 100.0)
      .show_default();
  command.option("--largest-area", largest_area, "Compute dies of one package of a design, mm2")
      .between(1.0, 100000.0)
      .show_default();
}

std::vector<const ExportRule*> rules_to_respect(const std::vector<std::string>& ids, const std::optional<Date>& day,
                                                const RuleBook& book) {
  std::vector<const ExportRule*> out;
  for (const std::string& id : ids) {
    const PolicyQuestion question{{}, day, id};
    judge(question, book);  // refuses rules without a formula and those of other days
    out.push_back(&book.at(id));
  }
  if (!out.empty()) return out;
  if (!day)
    throw InputError(
        Diagnostic{"", 0, 0, "", "neither --rule nor --date", "the rules that the chip has to respect", ""});
  for (const ExportRule* rule : rules_on(book, *day)) {
    if (rule->kind == "export" || rule->kind == "letter") out.push_back(rule);
  }
  std::erase_if(out, [](const ExportRule* rule) { return rule->memory_stacks; });
  return out;
}

void add_policy_command(Command& program) {
  Command policy = program.add_group("policy", "Export rules: which chips they catch, and what they leave");
  add_classify(policy);
  add_rules(policy);
  add_frontier(policy);
  add_policy_answer(policy);
}

}  // namespace flopcast
