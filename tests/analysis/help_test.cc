// Do completion, man pages and help say what the program takes?
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "analysis/render/text/format.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

std::string completed(const std::string& words) { return testing::flopcast("complete -- " + words).out; }

TEST_CASE("completion offers commands, options, scenarios, fields and choices", "[cli]") {
  CHECK_THAT(completed("''"), ContainsSubstring("run\t") && ContainsSubstring("policy\t"));
  CHECK_THAT(completed("poli"), StartsWith("policy\t"));
  CHECK_THAT(completed("policy ''"), ContainsSubstring("classify\t") && !ContainsSubstring("compare\t"));
  CHECK_THAT(completed("run deepseek_v3_2048"), ContainsSubstring("deepseek_v3_2048_h800\t"));
  CHECK_THAT(completed("run deepseek_v3_2048_h800 --tra"),
             ContainsSubstring("--trace\t") && ContainsSubstring("--trace-window\t"));
  CHECK_THAT(completed("run x --engine ''"),
             ContainsSubstring("shared") && ContainsSubstring("simgrid") && ContainsSubstring("ideal"));
  CHECK_THAT(completed("run x --set training.plan.pi"), StartsWith("training.plan.pipeline=\t"));
  CHECK_THAT(completed("compare deepseek_v3_2048_h800 deepseek_v3_2048_h2"),
             ContainsSubstring("deepseek_v3_2048_h20\t"));
  CHECK_THAT(completed("policy classify h800"), ContainsSubstring("h800-sxm\t"));
  CHECK_THAT(completed("compare x --cause kv-"), StartsWith("kv-fp8\t") && ContainsSubstring("kv-bf16\t"));
  CHECK_THAT(completed("claims half"), ContainsSubstring("half-hbm\t"));
  CHECK_THAT(completed("sweep deepseek_v3_pl"), ContainsSubstring("deepseek_v3_plans\t"));
  CHECK_THAT(completed("completion z"), StartsWith("zsh\t"));
  CHECK(completed("run x --json ''").empty());  // a file: shells know those
  CHECK(completed("nothing ''").find("run\t") != std::string::npos);
}

TEST_CASE("every command that works side by side takes -j and --workers, and 0 as one per core", "[cli]") {
  for (const char* command : {"plan", "size", "compare", "curve", "explain", "validate", "claims", "sweep", "cost",
                              "policy frontier", "policy answer"}) {
    INFO(command);
    const std::string help = testing::one_line(testing::flopcast(std::string(command) + " --help").out);
    CHECK_THAT(help, ContainsSubstring("-j, --workers N") || ContainsSubstring("-j,--workers N"));
    CHECK_THAT(help, ContainsSubstring("at a time; 0, the default: one per core"));
  }
}

TEST_CASE("completion offers values of fields and options", "[cli]") {
  CHECK_THAT(completed("run x --set training.schedule=1f"), StartsWith("training.schedule=1f1b\t"));
  CHECK_THAT(completed("run x --set cluster.node=hgx-h1"), ContainsSubstring("cluster.node=hgx-h100\t"));
  CHECK_THAT(completed("run x --set=cluster.node=hgx-h1"), ContainsSubstring("--set=cluster.node=hgx-h100\t"));
  CHECK_THAT(completed("run x --set training.plan.overlap_gradients="),
             ContainsSubstring("overlap_gradients=true\t") && ContainsSubstring("overlap_gradients=false\t"));
  CHECK(completed("run x --set cluster.nodes=").empty());
  CHECK(completed("run x --set cluster.typo=").empty());
  CHECK_THAT(completed("run x --engine=sh"), StartsWith("--engine=shared\t"));
  CHECK_THAT(completed("import-run --node hgx-h1"), ContainsSubstring("hgx-h100\t"));
  CHECK_THAT(completed("trace show x --unit ''"), ContainsSubstring("ms\t") && ContainsSubstring("date\t"));
  CHECK_THAT(completed("trace show x --format moon"), StartsWith("mooncake\t"));
  CHECK_THAT(completed("chakra replay x --on h100-"), StartsWith("h100-"));
  CHECK_THAT(completed("list sc"), StartsWith("schedules\t") && ContainsSubstring("scenarios\t"));
  CHECK_THAT(completed("help im"), ContainsSubstring("import-run\t"));
  CHECK_THAT(completed("help uni"), StartsWith("units\t"));
}

TEST_CASE("bash completes what stands behind an equals sign", "[cli]") {
  if (std::system("command -v bash >/dev/null 2>&1") != 0) return;
  const test::TemporaryFolder folder;
  const std::string script = folder.write("completion.bash", testing::flopcast("completion bash").out);
  const auto replies = [&](const std::string& words) {
    const std::string out = folder.path() + "/replies";
    // As readline takes the line apart: = stands alone.
    const std::string test = folder.write(
        "test.bash", "compopt() { echo files; }; . " + script + "\nCOMP_WORDS=('" + testing::program() + "' " + words +
                         ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_flopcast\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
    CHECK(std::system(("bash --norc " + test + " > " + out).c_str()) == 0);
    return testing::contents(out);
  };
  CHECK(replies("run x --set training.schedule = zb_h1") == "zb_h1\n");
  CHECK_THAT(replies("run x --set cluster.node ="), ContainsSubstring("hgx-h100\n") && !ContainsSubstring("="));
  CHECK_THAT(replies("run x --set training.schedu"), ContainsSubstring("training.schedule=\n"));
  CHECK(replies("run x --set cluster.nodes =") == "\n");  // a number: no files
  CHECK_THAT(replies("run x --json ''"), ContainsSubstring("files"));
}

TEST_CASE("completion scripts are sound where their shells can say so", "[cli]") {
  const test::TemporaryFolder folder;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const testing::Outcome outcome = testing::flopcast(std::string("completion ") + shell);
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.out, ContainsSubstring("complete --"));
    const std::string file = folder.write(shell, outcome.out);
    const std::string check =
        std::string("command -v ") + shell + " >/dev/null 2>&1 || exit 0; " + shell + " -n " + file;
    CHECK(std::system(check.c_str()) == 0);
  }
  CHECK(testing::flopcast("completion tcsh").code == 2);
}

/// What a terminal of `columns` columns shows of `flopcast ARGUMENTS`, stdout and stderr together.
std::string on_terminal(const std::vector<std::string>& arguments, unsigned short columns) {
  const winsize size = {50, columns, 0, 0};
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  REQUIRE(child >= 0);
  if (child == 0) {
    std::vector<char*> words{const_cast<char*>("flopcast")};
    for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    execv(testing::program().c_str(), words.data());
    _exit(127);
  }
  std::string out;
  char piece[4096];
  for (ssize_t got = 0; (got = read(terminal, piece, sizeof piece)) > 0;)
    out.append(piece, static_cast<std::size_t>(got));
  close(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  return out;
}

/// The widest of the lines; a line that was written over counts as it stands in the end.
std::size_t widest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t out = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    const std::size_t over = line.rfind("\r\x1b[K");
    out = std::max(out, display_width(over == std::string::npos ? line : line.substr(over + 4)));
  }
  return out;
}

TEST_CASE("what is said fits the terminal, from 60 to 200 columns", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string dense = folder.write("dense.textproto", testing::kDense);
  const std::vector<std::vector<std::string>> commands = {
      {},
      {"help"},
      {"help", "units"},
      {"run", "--help"},
      {"list", "gpus"},
      {"list", "metrics"},
      {"fields", "training"},
      {"rnu"},
      {"run", dense, "--nothing"},
      {"run", dense, "--set", "training.plan.pipline=3"},
      {"run", dense, "--verbose"},
      {"check", dense},
      {"policy", "classify", "h800-sxm"},
      {"curve", "llama_3_1_8b_azure_conversation", "--users", "1"},
  };
  for (const int width : {60, 80, 200}) {
    const auto columns = static_cast<unsigned short>(width);
    for (const auto& command : commands) {
      const std::string text = on_terminal(command, columns);
      CAPTURE(columns, command.empty() ? "" : command[0], text);
      CHECK(widest(text) <= columns);
      CHECK(widest(text) > 20);
    }
  }
  CHECK_THAT(on_terminal({"list", "gpus"}, 80), ContainsSubstring("\x1b[1m"));
  CHECK_THAT(on_terminal({"rnu"}, 80), StartsWith("\x1b[31mcommand:\x1b[0m found"));
  setenv("NO_COLOR", "1", 1);
  CHECK_THAT(on_terminal({"rnu"}, 80), StartsWith("command: found"));
  CHECK_THAT(on_terminal({"list", "gpus"}, 80), !ContainsSubstring("\x1b["));
  unsetenv("NO_COLOR");
}

TEST_CASE("--quiet says only what was asked for, --verbose what went on", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string dense = folder.write("dense.textproto", testing::kDense);
  const testing::Outcome quiet = testing::flopcast("run -q " + dense + " --html " + folder.path() + "/page.html");
  CHECK(quiet.code == 0);
  CHECK(quiet.out.empty());
  CHECK(quiet.err.empty());
  CHECK(std::filesystem::exists(folder.path() + "/page.html"));
  CHECK_THAT(testing::flopcast("--quiet run " + dense + " --json -").out, StartsWith("{"));
  CHECK_THAT(testing::flopcast("run nothing --quiet").err, ContainsSubstring("expected a scenario file"));
  CHECK_THAT(testing::flopcast("list gpus --quiet").out, ContainsSubstring("h100-sxm"));
  const testing::Outcome verbose = testing::flopcast("run " + dense + " --verbose --csv " + folder.path() + "/x.csv");
  CHECK(verbose.out == testing::flopcast("run " + dense).out);
  CHECK_THAT(verbose.err, ContainsSubstring("read " + dense) && ContainsSubstring("the step: ") &&
                              ContainsSubstring("wrote " + folder.path() + "/x.csv") &&
                              ContainsSubstring(" of memory"));
  CHECK(testing::flopcast("run " + dense + " -q -v").code == 2);
}

TEST_CASE("asked nothing, the program says three things to try", "[cli]") {
  const testing::Outcome first = testing::flopcast("");
  CHECK(first.code == 2);
  CHECK_THAT(first.out, ContainsSubstring("Three things to try") && ContainsSubstring("flopcast help"));
  CHECK_THAT(testing::flopcast("--quiet rnu").err, ContainsSubstring("did you mean \"run\"?"));
}

TEST_CASE("help explains commands and topics; man pages are made of the same words", "[cli]") {
  CHECK_THAT(testing::flopcast("help").out, ContainsSubstring("Three things to try") && ContainsSubstring("compare"));
  CHECK_THAT(testing::flopcast("help units").out, ContainsSubstring("GB/s"));
  CHECK(testing::flopcast("help policy classify").out == testing::flopcast("policy classify --help").out);
  const testing::Outcome wrong = testing::flopcast("help unit");
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.err, ContainsSubstring("did you mean \"units\"?"));
  const test::TemporaryFolder folder;
  CHECK(testing::flopcast("help --man " + folder.path() + "/share/man1").code == 0);  // which is made
  const std::string page = testing::contents(folder.path() + "/share/man1/flopcast-policy-classify.1");
  CHECK_THAT(page, ContainsSubstring(".B \\-q, \\-\\-quiet") && ContainsSubstring(".B \\-v, \\-\\-verbose"));
  folder.write("file", "x");
  const testing::Outcome nowhere = testing::flopcast("help --man " + folder.path() + "/file");
  CHECK(nowhere.code == 2);
  CHECK_THAT(nowhere.err, ContainsSubstring("--man"));
  CHECK_THAT(page, StartsWith(".TH FLOPCAST\\-POLICY\\-CLASSIFY 1") && ContainsSubstring(".B \\-\\-date DAY"));
  CHECK_THAT(testing::contents(folder.path() + "/share/man1/flopcast.1"), ContainsSubstring(".SH COMMANDS"));
}

}  // namespace
}  // namespace flopcast
