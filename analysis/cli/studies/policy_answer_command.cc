// `flopcast policy answer`: one page on what a rule leaves of a piece of work.
#include <algorithm>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/studies/policy_rules.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/studies/policy/answer.h"
#include "scenarios/proto/policy_report.pb.h"
#include "scenarios/read/text/quantity.h"
#include "scenarios/read/text/text_file.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

/// DeepSeek-V3's training step and a decode unit of its service: what `--for v3` stands for.
const std::vector<std::string> kV3{"deepseek_v3_2048_h800", "deepseek_v3_decode_unit"};

struct AnswerArguments {
  std::string asked, tpot = "50 ms";
  ResultFiles files;
  std::vector<std::string> works, chips, sweeps, allowed, rule_files, library_folders;
  double headroom = 1, largest_area = FrontierQuestion{}.largest_area_mm2;
  int workers = 0;
};

AnswerQuestion question_of(const AnswerArguments& a, const RuleBook& book) {
  AnswerQuestion q;
  q.asked = a.asked;
  q.bounds.date = parse_date(a.asked);
  const std::vector<std::string> ids = q.bounds.date ? std::vector<std::string>() : std::vector<std::string>{a.asked};
  q.bounds.rules = rules_to_respect(ids, q.bounds.date, book);
  if (q.bounds.date) q.asked = "the rules of " + a.asked;
  q.bounds.allowed = a.allowed;
  q.bounds.headroom = a.headroom;
  q.bounds.largest_area_mm2 = a.largest_area;
  for (const std::string& work : a.works.empty() ? std::vector<std::string>{"v3"} : a.works) {
    if (work == "v3") {
      q.works.insert(q.works.end(), kV3.begin(), kV3.end());
    } else {
      q.works.push_back(work);
    }
  }
  q.chips = a.chips;
  for (const std::string& name : a.sweeps) q.sweeps.push_back(limit_named(name));
  q.replan.tpot_s = quantity(a.tpot, Dimension::time);
  if (!(q.replan.tpot_s > 0))
    throw InputError(Diagnostic{"", 0, 0, "--tpot", a.tpot, "a time above 0, such as 50 ms", ""});
  q.workers = workers_or_cores(a.workers);
  return q;
}

void run_answer(const AnswerArguments& a) {
  a.files.check();
  const Environment environment = load_environment(a.library_folders);
  const Libraries& libraries = environment.data().libraries();
  const RuleBook book = load_rule_book(libraries, a.rule_files);
  AnswerQuestion question = question_of(a, book);
  ProgressLine progress;
  question.progress = [&progress](const std::string& stage, std::size_t done, std::size_t all) {
    progress.at(stage, done, all, "replays");
    return true;
  };
  const PolicyAnswer answer = policy_answer(question, environment, book, ChipCosts::load(libraries));
  progress.clear();
  present(a.files, answer);
}

}  // namespace

void add_policy_answer(Command& policy) {
  policy.add_command<AnswerArguments>(
      "answer", "What a rule, or the rules of a day, leave of a piece of work: chips, time, dollars, what binds",
      [](Command& command, AnswerArguments& a) {
        command.option("RULE|DATE", a.asked, "A rule (`flopcast policy rules` lists them), or a day such as 2025-06-01")
            .required();
        command
            .option("--for", a.works,
                    "The work: a scenario with training or serving, may be repeated; v3: DeepSeek-V3's training and a "
                    "decode unit of it (the default)")
            .value_name("WORK")
            .repeated()
            .values(Values::scenarios);
        command
            .option("--chips", a.chips,
                    "Put the work on these chips alone, beside the scenario's own and the best "
                    "allowed: h20,h200-sxm")
            .value_name("CHIP,...")
            .separated_by(',');
        command
            .option("--sweep", a.sweeps,
                    "Cut and raise a figure of the scenario's chip, the work planned anew each "
                    "time: nvlink, hbm, flops, nic; may be repeated")
            .value_name("LIMIT")
            .repeated();
        command.option("--tpot", a.tpot, "Promised time per output token, where a service promises nothing")
            .value_name("TIME")
            .show_default();
        add_design_options(command, a.allowed, a.headroom, a.largest_area);
        add_rules_option(command, a.rule_files);
        add_workers_option(command, a.workers);
        a.files.add_to(command);
        add_library_option(command, a.library_folders);
      },
      run_answer);
}

}  // namespace flopcast
