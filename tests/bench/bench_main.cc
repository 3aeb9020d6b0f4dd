// ./flopcast bench: rates and memory that must hold (docs of the bars: README.md). Each benchmark names its bar.
//
//   --save FILE     keeps the results as JSON
//   --against FILE  prints how they compare with such a file; exit code 1 when an exponent has grown
// Everything else is Google Benchmark's, such as --benchmark_filter=v3_step.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "flopcast/environment.h"
#include "tests/bench/record.h"

namespace {

using namespace flopcast::bench;

/// Takes `option FILE` out of the arguments.
std::optional<std::string> taken(std::vector<char*>& arguments, const std::string& option) {
  for (std::size_t i = 1; i + 1 < arguments.size(); ++i) {
    if (option != arguments[i]) continue;
    const std::string file = arguments[i + 1];
    arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(i),
                    arguments.begin() + static_cast<std::ptrdiff_t>(i) + 2);
    return file;
  }
  return std::nullopt;
}

Record read(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw std::invalid_argument("it cannot be read");
  return parse_record(text.str());
}

}  // namespace

int main(int count, char** given) {
  std::vector<char*> arguments(given, given + count);
  const auto save = taken(arguments, "--save"), against = taken(arguments, "--against");
  std::optional<Record> before;
  try {
    if (against) before = read(*against);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: %s: %s\n", against->c_str(), error.what());
    return 2;
  }
  int left = static_cast<int>(arguments.size());
  benchmark::Initialize(&left, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(left, arguments.data())) return 2;
  Recorder recorder;
  benchmark::RunSpecifiedBenchmarks(&recorder);
  const Record now = recorder.record(flopcast::version());
  if (save && !(std::ofstream(*save) << to_json(now))) {
    std::fprintf(stderr, "bench: %s cannot be written\n", save->c_str());
    return 2;
  }
  if (!before) return 0;
  std::fputs(comparison(*before, now).c_str(), stdout);
  const std::vector<std::string> grown = grown_exponents(*before, now);
  for (const std::string& what : grown) std::fprintf(stderr, "bench: %s\n", what.c_str());
  return grown.empty() ? 0 : 1;
}
