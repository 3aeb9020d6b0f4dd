#include "tests/bench/record.h"

#include <fmt/format.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace flopcast::bench {
namespace {

/// Two runs of one program on a shared machine give exponents that differ by less.
constexpr double kNoise = 0.25;

double in_seconds(double time, benchmark::TimeUnit unit) { return time / benchmark::GetTimeUnitMultiplier(unit); }

/// "v3_step_by_micro_batches/1920/real_time": the family and the size; none where the name has none.
std::pair<std::string, double> family_and_size(const std::string& name) {
  const std::size_t slash = name.find('/');
  if (slash == std::string::npos || name.find("_by_") > slash) return {};
  // "ranks:256" where arguments have names
  const std::size_t colon = name.find(':', slash), next = name.find('/', slash + 1);
  const std::size_t number = colon < next ? colon + 1 : slash + 1;
  return {name.substr(0, slash), std::atof(name.c_str() + number)};
}

std::map<std::string, double> exponents_of(const std::map<std::string, Result>& results) {
  struct Sums {
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  };
  std::map<std::string, Sums> families;
  for (const auto& [name, result] : results) {
    const auto [family, size] = family_and_size(name);
    if (family.empty() || size <= 0 || result.seconds <= 0) continue;
    Sums& sums = families[family];
    const double x = std::log(size), y = std::log(result.seconds);
    sums.n += 1;
    sums.x += x;
    sums.y += y;
    sums.xx += x * x;
    sums.xy += x * y;
  }
  std::map<std::string, double> exponents;
  for (const auto& [family, s] : families)
    if (s.n > 1) exponents[family] = (s.n * s.xy - s.x * s.y) / (s.n * s.xx - s.x * s.x);
  return exponents;
}

}  // namespace

void Recorder::ReportRuns(const std::vector<Run>& runs) {
  ConsoleReporter::ReportRuns(runs);
  for (const Run& run : runs) {
    if (run.run_type != Run::RT_Iteration) continue;
    Result& result = results_[run.benchmark_name()];
    if (run.error_occurred) {
      result.failed = run.error_message;
      continue;
    }
    result.seconds = in_seconds(run.GetAdjustedRealTime(), run.time_unit);
    const auto peak = run.counters.find("peak_MB");
    if (peak != run.counters.end()) result.peak_mb = peak->second.value;
  }
}

Record Recorder::record(std::string version) const {
  Record record{std::move(version), {}, exponents_of(results_)};
  for (const auto& [name, result] : results_)
    if (result.failed.empty()) record.results.emplace(name, result);
  return record;
}

std::string to_json(const Record& record) {
  std::string text = fmt::format("{{\n  \"version\": \"{}\",\n  \"results\": {{", record.version);
  const char* separator = "\n";
  for (const auto& [name, result] : record.results) {
    text += fmt::format("{}    \"{}\": {{\"seconds\": {:.6g}, \"peak_mb\": {:.4g}}}", separator, name, result.seconds,
                        result.peak_mb);
    separator = ",\n";
  }
  text += "\n  },\n  \"exponents\": {";
  separator = "\n";
  for (const auto& [family, exponent] : record.exponents) {
    text += fmt::format("{}    \"{}\": {:.3f}", separator, family, exponent);
    separator = ",\n";
  }
  return text + "\n  }\n}\n";
}

Record parse_record(const std::string& json) {
  google::protobuf::Struct parsed;
  if (!google::protobuf::util::JsonStringToMessage(json, &parsed).ok()) throw std::invalid_argument("not JSON");
  const auto member = [](const google::protobuf::Struct& of, const char* name) -> const google::protobuf::Value& {
    const auto found = of.fields().find(name);
    if (found == of.fields().end()) throw std::invalid_argument(fmt::format("no \"{}\" in it", name));
    return found->second;
  };
  Record record;
  record.version = member(parsed, "version").string_value();
  for (const auto& [name, value] : member(parsed, "results").struct_value().fields())
    record.results[name] = {member(value.struct_value(), "seconds").number_value(),
                            member(value.struct_value(), "peak_mb").number_value(),
                            {}};
  for (const auto& [name, value] : member(parsed, "exponents").struct_value().fields())
    record.exponents[name] = value.number_value();
  return record;
}

std::string comparison(const Record& before, const Record& now) {
  std::string text =
      fmt::format("\n{:<60} {:>12} {:>12} {:>8} {:>8}\n", "against " + before.version, "then", "now", "time", "memory");
  for (const auto& [name, result] : now.results) {
    const auto found = before.results.find(name);
    if (found == before.results.end()) continue;
    const Result& then = found->second;
    const std::string memory =
        then.peak_mb > 0 && result.peak_mb > 0 ? fmt::format("{:.2f}", result.peak_mb / then.peak_mb) : "";
    text += fmt::format("{:<60} {:>10.4g} s {:>10.4g} s {:>8.2f} {:>8}\n", name, then.seconds, result.seconds,
                        result.seconds / then.seconds, memory);
  }
  for (const auto& [family, exponent] : now.exponents) {
    const auto found = before.exponents.find(family);
    if (found == before.exponents.end()) continue;
    text += fmt::format("{:<60} {:>12.2f} {:>12.2f}\n", family + ": exponent", found->second, exponent);
  }
  return text;
}

std::vector<std::string> grown_exponents(const Record& before, const Record& now) {
  std::vector<std::string> grown;
  for (const auto& [family, exponent] : now.exponents) {
    const auto found = before.exponents.find(family);
    if (found == before.exponents.end() || exponent <= found->second + kNoise) continue;
    grown.push_back(
        fmt::format("{} grows as its size to the power of {:.2f}, {:.2f} before", family, exponent, found->second));
  }
  return grown;
}

}  // namespace flopcast::bench
