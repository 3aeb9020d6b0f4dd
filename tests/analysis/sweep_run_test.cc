// Do sweeps give the same results however they are run, stopped, killed, cut into parts or changed?
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "analysis/studies/sweep/sweep_run.h"
#include "analysis/studies/sweep/sweep_show.h"
#include "flopcast/errors.h"
#include "sim/base/random.h"
#include "sim/jobs/mpi/module.h"
#include "sim/jobs/worker_pool.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

/// 60 sequences do not divide over 8 or 16 replicas: some candidates are refused.
const std::string kPlans = R"(title: "Plans of a small dense model"
scenario: "./base.textproto"
axis { path: "training.plan.tensor" value: ["1", "2", "4"] }
axis { path: "training.plan.pipeline" value: ["1", "2", "4"] }
axis { path: "training.plan.data" value: ["1", "2", "4", "8", "16"] }
axis { path: "training.batch.sequences" value: ["64", "60"] }
constraint: "training.plan.tensor * training.plan.pipeline * training.plan.data == 16"
constraint: "training.peak_memory_bytes < 0.9 hbm"
goal: "min training.step_time_s"
goal: "min training.peak_memory_bytes"
)";

struct SweepFolder {
  test::TemporaryFolder folder;
  explicit SweepFolder(const std::string& study = kPlans) {
    folder.write("base.textproto", testing::kDense);
    folder.write("plans.textproto", study);
  }
  std::string path(const std::string& name) const { return folder.path() + "/" + name; }
  SweepStudy study() const { return load_sweep(path("plans.textproto"), testing::environment()); }
  std::string command(const std::string& more = "") const {
    return "sweep " + path("plans.textproto") + " --output " + path("out.sqlite") + " " + more;
  }
};

std::string csv_of(const std::string& path, const std::string& name = "") {
  const SqliteFile file = open_store(path, SqliteFile::Access::read);
  return to_csv(file, stored_sweep(file, name));
}

SweepSummary swept(const SweepStudy& study, const std::string& file, int workers, SweepOptions options = {}) {
  options.file = file;
  options.workers = workers;
  return run_sweep(study, testing::environment(), options);
}

TEST_CASE("Workers do one job after the other, and a job whose worker dies comes back", "[worker-pool]") {
  WorkerPool pool(2, [done = 0](std::uint64_t job) mutable {
    if (job == 3) ::raise(SIGKILL);
    if (job == 4) throw std::runtime_error("no four");
    return std::to_string(job) + "/" + std::to_string(++done);
  });
  std::map<std::uint64_t, FinishedJob> seen;
  std::uint64_t next = 0;
  while (seen.size() < 8) {
    while (pool.idle() > 0 && next < 8) pool.give(next++);
    for (FinishedJob& job : pool.wait(1000)) seen[job.job] = std::move(job);
  }
  CHECK(seen[3].died);
  CHECK_THAT(seen[3].result, ContainsSubstring("signal"));
  CHECK(seen[4].died);
  CHECK(seen[4].result == "no four");
  CHECK(seen[7].result.starts_with("7/"));
  CHECK(pool.busy() == 0);
}

TEST_CASE("The same results from any number of processes, and in parts", "[sweep]") {
  const SweepFolder here;
  const SweepStudy study = here.study();
  const SweepSummary summary = swept(study, here.path("one.sqlite"), 1);
  CHECK(summary.wanted == 18);
  CHECK(summary.stored.all() == 18);
  CHECK(summary.stored.refused >= 3);
  CHECK(summary.stored.failed == 0);
  const std::string once = csv_of(here.path("one.sqlite"));
  CHECK_THAT(once, ContainsSubstring("number,fingerprint,status,error,feasible,training.plan.tensor"));
  swept(study, here.path("three.sqlite"), 3);
  CHECK(csv_of(here.path("three.sqlite")) == once);
  std::vector<std::string> parts;
  for (int part = 1; part <= 3; ++part) {
    parts.push_back(here.path("part" + std::to_string(part) + ".sqlite"));
    SweepOptions options;
    options.shard = part;
    options.shards = 3;
    // A part has its share of what the conditions leave, not of all numbers.
    CHECK(swept(study, parts.back(), 1, options).stored.all() == 6);
  }
  CHECK(merge_stores(here.path("merged.sqlite"), parts).rows == 18);
  CHECK(csv_of(here.path("merged.sqlite")) == once);
  CHECK(merge_stores(here.path("merged.sqlite"), parts).rows == 0);
}

TEST_CASE("A changed study runs only what is new, and takes back what it had set aside", "[sweep]") {
  const SweepFolder here;
  const std::string file = here.path("out.sqlite");
  swept(here.study(), file, 2);
  const std::string before = csv_of(file);
  CHECK(swept(here.study(), file, 2).run.done == 0);
  here.folder.write("plans.textproto", test::replaced(kPlans, "[\"1\", \"2\", \"4\"]", "[\"1\", \"2\", \"4\", \"8\"]"));
  const SweepSummary more = swept(here.study(), file, 2);
  CHECK(more.run.done == 4);  // tensor 8: pipeline 1 and 2, two batches each
  CHECK(more.stored.all() == 22);
  here.folder.write("plans.textproto", kPlans);
  CHECK(swept(here.study(), file, 2).run.done == 0);
  CHECK(csv_of(file) == before);
  // Another condition over metrics judges again without a replay.
  here.folder.write("plans.textproto", test::replaced(kPlans, "0.9 hbm", "1 GB"));
  CHECK(swept(here.study(), file, 2).run.done == 0);
  const SqliteFile store = open_store(file, SqliteFile::Access::read);
  CHECK(store.whole("SELECT count(*) FROM plans WHERE feasible = 1") == 0);
}

TEST_CASE("Two studies in one file, written at once", "[sweep]") {
  const SweepFolder here;
  here.folder.write("others.textproto", test::replaced(kPlans, "title: \"Plans",
                                                       "set: \"training.recompute.norms=true\"\ntitle: \"Other plans"));
  const std::string both = "(" + testing::program() + " " + here.command("-j1") + " & " + testing::program() +
                           " sweep " + here.path("others.textproto") + " --output " + here.path("out.sqlite") +
                           " -j1; wait) >/dev/null";
  REQUIRE(std::system(both.c_str()) == 0);
  const SqliteFile file = open_store(here.path("out.sqlite"), SqliteFile::Access::read);
  CHECK(stored_sweeps(file).size() == 2);
  CHECK(stored_sweep(file, "plans").counts.all() == 18);
  CHECK(stored_sweep(file, "others").counts.all() == 18);
  CHECK_THROWS_WITH(stored_sweep(file, ""), ContainsSubstring("one of others, plans"));
}

/// Starts the sweep and kills all of it after a while; how often it had to be started until it was done.
int killed_until_done(const SweepFolder& here, std::uint64_t seed, int most_ms) {
  RandomStream random(seed);
  for (int starts = 1;; ++starts) {
    const pid_t child = ::fork();
    if (child == 0) {
      const std::string output = here.path("out.sqlite"), study = here.path("plans.textproto");
      if (!std::freopen("/dev/null", "w", stdout) || !std::freopen("/dev/null", "w", stderr)) ::_exit(9);
      ::execl(testing::program().c_str(), "flopcast", "sweep", study.c_str(), "--output", output.c_str(), "-j2",
              nullptr);
      ::_exit(9);
    }
    const auto patience =
        std::chrono::microseconds(static_cast<long>(1000.0 * most_ms * random.uniform() * (1 + 0.3 * starts)));
    const auto end = std::chrono::steady_clock::now() + patience;
    int status = 0;
    pid_t ended = 0;
    while ((ended = ::waitpid(child, &status, WNOHANG)) == 0 && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (ended == child) {
      REQUIRE(WIFEXITED(status));
      REQUIRE(WEXITSTATUS(status) == 0);
      return starts;
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
}

TEST_CASE("Killed at any moment, it goes on and ends with the same bytes", "[sweep]") {
  const SweepFolder here;
  swept(here.study(), here.path("whole.sqlite"), 2);
  killed_until_done(here, 1, 120);
  CHECK(csv_of(here.path("out.sqlite")) == csv_of(here.path("whole.sqlite")));
}

TEST_CASE("Killed at many random moments", "[sweep][slow]") {
  const SweepFolder whole;
  swept(whole.study(), whole.path("whole.sqlite"), 2);
  const std::string expected = csv_of(whole.path("whole.sqlite"));
  int starts = 0;
  for (std::uint64_t seed = 1; starts < 1000; ++seed) {
    const SweepFolder here;
    starts += killed_until_done(here, seed, 300);
    REQUIRE(csv_of(here.path("out.sqlite")) == expected);
  }
}

TEST_CASE("One to seven shards, one to eight ranks: the same bytes", "[sweep][slow]") {
  const SweepFolder here;
  swept(here.study(), here.path("whole.sqlite"), 2);
  const std::string expected = csv_of(here.path("whole.sqlite"));
  for (int shards = 1; shards <= 7; ++shards) {
    std::string parts;
    for (int part = 1; part <= shards; ++part) {
      const std::string file = here.path("s" + std::to_string(shards) + "_" + std::to_string(part) + ".sqlite");
      REQUIRE(testing::flopcast("sweep " + here.path("plans.textproto") + " --output " + file + " --shard " +
                                std::to_string(part) + "/" + std::to_string(shards))
                  .code == 0);
      parts += " " + file;
    }
    const std::string merged = here.path("merged" + std::to_string(shards) + ".sqlite");
    REQUIRE(testing::flopcast("sweep merge " + merged + parts).code == 0);
    CHECK(csv_of(merged) == expected);
  }
  if (!mpi_module_exists() || std::system("mpirun --version >/dev/null 2>&1") != 0) return;
  for (int ranks = 1; ranks <= 8; ++ranks) {
    const std::string file = here.path("ranks" + std::to_string(ranks) + ".sqlite");
    const std::string command = "mpirun --allow-run-as-root --oversubscribe -n " + std::to_string(ranks) + " " +
                                testing::program() + " sweep " + here.path("plans.textproto") + " --output " + file +
                                " >/dev/null 2>&1 </dev/null";
    REQUIRE(std::system(command.c_str()) == 0);
    CHECK(csv_of(file) == expected);
  }
}

TEST_CASE("Ctrl-C keeps what is there, says so, and leaves no process behind", "[sweep]") {
  const SweepFolder here(kPlans + "replicas: 400\n");
  const auto stored = [&]() -> std::size_t {
    try {
      return stored_sweep(open_store(here.path("out.sqlite"), SqliteFile::Access::read), "").counts.all();
    } catch (const std::exception&) {
      return 0;  // not there yet
    }
  };
  const std::string command =
      "exec " + testing::program() + " " + here.command("-j2 2>" + here.path("err") + " >/dev/null");
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  for (int i = 0; i < 3000 && stored() == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  REQUIRE(::kill(child, SIGINT) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 130);
  CHECK_THAT(testing::contents(here.path("err")), ContainsSubstring("the same command goes on from there"));
  CHECK(stored() > 0);
}

TEST_CASE("Refused candidates are data; --retry runs them again", "[sweep]") {
  const SweepFolder here;
  const testing::Outcome first = testing::flopcast(here.command("--csv " + here.path("out.csv")));
  CHECK(first.code == 0);
  CHECK(first.err.empty());
  CHECK_THAT(first.out, ContainsSubstring("18 candidates of 90, 18 run now, 0 kept"));
  CHECK_THAT(first.out, ContainsSubstring("gave no result"));
  CHECK(testing::contents(here.path("out.csv")) == csv_of(here.path("out.sqlite")));
  const SqliteFile file = open_store(here.path("out.sqlite"), SqliteFile::Access::read);
  const auto faults = stored_faults(file, stored_sweep(file, ""), 100);
  REQUIRE_FALSE(faults.empty());
  CHECK_THAT(faults.front().error, ContainsSubstring("expected"));
  const testing::Outcome again = testing::flopcast(here.command("--retry"));
  CHECK_THAT(again.out, ContainsSubstring(std::to_string(faults.size()) + " run now"));
}

TEST_CASE("A sweep that answers nothing does not end as a success; merge says what is missing", "[sweep]") {
  const SweepFolder nothing(
      "title: \"None\"\nscenario: \"./base.textproto\"\n"
      "axis { path: \"training.batch.sequences\" value: [\"61\", \"67\"] }\n");
  const testing::Outcome refused = testing::flopcast(nothing.command());
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, ContainsSubstring("2 candidates of which none gave a result"));
  CHECK_THAT(refused.out, ContainsSubstring("gave no result (2 refused"));
  const SweepFolder here;
  const std::string study = here.path("plans.textproto"), one = here.path("one.sqlite");
  const testing::Outcome listed = testing::flopcast("sweep " + study + " --list --shard 1/2");
  CHECK(testing::flopcast("sweep " + study + " --shard 1/2 --output " + one).code == 0);
  const SqliteFile file = open_store(one, SqliteFile::Access::read);
  // What is listed is what is run.
  std::uint64_t lines = 0;
  for (const char c : listed.out) lines += c == '\n';
  const StoredSweep stored = stored_sweep(file, "");
  CHECK(lines == stored.counts.all());
  const testing::Outcome merged = testing::flopcast("sweep merge " + here.path("all.sqlite") + " " + one);
  CHECK(merged.code == 0);
  CHECK_THAT(merged.err, ContainsSubstring("9 candidates of 18 are missing in plans"));
}

TEST_CASE("A file that is no store, of a newer version, or of another program is refused and left alone", "[sweep]") {
  const SweepFolder here;
  const auto refused = [&](const std::string& name) {
    const testing::Outcome outcome =
        testing::flopcast("sweep " + here.path("plans.textproto") + " --output " + here.path(name));
    CHECK(outcome.code == 2);
    return outcome.err;
  };
  here.folder.write("text.sqlite", std::string(5000, 'x'));
  CHECK_THAT(refused("text.sqlite"), ContainsSubstring("no SQLite database"));
  CHECK(testing::contents(here.path("text.sqlite")) == std::string(5000, 'x'));
  sqlite3* other = nullptr;
  sqlite3_open(here.path("other.sqlite").c_str(), &other);
  sqlite3_exec(other, "CREATE TABLE mine (a)", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  CHECK_THAT(refused("other.sqlite"), ContainsSubstring("a database of another program"));
  swept(here.study(), here.path("newer.sqlite"), 1);
  sqlite3_open(here.path("newer.sqlite").c_str(), &other);
  sqlite3_exec(other, "PRAGMA user_version = 99", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  CHECK_THAT(refused("newer.sqlite"), ContainsSubstring("version 99 of the layout"));
  CHECK_THAT(refused("no/such/folder.sqlite"), ContainsSubstring("a file that can be opened"));
}

TEST_CASE("What a sweep has found is shown, drawn and compared", "[sweep]") {
  const SweepFolder here;
  swept(here.study(), here.path("out.sqlite"), 2);
  const SqliteFile file = open_store(here.path("out.sqlite"), SqliteFile::Access::read);
  const SweepFrame frame = load_frame(file, stored_sweep(file, ""), {});
  REQUIRE(frame.rows() >= 3);
  const std::vector<std::size_t> ranked = ranked_rows(frame);
  for (std::size_t i = 1; i < ranked.size(); ++i)
    CHECK(frame.goals[0].of_row[ranked[i - 1]] <= frame.goals[0].of_row[ranked[i]]);
  for (const std::size_t row : pareto_rows(frame)) {
    for (std::size_t other = 0; other < frame.rows(); ++other)
      CHECK_FALSE((frame.goals[0].of_row[other] < frame.goals[0].of_row[row] &&
                   frame.goals[1].of_row[other] < frame.goals[1].of_row[row]));
  }
  double mains = 0;
  for (const AxisEffect& effect : axis_effects(frame)) {
    CHECK((effect.share >= 0 && effect.share <= 1 + 1e-12));
    mains = std::max(mains, effect.share);
  }
  CHECK(mains > 0);
  const std::string text = to_text(file, frame, 3, TextStyle());
  for (const char* part : {"Best by min training.step_time_s", "Pareto front", "What matters", "What gave no result"})
    CHECK_THAT(text, ContainsSubstring(part));
  const std::string html = to_html(frame);
  for (const char* part :
       {"Pareto front", "Two axes", "All axes at once", "class=\"sorts\"", "prefers-color-scheme: dark"})
    CHECK_THAT(html, ContainsSubstring(part));
  CHECK(html.find("http://") == std::string::npos);
  CHECK(html.find("https://") == std::string::npos);
  const SweepComparison comparison = compared_sweeps(frame, frame);
  CHECK(comparison.pairs.size() == frame.rows());
  CHECK_THAT(to_text(comparison, TextStyle()), ContainsSubstring("none: all are equal"));
  CHECK_THROWS_WITH(load_frame(file, stored_sweep(file, ""), {{"min training.step_tim_s"}, "", false}),
                    ContainsSubstring("training.step_time_s"));
}

}  // namespace
}  // namespace flopcast
