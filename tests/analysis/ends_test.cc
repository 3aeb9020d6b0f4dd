// Does the program end well: at once on Ctrl-C with nobody left behind, and never with success when what it had to say
// was lost?
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>
#include <thread>

#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using test::TemporaryFolder;
using testing::contents;
using testing::Outcome;
using testing::program;

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::size_t entries(const TemporaryFolder& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

/// The processes whose parent is `pid`.
std::set<pid_t> children_of(pid_t pid) {
  std::istringstream list(contents("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children"));
  std::set<pid_t> out;
  for (pid_t child = 0; list >> child;) out.insert(child);
  return out;
}

void wait_until(const std::function<bool()>& true_at_last) {
  for (int i = 0; i < 4000 && !true_at_last(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

/// The program, started and left running.
class Running {
 public:
  explicit Running(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) return;
    const int nowhere = ::open("/dev/null", O_RDWR);
    for (const int stream : {0, 1}) ::dup2(nowhere, stream);
    ::dup2(::open(err_.c_str(), O_WRONLY | O_CREAT, 0600), 2);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  pid_t pid() const { return pid_; }
  /// @return how it ended, as a shell has it.
  int end_by(int signal) {
    ::kill(pid_, signal);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string err() const { return contents(err_); }

 private:
  TemporaryFolder folder_;
  std::string err_ = folder_.path() + "/err";
  pid_t pid_ = -1;
};

/// Thousands of micro-batches in a schedule that does not repeat itself: long enough to be interrupted on any machine.
const std::vector<std::string> kLong{"--set", "training.batch.sequences=64000", "--set", "training.schedule=gpipe"};

TEST_CASE("Ctrl-C and SIGTERM end a run at once, with 130, its file and its processes", "[analysis]") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const TemporaryFolder folder, results;
    const std::string file = folder.write("s.textproto", testing::kSparse), trace = results.path() + "/t";
    Running run(
        {"run", file, "--unfolded", "--allow-oom", "--set", "training.batch.sequences=32000", "--trace", trace});
    // The file that is being written has no name yet, so it shows only among what the process has open.
    wait_until([&] {
      for (const auto& open : std::filesystem::directory_iterator("/proc/" + std::to_string(run.pid()) + "/fd")) {
        std::error_code none;
        if (says(std::filesystem::read_symlink(open.path(), none).string(), results.path())) return true;
      }
      return false;
    });
    CHECK(run.end_by(signal) == 130);
    CHECK(entries(results) == 0);
    CHECK(run.err() == "interrupted; nothing was written\n");
  }
}

TEST_CASE("commands that start workers end with them", "[analysis]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kSparse),
                    other = folder.write("o.textproto", testing::kDense);
  const auto with = [](std::vector<std::string> words) {
    words.insert(words.end(), kLong.begin(), kLong.end());
    return words;
  };
  for (const std::vector<std::string>& words : {with({"explain", file}), with({"compare", file, other})}) {
    for (const int signal : {SIGINT, SIGKILL}) {
      Running run(words);
      std::set<pid_t> workers;
      wait_until([&] { return !(workers = children_of(run.pid())).empty(); });
      INFO(words[0]);
      REQUIRE_FALSE(workers.empty());
      CHECK(run.end_by(signal) == (signal == SIGKILL ? 128 + SIGKILL : 130));
      // Whoever inherits them has to collect them before their numbers are free.
      const auto gone = [](pid_t worker) {
        const std::string status = contents("/proc/" + std::to_string(worker) + "/status");
        return status.empty() || says(status, "State:\tZ");
      };
      wait_until([&] { return std::all_of(workers.begin(), workers.end(), gone); });
      CHECK(std::all_of(workers.begin(), workers.end(), gone));
    }
  }
}

/// Runs `flopcast ARGUMENTS REDIRECTIONS` through the shell.
Outcome redirected(const std::string& arguments, const std::string& redirections) {
  const TemporaryFolder folder;
  const std::string err = folder.path() + "/err";
  const int status = std::system(("{ " + program() + " " + arguments + " " + redirections + "; } 2>" + err).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), "", contents(err)};
}

TEST_CASE("stdout that takes nothing is no success", "[analysis]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kDense), json = folder.path() + "/r.json";
  for (const std::string& command :
       {"check " + file, "run " + file, "run " + file + " --json -", std::string("list gpus"), std::string("--help"),
        std::string("run --help"), std::string("--version"), std::string("fields"), std::string("policy rules")}) {
    INFO(command);
    for (const auto& [redirection, reason] :
         {std::pair(">/dev/full", "No space left on device"), {">&-", "Bad file descriptor"}}) {
      const Outcome outcome = redirected(command, redirection);
      CHECK(outcome.code == 1);
      CHECK(outcome.err == std::string("flopcast: stdout cannot be written: ") + reason + "\n");
    }
  }
  // A file asked for beside is there all the same, and holds nothing but what belongs into it.
  CHECK(redirected("run " + file + " --json " + json, ">&-").code == 1);
  const std::string report = contents(json);
  CHECK(report.starts_with("{"));
  CHECK(report.ends_with("}\n"));
  CHECK_FALSE(says(report, "One step takes"));
}

TEST_CASE("a reader that goes away ends the program as it ends others: at once, without a word", "[analysis]") {
  const Outcome outcome = redirected("list scenarios", "| true; exit ${PIPESTATUS:-0}");
  CHECK(outcome.err.empty());
  // Certain to be late: the pipe is closed before the program starts.
  const TemporaryFolder folder;
  const std::string pipe = folder.path() + "/pipe", err = folder.path() + "/err";
  const std::string script = "mkfifo " + pipe + "; true <" + pipe + " & exec 3>" + pipe + "; wait; " + program() +
                             " list scenarios >&3 2>" + err;
  const int status = std::system(script.c_str());
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 141);  // 128 + SIGPIPE
  CHECK(contents(err).empty());
}

TEST_CASE("closed descriptors are nobody's file", "[analysis]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kDense);
  for (const std::string& closed :
       std::vector<std::string>{"0<&-", "0<&- 1>&-", "2>&-", "0<&- 1>&- 2>&-", "1>&- 2>&-"}) {
    INFO(closed);
    const std::string trace = folder.path() + "/t.json", json = folder.path() + "/j", out = folder.path() + "/out";
    const bool no_out = says(closed, "1>&-");
    const std::string command = program() + " run " + file + " --trace " + trace + " --json " + json + " " +
                                (no_out ? "" : ">" + out + " ") + closed;
    const int status = std::system(("{ " + command + "; } 2>/dev/null").c_str());
    CHECK(WEXITSTATUS(status) == (no_out ? 1 : 0));
    CHECK(contents(trace).starts_with("{"));
    CHECK(contents(trace).ends_with("}\n"));
    CHECK(contents(json).ends_with("}\n"));
    CHECK_FALSE(says(contents(trace) + contents(json), "One step takes"));
  }
  // Bad input, and nobody to tell: still the code of bad input.
  CHECK(WEXITSTATUS(std::system((program() + " run nowhere.textproto >/dev/null 2>&-").c_str())) == 2);
  CHECK(WEXITSTATUS(std::system((program() + " run nowhere.textproto >/dev/null 2>/dev/full").c_str())) == 2);
}

TEST_CASE("a folder of one's own for models is made; nothing is made for what cannot be read", "[analysis]") {
  const TemporaryFolder folder;
  const std::string config = folder.write("config.json", R"({"architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192})");
  const std::string mine = folder.path() + "/mine";
  CHECK(testing::flopcast("import-model " + folder.path() + "/none.json --output " + mine + "/models/m").code != 0);
  CHECK_FALSE(std::filesystem::exists(mine));
  const Outcome made = testing::flopcast("import-model " + config + " --output " + mine + "/models/m.textproto");
  INFO(made.err);
  CHECK(made.code == 0);
  CHECK(says(contents(mine + "/models/m.textproto"), "4096"));
  // Results are not: a slip in a path is more likely than a wish for a folder.
  CHECK(testing::flopcast("list gpus --json " + mine + "/new/r.json").code == 2);
}

TEST_CASE("an empty text for an option is a slip and is refused", "[analysis]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kDense);
  for (const std::string& option : std::vector<std::string>{"--json", "--csv", "--trace", "--set", "--library"}) {
    for (const std::string& word : {option + " \"\"", option + "="}) {
      INFO(word);
      const Outcome outcome = testing::flopcast("run " + file + " " + word);
      CHECK(outcome.code == 2);
      CHECK(says(outcome.err, option));
      CHECK(outcome.out.empty());
    }
  }
}

TEST_CASE("words that are no command or option bring the nearest", "[analysis]") {
  const auto err = [](const std::string& words) {
    const Outcome outcome = testing::flopcast(words);
    CHECK(outcome.code == 2);
    return outcome.err;
  };
  CHECK(says(err("rum"), "(did you mean \"run\"?)"));
  CHECK(says(err("policy clasify"), "command of policy: found \"clasify\""));
  CHECK(says(err("policy clasify"), "(did you mean \"classify\"?)"));
  CHECK(says(err("run x --jsn f"), "found the option --jsn"));
  CHECK(says(err("run x --jsn f"), "(did you mean \"--json\"?)"));
  CHECK(says(err("list gpuss"), "preemption"));
  const std::string unknown = err("run deepseek_v3_h80");
  CHECK(unknown.size() < 400);
  CHECK(says(unknown, "deepseek_v3_2048_h800"));
  CHECK(says(unknown, "`flopcast list scenarios` shows all"));
}

}  // namespace
}  // namespace flopcast
