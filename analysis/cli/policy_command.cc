// `flopcast policy`: what export rules say of chips, and what the fastest chip is that one just allows.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>
#include <thread>

#include "analysis/cli/command.h"
#include "analysis/cli/output.h"
#include "analysis/cli/run_options.h"
#include "analysis/render/json.h"
#include "analysis/studies/policy/frontier.h"
#include "analysis/studies/policy/frontier_html.h"
#include "analysis/studies/policy/policy.h"
#include "scenarios/proto/policy_report.pb.h"
#include "scenarios/read/text_file.h"

namespace flopcast {
namespace {

struct ClassifyArguments {
  std::vector<std::string> chips, sets, rule_files, library_folders;
  std::string date, rule, json, csv;
  // A chip by nothing but its figures.
  double tpp = 0, density = 0, io = 0, memory = 0;
  bool elsewhere = false;
  bool has_tpp = false, has_density = false, has_io = false, has_memory = false;
};

std::optional<Date> day_of(const std::string& text, const std::string& option) {
  if (text.empty()) return std::nullopt;
  if (const auto day = parse_date(text)) return day;
  throw InputError(Diagnostic{"", 0, 0, option, quoted(text), "a day such as 2023-11-17", ""});
}

std::optional<ChipFigures> chip_by_figures(const ClassifyArguments& a) {
  if (!a.has_tpp && !a.has_density && !a.has_io && !a.has_memory) return std::nullopt;
  ChipFigures chip;
  chip.name = "figures";
  chip.title = "A chip by its figures";
  if (a.has_tpp) chip.tpp = a.tpp;
  if (a.has_density) chip.density = a.density;
  if (a.has_io) chip.io = BytesPerSecond(a.io * 1e9);
  if (a.has_memory) chip.memory_bandwidth = BytesPerSecond(a.memory * 1e9);
  chip.datacenter_marketed = !a.elsewhere;
  return chip;
}

PolicyQuestion question_of(const ClassifyArguments& a, const Libraries& libraries) {
  PolicyQuestion question{{}, day_of(a.date, "--date"), a.rule};
  for (const std::string& name : a.chips) question.chips.push_back(load_chip(libraries, name, a.sets));
  if (auto chip = chip_by_figures(a)) question.chips.push_back(std::move(*chip));
  if (a.chips.empty() && !a.sets.empty())
    throw InputError(Diagnostic{"", 0, 0, "--set", "no chip", "the name of the chip that is changed", ""});
  if (question.chips.empty()) question.chips = all_chips(libraries);
  return question;
}

void run_classify(const ClassifyArguments& a) {
  const OutputOption outputs[] = {{"--json", a.json}, {"--csv", a.csv}};
  check_outputs(outputs);
  const Libraries libraries = Libraries::discover(a.library_folders);
  const RuleBook book = load_rule_book(libraries, a.rule_files);
  const PolicyQuestion question = question_of(a, libraries);
  const std::vector<ChipVerdict> verdicts = judge(question, book);
  if (a.json != "-" && a.csv != "-") fmt::print("{}", to_text(verdicts, question, TextStyle(terminal_colours(stdout))));
  if (!a.json.empty()) {
    report::PolicyReport message = to_message(verdicts, question);
    message.set_program(program_version());
    write_text(a.json, to_json(message));
  }
  if (!a.csv.empty()) write_text(a.csv, to_csv(verdicts));
}

void add_rules_option(CLI::App& command, std::vector<std::string>& files) {
  command.add_option("--rules", files, "File with rules of your own, added to or replacing the program's")
      ->type_name("FILE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_classify(CLI::App& policy) {
  CLI::App& command =
      *policy.add_subcommand("classify", "What the rules say of chips: limb, margin, from when to when");
  const auto a = std::make_shared<ClassifyArguments>();
  command.add_option("CHIP", a->chips, "Names from `flopcast list gpus`, or files; none: all of the library");
  command.add_option("--date", a->date, "Only the rules of this day")->type_name("DAY");
  command.add_option("--rule", a->rule, "Only this rule (`flopcast policy rules` lists them)")->type_name("ID");
  command
      .add_option("--set", a->sets,
                  "Change the chips, as a file with `base` would: hbm_bandwidth=\"2 TB/s\", "
                  "scale[0].field=bf16_peak scale[0].by=0.5")
      ->type_name("FIELD=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_rules_option(command, a->rule_files);
  const auto figure = [&](const char* option, double& value, bool& stated, const char* what) {
    command
        .add_option_function<double>(
            option,
            [&value, &stated](const double& given) {
              value = given;
              stated = true;
            },
            what)
        ->type_name("NUMBER")
        ->check(CLI::NonNegativeNumber);
  };
  figure("--tpp", a->tpp, a->has_tpp, "A chip by its figures: total processing performance");
  figure("--pd", a->density, a->has_density, "... performance density, TPP per mm2");
  figure("--io", a->io, a->has_io, "... inputs and outputs, GB/s both directions");
  figure("--dram", a->memory, a->has_memory, "... memory bandwidth, GB/s");
  command.add_flag("--not-datacenter", a->elsewhere, "... not designed or marketed for data centres");
  command.add_option("--json", a->json, "Write the result as JSON (`-`: to stdout, instead of the text)")
      ->type_name("FILE");
  command.add_option("--csv", a->csv, "Write the result as CSV (`-`: to stdout, instead of the text)")
      ->type_name("FILE");
  add_library_option(command, a->library_folders);
  command.callback([a] { run_classify(*a); });
}

void add_rules(CLI::App& policy) {
  CLI::App& command = *policy.add_subcommand("rules", "Show the rules: thresholds, dates, consequences, sources");
  const auto a = std::make_shared<ClassifyArguments>();
  add_rules_option(command, a->rule_files);
  add_library_option(command, a->library_folders);
  command.callback([a] {
    const Libraries libraries = Libraries::discover(a->library_folders);
    fmt::print("{}", rules_text(load_rule_book(libraries, a->rule_files), TextStyle(terminal_colours(stdout))));
  });
}

struct FrontierArguments {
  ScenarioArguments scenario;
  std::vector<std::string> rules, rule_files, allowed;
  std::string date, json, csv, html;
  double headroom = 1, largest_area = FrontierQuestion{}.largest_area_mm2;
};

/// The rules named, or those of the day (of the latest rule's first day, when none is given) that ask for a
/// licence.
std::vector<const ExportRule*> rules_asked(const FrontierArguments& a, const RuleBook& book,
                                           const std::optional<Date>& day) {
  std::vector<const ExportRule*> out;
  for (const std::string& id : a.rules) {
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

void run_frontier(const FrontierArguments& a) {
  const OutputOption outputs[] = {{"--json", a.json}, {"--csv", a.csv}, {"--html", a.html, false}};
  check_outputs(outputs);
  const Libraries libraries = a.scenario.libraries();
  const RuleBook book = load_rule_book(libraries, a.rule_files);
  const Scenario scenario = a.scenario.load(libraries);
  if (!scenario.training && !scenario.serving) {
    throw InputError(Diagnostic{scenario.file, 0, 0, "", "a scenario without `training` or `serving`",
                                "one whose step or service can be replayed", ""});
  }
  FrontierQuestion question;
  question.date = day_of(a.date, "--date");
  question.rules = rules_asked(a, book, question.date);
  question.allowed = a.allowed;
  question.headroom = a.headroom;
  question.largest_area_mm2 = a.largest_area;
  ProgressLine progress;
  CompareOptions options;
  options.run = make_run_options(libraries, scenario.cluster, "simgrid", true, progress);
  options.workers = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const Frontier found =
      frontier(scenario, load_chip(libraries, scenario.cluster.node.gpu.name), question, book, options);
  if (a.json != "-" && a.csv != "-") fmt::print("{}", to_text(found, TextStyle(terminal_colours(stdout))));
  if (!a.json.empty()) {
    report::FrontierReport message = to_message(found);
    message.set_program(program_version());
    write_text(a.json, to_json(message));
  }
  if (!a.csv.empty()) write_text(a.csv, to_csv(found));
  if (!a.html.empty()) write_text(a.html, to_html(found));
}

void add_frontier(CLI::App& policy) {
  CLI::App& command = *policy.add_subcommand(
      "frontier", "The chips that rules just allow, replayed: the fastest and the cheapest for a scenario");
  const auto a = std::make_shared<FrontierArguments>();
  a->scenario.add_to(command);
  command.add_option("--rule", a->rules, "A rule to respect; may be repeated")
      ->type_name("ID")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_option("--date", a->date, "The rules and letters of this day")->type_name("DAY");
  command.add_option("--allow", a->allowed, "An outcome that counts as free, such as \"3A090.b (NAC eligible)\"")
      ->type_name("OUTCOME")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_option("--headroom", a->headroom, "How many times the GPU's own figures a chip may have")
      ->check(CLI::Range(0.01, 100.0))
      ->capture_default_str();
  command.add_option("--largest-area", a->largest_area, "Compute dies of one package, mm2")
      ->check(CLI::Range(1.0, 100000.0))
      ->capture_default_str();
  add_rules_option(command, a->rule_files);
  command.add_option("--json", a->json, "Write the result as JSON (`-`: to stdout, instead of the text)")
      ->type_name("FILE");
  command.add_option("--csv", a->csv, "Write the result as CSV (`-`: to stdout, instead of the text)")
      ->type_name("FILE");
  command.add_option("--html", a->html, "Write a page with the frontier as a picture")->type_name("FILE");
  command.callback([a] { run_frontier(*a); });
}

}  // namespace

void add_policy_command(CLI::App& program) {
  CLI::App& policy = *program.add_subcommand("policy", "Export rules: which chips they catch, and what they leave");
  policy.require_subcommand(1);
  add_classify(policy);
  add_rules(policy);
  add_frontier(policy);
}

}  // namespace flopcast
