// Serving runs in `flopcast validate`: errors of the calibration rows, and the closed bounds of exchange.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/evidence/published/published_serving.h"
#include "analysis/evidence/validate/validate.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"
#include "workloads/serving/pricing/limits.h"

namespace flopcast {
namespace {

constexpr const char* kRows =
    "aiconfigurator systems/silicon_sample.csv @ 095f58a; each row's error: analysis/data/serving_errors.csv";

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

Check error_check(std::string what, double error, double bar) {
  Check check;
  check.group = "serving runs, engine constants fitted on them";
  check.what = std::move(what);
  check.unit = "%";
  check.predicted = 100 * error;
  check.published = 100 * bar;
  check.upper_bound = true;
  check.source = kRows;
  return check;
}

Check bound_check(const char* what, Seconds predicted, double published_ms) {
  Check check;
  check.group = "serving, closed bounds";
  check.what = what;
  check.unit = "ms";
  check.predicted = predicted.value() * 1e3;
  check.published = published_ms;
  check.tolerance = 0.01;
  check.source = "arXiv 2505.09343, 2.3.2";
  return check;
}

// Published rows that nothing is fitted on, and the medians of their kinds.
std::vector<Check> check_published_serving(const Libraries& libraries) {
  constexpr double kBar = 0.15;
  const std::string file = required_file(libraries, "analysis/data/published_serving.csv");
  std::vector<PublishedServing> rows = read_published_serving(parse_csv(read_text_file(file), file), file);
  predict_published_serving(rows, libraries);
  std::vector<Check> checks;
  std::map<std::string, std::vector<double>> errors;
  for (const PublishedServing& row : rows) {
    Check check;
    check.group = "serving engines, tokens/s, nothing fitted";
    check.what = row.what();
    check.unit = "";
    check.predicted = row.predicted;
    check.published = row.value;
    check.tolerance = kBar;
    check.source = row.source;
    const double error = std::abs(check.error());
    errors["all"].push_back(error);
    errors[!row.balanced ? "loads of experts not published" : "dense, or balanced experts"].push_back(error);
    checks.push_back(std::move(check));
  }
  for (const auto& [kind, of_kind] : errors) {
    Check check = error_check(fmt::format("median of {}, {}", of_kind.size(), kind), quantile(of_kind, 0.5), kBar);
    check.group = "serving engines, tokens/s, nothing fitted";
    check.source = "the rows above";
    checks.push_back(std::move(check));
  }
  return checks;
}

}  // namespace

std::vector<Check> check_serving(const ValidationInput& input) {
  constexpr double kTpotBar = 0.08, kTtftBar = 0.15;
  const std::string file = required_file(*input.libraries, "analysis/data/serving_errors.csv");
  const CsvTable table = parse_csv(read_text_file(file), file);
  std::vector<double> tpot, ttft;
  std::map<std::string, std::vector<double>> by_table;
  for (std::size_t i = 0; i < table.size(); ++i) {
    tpot.push_back(std::abs(table.number(i, "tpot_error")));
    by_table[table.text(i, "table")].push_back(tpot.back());
    if (!table.text(i, "ttft_error").empty()) ttft.push_back(std::abs(table.number(i, "ttft_error")));
  }
  std::vector<Check> checks;
  checks.push_back(error_check(fmt::format("TPOT, median of {} rows", tpot.size()), quantile(tpot, 0.5), kTpotBar));
  checks.push_back(error_check(fmt::format("TTFT, median of {} rows", ttft.size()), quantile(ttft, 0.5), kTtftBar));
  for (const auto& [name, errors] : by_table) {
    std::string what = name;  // "llama-3.1-8b, hgx-h200, sglang 0.5.6.post2, fp8_block": TPOT, median
    if (const std::size_t node = what.find("hgx-"); node != std::string::npos) what.erase(node, 4);
    checks.push_back(error_check(std::move(what), quantile(errors, 0.5), kTtftBar));
  }
  ExchangeBound bound;
  bound.rate = 50_GBps;
  checks.push_back(bound_check("TPOT bound, 50 GB/s InfiniBand", tpot_bound(bound), 14.76));
  bound.rate = 900_GBps;
  checks.push_back(bound_check("TPOT bound, NVL72", tpot_bound(bound), 0.82));
  const std::vector<Check> published = check_published_serving(*input.libraries);
  checks.insert(checks.end(), published.begin(), published.end());
  return checks;
}

}  // namespace flopcast
