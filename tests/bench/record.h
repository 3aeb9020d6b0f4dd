// Results of benchmarks kept as JSON, and held against those of another day.
#pragma once
#include <benchmark/benchmark.h>

#include <map>
#include <string>
#include <vector>

namespace flopcast::bench {

struct Result {
  double seconds = 0;    ///< of one iteration; processor time where a benchmark counts that
  double peak_mb = 0;    ///< 0: not measured
  std::string failed{};  ///< why there is no result
};

/// What a run of the program found. An exponent is of benchmarks that run at several sizes ("name_by_what/size"): time
/// grows as size to its power, by least squares over the logarithms.
struct Record {
  std::string version;
  std::map<std::string, Result> results;
  std::map<std::string, double> exponents;
};

/// Prints as Google Benchmark does, and keeps what it prints.
class Recorder final : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override;
  /// Of all that was run. @param version of the program
  Record record(std::string version) const;

 private:
  std::map<std::string, Result> results_;
};

std::string to_json(const Record& record);
/// @throws std::invalid_argument where the text is none of to_json().
Record parse_record(const std::string& json);

/// A row per benchmark that both have: time then, time now, their ratio; and the exponents.
std::string comparison(const Record& before, const Record& now);
/// Exponents that are larger than they were by more than what two runs on a busy machine differ by.
std::vector<std::string> grown_exponents(const Record& before, const Record& now);

}  // namespace flopcast::bench
