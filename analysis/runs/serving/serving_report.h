// A serving report for people and programs: text, JSON, metrics, a timeline.
#pragma once
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/serving/serving_run.h"
#include "flopcast/metrics.h"
#include "scenarios/proto/report.pb.h"

namespace flopcast {

std::string to_text(const ServingReport& report, const TextStyle& style);
report::Report to_message(const ServingReport& report);
/// Every number and word that the report gives on its own. Null instead of a report lists what there is, without
/// values.
std::vector<Metric> serving_metrics(const ServingReport* report);

/// Curves over time, and queueing, prompt and answer of the first requests. Requests that overlap stand on as few
/// tracks as hold them one after the other.
class ServingTrace {
 public:
  void add(const Request& request, const RequestResult& result);
  /// In Chrome's format, for ui.perfetto.dev and speedscope.
  std::string json(const ServingReport& report) const;
  /// In Perfetto's format.
  std::string perfetto(const ServingReport& report) const;

 private:
  static constexpr std::size_t kMostRequests = 50'000;
  std::vector<RequestResult> results_;
};

}  // namespace flopcast
