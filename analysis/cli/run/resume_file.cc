#include "analysis/cli/run/resume_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "analysis/cli/line/failure.h"
#include "analysis/cli/line/options.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/face/environment_data.h"
#include "analysis/studies/digest.h"
#include "scenarios/resolve/fingerprint.h"
#include "sim/base/atomic_file.h"
#include "sim/base/file_contents.h"

namespace flopcast {
namespace {

constexpr std::string_view kWhat = "flopcast: how far a run is, ";
/// A state is kept so often, or so many times more seldom than keeping it takes: a twentieth of the time at most.
constexpr std::chrono::seconds kEvery{3};
constexpr int kTimesAsLong = 20;

std::string digest_of_state(std::string_view state) {
  WideHash hash;
  hash.add(state);
  return hash.text();
}

}  // namespace

std::string run_digest(const ResolvedScenario& scenario, const std::vector<std::string>& sets,
                       const Environment& environment) {
  const std::string& file = scenario.file();
  std::string text = contents_of(file);
  for (const std::string& set : sets) text += "\n" + set;
  WideHash hash;
  hash.add(digest_of_program());
  hash.add(digest_of_data(environment.data().libraries()));
  hash.add(digest_of_text(text, std::filesystem::path(file).parent_path().string()));
  hash.add(fingerprint_text(scenario.value()));
  return hash.text();
}

ResumeFile::ResumeFile(std::string path, std::string run)
    : path_(std::move(path)), run_(std::move(run)), next_(Clock::now() + kEvery) {
  std::ifstream file(path_, std::ios::binary);
  if (!file) return;
  std::string first(kWhat.size(), '\0');
  file.read(first.data(), static_cast<std::streamsize>(first.size()));
  if (file.gcount() > 0 && first != kWhat)
    throw InputError(option_fault("--resume", path_ + ", which holds something else",
                                  "a file that such a run has left, or one that is not there"));
}

std::string ResumeFile::read() const {
  const std::string all = contents_of(path_);
  if (all.empty()) return {};
  const std::size_t first = all.find('\n'), second = all.find('\n', first + 1);
  if (second == std::string::npos) {
    remark(path_ + " is cut off: the run begins again");
    return {};
  }
  if (std::string_view(all).substr(0, first) != std::string(kWhat) + run_) {
    remark(path_ + " is of another scenario, other data or another program: the run begins again");
    return {};
  }
  const std::string_view state = std::string_view(all).substr(second + 1);
  if (std::string_view(all).substr(first + 1, second - first - 1) != digest_of_state(state)) {
    remark(path_ + " is damaged: the run begins again");
    return {};
  }
  return std::string(state);
}

void ResumeFile::write(const std::string& state) {
  const auto begin = Clock::now();
  AtomicFile file(path_);
  file.write(fmt::format("{}{}\n{}\n", kWhat, run_, digest_of_state(state)));
  file.write(state);
  file.commit();
  const auto end = Clock::now();
  next_ = end + std::max<Clock::duration>(kEvery, (end - begin) * kTimesAsLong);
}

SessionKeeper ResumeFile::keeper() {
  SessionKeeper keeper;
  keeper.from = read();
  if (!keeper.from.empty()) note("goes on from " + path_);
  keeper.due = [this] { return Clock::now() >= next_; };
  keeper.keep = [this](const std::string& state) { write(state); };
  return keeper;
}

void ResumeFile::remove() {
  std::error_code error;
  std::filesystem::remove(path_, error);
}

}  // namespace flopcast
