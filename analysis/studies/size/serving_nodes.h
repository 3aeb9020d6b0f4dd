// On which kind of node a service is smallest, or cheapest: the smallest deployment that keeps a promise, on each of
// several kinds.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analysis/studies/size/serving_size.h"
#include "flopcast/environment.h"
#include "scenarios/read/text/date.h"

namespace flopcast {

namespace report {
class ServiceNodesStudy;
}

/// The smallest deployment on a kind of node that keeps the promise, or the nearest to it.
struct SizedService {
  std::string node, gpu;
  std::string deployment;  ///< "3 replicas", "2 prefill + 4 decode"
  int gpus = 0;
  bool met = false;
  double attainment = 0;               ///< share of requests within the promise
  CurveSample sample;                  ///< that deployment under the scenario's traffic
  std::optional<double> usd_per_hour;  ///< of all its GPUs; none: no rent is known
  std::optional<double> usd_per_million_output() const;
};

struct ServiceNodes {
  Scenario base;
  ServiceLevel promise;
  double attainment = 0.9;
  std::optional<Date> date;            ///< of rents and of the scenario
  std::vector<SizedService> services;  ///< those that keep it first; the cheapest first, then the fewest GPUs
  struct LeftOut {
    std::string node, why;
  };
  std::vector<LeftOut> left_out;
};

/// @param nodes names of the library; the cluster has as many of them as the scenario states
/// @throws InputError for unknown nodes, and for a scenario without `serving`.
ServiceNodes size_on_nodes(const std::string& file_or_name, const Environment& environment,
                           const std::vector<std::string>& sets, const std::vector<std::string>& nodes,
                           const std::optional<Date>& date, const SizeOptions& options);

/// The answer in a sentence.
std::string size_answer(const ServiceNodes& study);
std::string to_text(const ServiceNodes& study, const TextStyle& style);
std::string to_csv(const ServiceNodes& study);
std::string to_html(const ServiceNodes& study);
report::ServiceNodesStudy to_message(const ServiceNodes& study);
/// No kind of node keeps the promise.
Diagnostic unmet(const ServiceNodes& study);

}  // namespace flopcast
