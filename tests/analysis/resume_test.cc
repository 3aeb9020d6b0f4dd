// Does a session that is killed at any moment go on from what it kept, to the same bytes?
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "analysis/face/run.h"
#include "sim/base/random.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/analysis/serving_scenarios.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

struct Killed {};

/// What a run says that is killed `kills` times on its way, each time after some of its moments, and once more at its
/// beginning.
std::string killed_and_resumed(const ResolvedScenario& scenario, RandomStream& random, std::uint64_t moments,
                               int kills) {
  RunHooks hooks;
  for (int i = 0; i <= kills; ++i) {
    std::uint64_t left =
        i == kills ? ~std::uint64_t{0} : 1 + random.next() % (moments / static_cast<std::uint64_t>(kills) + 1);
    hooks.keeper.due = [&left] { return --left == 0; };
    std::string kept;
    hooks.keeper.keep = [&kept](const std::string& state) {
      kept = state;
      throw Killed();
    };
    try {
      return run(scenario, testing::environment(), {}, hooks).json();
    } catch (const Killed&) {
      hooks.keeper.from = kept;
    }
  }
  return "never done";
}

std::string check_resumption(const ResolvedScenario& scenario, std::uint64_t seed) {
  std::uint64_t moments = 0;
  RunHooks hooks;
  hooks.keeper.due = [&moments] { return ++moments == 0; };
  const std::string whole = run(scenario, testing::environment(), {}, hooks).json();
  REQUIRE(moments > 4);
  RandomStream random(seed);
  for (int kills = 1; kills <= 3; ++kills) CHECK(killed_and_resumed(scenario, random, moments, kills) == whole);
  return whole;
}

TEST_CASE("A session goes on from any moment to the same report", "[serving][resume]") {
  struct Case {
    std::string name;
    std::vector<std::string> sets;
  };
  // Between them: both kinds of pools, autoscaling, conversations with tools, prefixes in several tiers, users, classes
  // with deadlines, drafts, drift of expert loads, failures, rolling restarts, slow replicas.
  const Case cases[] = {
      {"deepseek_v3_fleet_day", {"serving.sample=1000"}},
      {"autoscaled_day_64_h100", {"serving.sample=1000", "serving.failures.failure_rate=0.5 per GPU-hour"}},
      {"coding_agents_8_h100", {"serving.traffic.requests=400", "serving.prefix_cache.storage=100 GB"}},
      {"priority_classes_8_h100", {"serving.traffic.requests=600"}},
      {"llama_3_1_70b_inferencex_8_h200", {"serving.traffic.requests=300", "serving.replicas.router=power_of_two"}},
      {"deepseek_v3_serving_h800", {"serving.traffic.requests=1500"}},
  };
  std::uint64_t seed = 1;
  for (const Case& one : cases) {
    DYNAMIC_SECTION(one.name) { check_resumption(resolve(one.name, testing::environment(), one.sets), ++seed); }
  }
}

TEST_CASE("Every serving scenario of the library goes on from any moment", "[serving][resume][slow]") {
  for (const std::string& name : testing::environment().data().libraries().names(LibraryKind::scenarios)) {
    if (name.ends_with("_trace")) continue;  // of request traces that people fetch themselves
    const ResolvedScenario scenario = resolve(name, testing::environment());
    if (scenario.work() != Work::serving || name == "deepseek_v3_fleet_day") continue;
    DYNAMIC_SECTION(name) { check_resumption(scenario, 7); }
  }
}

TEST_CASE("What lies where a run is to be kept: another run's, a damaged one, something else", "[serving][resume]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/kept", scenario = folder.path() + "/chat.textproto";
  folder.write("chat.textproto", testing::kChat);
  const std::string whole = testing::flopcast("run " + scenario + " --json -").out;
  const auto resumed = [&] { return testing::flopcast("run " + scenario + " --json - --resume " + file); };
  CHECK(resumed().out == whole);
  CHECK_FALSE(std::filesystem::exists(file));
  folder.write("kept", "flopcast: how far a run is, 0123\n4567\nstate");
  const testing::Outcome other = resumed();
  CHECK(other.out == whole);
  CHECK_THAT(testing::one_line(other.err), ContainsSubstring("another scenario, other data or another program"));
  CHECK_FALSE(std::filesystem::exists(file));
  folder.write("kept", "flopcast: how far a run is, 01");
  CHECK_THAT(testing::one_line(resumed().err), ContainsSubstring("cut off: the run begins again"));
  folder.write("kept", "my only notes");
  const testing::Outcome refused = resumed();
  CHECK(refused.code == 2);
  CHECK_THAT(testing::one_line(refused.err), ContainsSubstring("holds something else"));
  CHECK(testing::contents(file) == "my only notes");
  CHECK_THAT(testing::one_line(testing::flopcast("run deepseek_v3_2048_h800 --resume " + file + "x").err),
             ContainsSubstring("a scenario without `serving`"));
  CHECK_THAT(testing::one_line(
                 testing::flopcast("run " + scenario + " --resume " + file + "x --requests " + file + ".csv").err),
             ContainsSubstring("not told of again"));
}

TEST_CASE("The program killed again and again at random moments", "[serving][resume][slow]") {
  const test::TemporaryFolder folder;
  const std::string kept = folder.path() + "/kept", json = folder.path() + "/out.json";
  const std::string sample = "serving.sample=50";
  const std::string whole = testing::flopcast("run deepseek_v3_fleet_day --set " + sample + " --json -").out;
  RandomStream random(3);
  int starts = 0;
  for (bool done = false; !done; ++starts) {
    REQUIRE(starts < 100);
    const pid_t child = ::fork();
    if (child == 0) {
      if (!std::freopen("/dev/null", "w", stdout) || !std::freopen("/dev/null", "w", stderr)) ::_exit(9);
      ::execl(testing::program().c_str(), "flopcast", "run", "deepseek_v3_fleet_day", "--set", sample.c_str(), "--json",
              json.c_str(), "--resume", kept.c_str(), nullptr);
      ::_exit(9);
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(3000 + random.next() % 6000);
    int status = 0;
    pid_t ended = 0;
    while ((ended = ::waitpid(child, &status, WNOHANG)) == 0 && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    done = ended == child;
    if (done) {
      CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
      break;
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
  CHECK(starts > 1);
  CHECK(testing::contents(json) == whole);
  CHECK_FALSE(std::filesystem::exists(kept));
}

}  // namespace
}  // namespace flopcast
