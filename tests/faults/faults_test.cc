// Whatever the system refuses, and whenever the program is killed: is every file the old one or the new one, whole, and
// is nothing and nobody left behind?
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using test::TemporaryFolder;
using testing::contents;

std::string shim() {
  return std::filesystem::path(testing::program()).parent_path().string() + "/tests/libflopcast_faults.so";
}

/// A command that writes files, and what they hold when nothing goes wrong.
struct Writing {
  std::string arguments;  // {} stands for the folder of the results
  std::vector<std::string> files;
};

std::string in_folder(std::string text, const std::string& folder) {
  for (auto at = text.find("{}"); at != std::string::npos; at = text.find("{}")) text.replace(at, 2, folder);
  return text;
}

/// Every file of the folder, hidden ones too.
std::map<std::string, std::string> files_of(const TemporaryFolder& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    out[entry.path().filename().string()] = contents(entry.path());
  return out;
}

void write_old(const TemporaryFolder& folder, const Writing& command) {
  for (const std::string& file : command.files) folder.write(file, "old " + file);
}

int run_in(const TemporaryFolder& folder, const Writing& command, const std::string& environment,
           const std::string& err) {
  const std::string line = environment + " " + testing::program() + " " + in_folder(command.arguments, folder.path()) +
                           " >/dev/null 2>" + err + " </dev/null";
  const int status = std::system(line.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void check_whole(const TemporaryFolder& folder, const Writing& command, const std::map<std::string, std::string>& right,
                 bool hidden_may_stay) {
  for (const auto& [name, text] : files_of(folder)) {
    INFO(name);
    if (name.front() == '.') {
      CHECK(hidden_may_stay);
      continue;
    }
    const bool old = text == "old " + name, whole = text == right.at(name);
    CHECK((old || whole));
  }
  for (const std::string& file : command.files) CHECK(std::filesystem::exists(folder.path() + "/" + file));
}

class Scenarios {
 public:
  Scenarios()
      : dense_(folder_.write("dense.textproto", testing::kDense)),
        contended_(folder_.write("contended.textproto",
                                 test::replaced(testing::kDense, "fabric: \"rail-ft2\"",
                                                "fabric: \"rail-ft2\" fabric_override { oversubscription: 4 }"))),
        config_(folder_.write("config.json", R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 4096,
    "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "max_position_embeddings": 8192})")) {}
  std::vector<Writing> commands() const {
    return {{"run " + contended_ + " --json {}/j --csv {}/c --trace {}/t --picture {}/p", {"j", "c", "t", "p"}},
            {"compare " + dense_ + " " + contended_ + " --json {}/j --csv {}/c --html {}/h", {"j", "c", "h"}},
            {"import-model " + config_ + " --output {}/m", {"m"}}};
  }

 private:
  TemporaryFolder folder_;
  std::string dense_, contended_, config_;
};

/// @return what the command writes when nothing goes wrong.
std::map<std::string, std::string> undisturbed(const Writing& command, const std::string& environment = "") {
  const TemporaryFolder folder, log;
  write_old(folder, command);
  const std::string err = log.path() + "/err";
  const int code = run_in(folder, command, environment, err);
  INFO(command.arguments << ": " << contents(err));
  REQUIRE(code == 0);
  return files_of(folder);
}

/// Lets every `step`th call of a function fail, one a run, until there are no more or `most` have. @return how many
/// failed.
int fail_in_turn(const Writing& command, const std::map<std::string, std::string>& right, const std::string& call,
                 int error, int step, int most) {
  int failed = 0;
  for (int n = 1; failed < most; n += step) {
    const TemporaryFolder folder, log;
    write_old(folder, command);
    const std::string hits = log.path() + "/hits", err = log.path() + "/err";
    const int code = run_in(folder, command,
                            "LD_PRELOAD=" + shim() + " FLOPCAST_FAULT_LOG=" + hits + " FLOPCAST_FAULT=" + call + ":" +
                                std::to_string(n) + ":" + std::to_string(error),
                            err);
    INFO(command.arguments << ": " << call << " " << n << " fails with " << std::strerror(error) << ", code " << code
                           << ", " << contents(err));
    if (contents(hits).empty()) break;
    ++failed;
    // What fails is said. Where the program can do without (a lock, a folder that cannot be synced), it did.
    const bool did_without = code == 0 && files_of(folder) == right;
    CHECK((did_without || (code != 0 && code < 128)));
    CHECK((did_without || !contents(err).empty()));
    check_whole(folder, command, right, false);
  }
  return failed;
}

TEST_CASE("every write, sync, link and rename that fails is told, and leaves files whole", "[faults]") {
  const Scenarios scenarios;
  const Writing command = scenarios.commands()[2];
  const auto right = undisturbed(command);
  for (const auto& [call, error] :
       {std::pair("write", ENOSPC), {"fsync", EIO}, {"rename", EACCES}, {"linkat", EDQUOT}, {"fchmod", EPERM}}) {
    INFO(call);
    CHECK(fail_in_turn(command, right, call, error, 1, 3) > 0);
  }
  // No unnamed files here: a hidden one does.
  CHECK(fail_in_turn(command, right, "open", EOPNOTSUPP, 1, 4) > 0);
}

TEST_CASE("every call that can fail does, in every command that writes", "[faults][slow]") {
  const Scenarios scenarios;
  for (const Writing& command : scenarios.commands()) {
    const auto right = undisturbed(command);
    for (const auto& [call, error] : {std::pair("write", ENOSPC),
                                      {"write", EIO},
                                      {"fsync", EIO},
                                      {"rename", EACCES},
                                      {"linkat", EDQUOT},
                                      {"fchmod", EPERM},
                                      {"open", EMFILE},
                                      {"open", EOPNOTSUPP},
                                      {"fork", EAGAIN},
                                      {"pipe", EMFILE},
                                      {"read", EIO},
                                      {"poll", EIO},
                                      {"waitpid", ECHILD}}) {
      fail_in_turn(command, right, call, error, 1, 40);
    }
    // Of the hundred thousand allocations some.
    fail_in_turn(command, right, "malloc", ENOMEM, 997, 60);
  }
}

/// A child without the test framework's handlers, which would take a signal that comes before exec for a failure.
pid_t fork_plain() {
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t child = ::fork();
  if (child == 0)
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  return child;
}

TEST_CASE("a killed program leaves files whole and nobody behind", "[faults]") {
  const Scenarios scenarios;
  const Writing command = scenarios.commands()[2];
  const auto right = undisturbed(command);
  std::mt19937_64 random(3);
  for (int round = 0; round < 10; ++round) {
    const TemporaryFolder folder;
    write_old(folder, command);
    const std::string line = "exec " + testing::program() + " " + in_folder(command.arguments, folder.path()) +
                             " >/dev/null 2>&1 </dev/null";
    const pid_t child = fork_plain();
    if (child == 0) {
      ::execl("/bin/sh", "sh", "-c", line.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    check_whole(folder, command, right, true);
    // The next run clears up what lies about.
    const TemporaryFolder log;
    CHECK(run_in(folder, command, "", log.path() + "/err") == 0);
    CHECK(files_of(folder) == right);
  }
}

/// The processes of a group that still run.
std::size_t running_in_group(pid_t group) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string stat = contents(entry.path() / "stat");
    const std::size_t end = stat.rfind(')');
    char state = 0;
    int parent = 0, own = 0;
    if (end != std::string::npos && std::sscanf(stat.c_str() + end + 1, " %c %d %d", &state, &parent, &own) == 3)
      count += own == group && state != 'Z';
  }
  return count;
}

TEST_CASE("a thousand kills at random moments", "[faults][slow]") {
  const Scenarios scenarios;
  std::mt19937_64 random(11);
  for (const Writing& command : scenarios.commands()) {
    const auto right = undisturbed(command);
    for (int round = 0; round < 334; ++round) {
      const TemporaryFolder folder;
      write_old(folder, command);
      const pid_t child = fork_plain();
      if (child == 0) {
        ::setpgid(0, 0);
        const std::string line = "exec " + testing::program() + " " + in_folder(command.arguments, folder.path()) +
                                 " >/dev/null 2>&1 </dev/null";
        ::execl("/bin/sh", "sh", "-c", line.c_str(), static_cast<char*>(nullptr));
        ::_exit(127);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 400'000));
      const int signal = std::array{SIGKILL, SIGINT, SIGTERM}[random() % 3];
      ::kill(child, signal);
      ::waitpid(child, nullptr, 0);
      INFO(command.arguments << ", round " << round << ", signal " << signal);
      check_whole(folder, command, right, signal == SIGKILL);
      for (int i = 0; i < 400 && running_in_group(child) > 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      CHECK(running_in_group(child) == 0);
    }
  }
}

TEST_CASE("a disk that is full is told, and leaves the old files", "[faults][slow]") {
  const Scenarios scenarios;
  const Writing command = scenarios.commands()[0];
  const auto right = undisturbed(command);
  const TemporaryFolder folder, log;
  if (::mount("none", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
    WARN("no right to mount a small disk: left out");
    return;
  }
  write_old(folder, command);
  const std::string err = log.path() + "/err";
  CHECK(run_in(folder, command, "", err) == 1);
  CHECK(contents(err).find("No space left on device") != std::string::npos);
  check_whole(folder, command, right, false);
  ::umount(folder.path().c_str());
}

}  // namespace
}  // namespace flopcast
