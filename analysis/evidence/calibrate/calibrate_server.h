// A user's own server: host times of its engine, fitted on what its benchmark measured.
#pragma once
#include <string>
#include <vector>

#include "scenarios/resolve/scenario.h"
#include "workloads/serving/pricing/engine.h"

namespace flopcast {

/// One load: a constant number of users, each with one request under way; means over requests.
struct ServerMeasurement {
  int users = 1;
  double input = 0, output = 0;  ///< tokens
  double ttft_ms = 0;            ///< 0: not measured
  double tpot_ms = 0;
};

/// @param text a CSV with the columns users, input_tokens, output_tokens, tpot_ms and, if measured, ttft_ms; or a JSON
/// of `vllm bench serve --save-result`, or of GenAI-Perf and AIPerf (one load).
/// @throws InputError with all of it: missing columns, other units, figures that are none, with their lines.
std::vector<ServerMeasurement> read_server_measurements(const std::string& text, const std::string& file);

struct ServerFit {
  EngineHost host;
  std::string summary;                ///< errors before and after, on the loads that were kept back too
  std::vector<std::string> warnings;  ///< why the profile may mislead; none: it does not, as far as can be told
  /// Loads that were kept back are further off than with the times that the engine had, or loads are off by half and
  /// more: the profile is of no use.
  bool worse = false;
  std::string profile;  ///< the text of a profile of the user's own, to be named in scenarios
};

/// Fits the host times of the scenario's engine: iteration, request of an iteration, launch, request. Every fifth load
/// is kept back. Lengths are drawn 10 % about their means, so that users do not march in step.
/// @param file where the measurements come from, for the profile.
/// @throws InputError for fewer than five loads, a scenario whose replicas name no engine, or times that no engine can
/// have: every one of them a hundred times or a hundredth of what is predicted, one of them less than half of what its
/// kernels take, two that contradict each other, more tokens than the model has positions.
ServerFit fit_server(const std::vector<ServerMeasurement>& loads, const Scenario& scenario, const std::string& file);

}  // namespace flopcast
