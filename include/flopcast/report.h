// What a run found.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flopcast/export.h"
#include "flopcast/outcome.h"
#include "flopcast/scenario.h"

namespace flopcast {

struct ReportData;

/// Operations of a replayed step, a column per property, in the order in which they ended. Joins, which take no time,
/// are left out.
struct Timeline {
  std::vector<double> start_s, end_s;
  std::vector<std::int32_t> gpu;    ///< index in the cluster
  std::vector<std::uint32_t> lane;  ///< index into lane_names
  std::vector<std::uint16_t> kind;  ///< index into kind_names
  std::vector<std::uint16_t> stage, micro_batch, layer;
  std::vector<std::uint8_t> transfer;  ///< 1: moves bytes, 0: computes
  std::vector<std::string> kind_names;
  std::vector<std::string> lane_names;
};

/// Requests of a serving run, a column per property, in the order in which they arrived. Times in seconds.
struct Requests {
  std::vector<std::uint64_t> id;
  std::vector<std::uint16_t> request_class;  ///< index into class_names
  std::vector<RequestOutcome> outcome;
  std::vector<std::int32_t> input_tokens, cached_tokens, output_tokens;
  std::vector<double> arrival_s, scheduled_s, first_token_s, finish_s;  ///< what did not happen is 0
  std::vector<std::string> class_names;
};

/// Immutable and cheap to copy: copies share one value, which lives as long as one of them. May be read by several
/// threads at once.
class FLOPCAST_API Report {
 public:
  explicit Report(std::shared_ptr<const ReportData> data) : data_(std::move(data)) {}

  Work work() const;
  const ResolvedScenario& scenario() const;
  /// What `flopcast run --json` writes.
  std::string json() const;
  /// What `flopcast run` prints. @param colours emphasis by escape sequences of terminals. @param width columns of a
  /// line, 60 and more.
  std::string text(bool colours = false, int width = 80) const;
  /// Null unless RunSettings::keep_timeline asked for it and there was a step.
  std::shared_ptr<const Timeline> timeline() const;
  /// Null unless RunSettings::keep_requests asked for it and there were requests.
  std::shared_ptr<const Requests> requests() const;

  const ReportData& data() const { return *data_; }  ///< for the library itself

 private:
  std::shared_ptr<const ReportData> data_;
};

}  // namespace flopcast
