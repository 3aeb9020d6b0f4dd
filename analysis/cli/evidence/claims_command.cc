// `flopcast claims`: public claims, tested.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/render/text/format.h"
#include "analysis/studies/claims/claims.h"
#include "scenarios/proto/policy_report.pb.h"
#include "scenarios/read/libraries/data_file.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

struct ClaimsArguments {
  std::vector<std::string> ids, library_folders;
  std::string file;
  ResultFiles files;
  bool functions = false;
  int workers = 0;
};

/// The claims asked for by id; all, when none is.
std::vector<Claim> chosen(std::vector<Claim> claims, const std::vector<std::string>& ids) {
  std::vector<std::string> known;
  for (const Claim& claim : claims) known.push_back(claim.id);
  for (const std::string& id : ids) {
    if (std::find(known.begin(), known.end(), id) == known.end()) {
      throw InputError(
          Diagnostic{"", 0, 0, "", "\"" + id + "\"", one_of(id, known, "flopcast claims"), nearest_name(id, known)});
    }
  }
  std::erase_if(claims, [&](const Claim& claim) {
    return !ids.empty() && std::find(ids.begin(), ids.end(), claim.id) == ids.end();
  });
  return claims;
}

void print_functions() {
  for (const ClaimFunction& f : claim_functions())
    show(fmt::format("{}({})\n    {}\n", f.name, f.arguments,
                     wrap(f.meaning, terminal_style(stdout).width() - 4, "    ")));
}

void run_claims(const ClaimsArguments& a) {
  if (a.functions) return print_functions();
  a.files.check();
  const Environment environment = load_environment(a.library_folders);
  const RuleBook rules = load_rule_book(environment.data().libraries(), {});
  const std::string file = a.file.empty() ? required_file(environment.data().libraries(), kClaimsFile) : a.file;
  ClaimContext context{environment, rules, {}, {}};
  context.run.allow_oom = true;  // a claim's what-if may not fit: that is not what it is about
  context.run.power = environment.data().power("any");
  const std::vector<TestedClaim> tested =
      test_claims(chosen(load_claims(file, &context), a.ids), context, workers_or_cores(a.workers));
  present(a.files, tested);
}

}  // namespace

void add_claims_command(Command& program) {
  program.add_command<ClaimsArguments>(
      "claims", "Public claims about cost, chips and rules, computed and judged",
      [](Command& command, ClaimsArguments& a) {
        command.option("ID", a.ids, "Only these claims").values(Values::claims);
        command.option("--file", a.file, "Claims of your own instead of the program's").value_name("FILE");
        command.flag("--functions", a.functions, "List what expressions in a file of claims may ask for");
        a.files.add_to(command, "result", "with every claim, its readings and its verdict");
        add_workers_option(command, a.workers, "Claims");
        add_library_option(command, a.library_folders);
      },
      run_claims);
}

}  // namespace flopcast
