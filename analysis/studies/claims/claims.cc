#include "analysis/studies/claims/claims.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include "analysis/render/json.h"
#include "analysis/studies/claims/expression.h"
#include "scenarios/proto/claims.pb.h"
#include "scenarios/read/field_rules.h"
#include "scenarios/read/text_file.h"
#include "sim/process.h"

namespace flopcast {
namespace {

ClaimReading reading_of(const proto::Reading& in) {
  ClaimReading out{in.name(), in.compute(), in.unit()};
  if (in.has_equals()) out.equals = in.equals();
  if (in.has_at_least()) out.at_least = in.at_least();
  if (in.has_at_most()) out.at_most = in.at_most();
  out.within = in.within();
  return out;
}

Claim claim_of(const proto::Claim& in) {
  Claim out{in.id(), in.topic(), in.text(), in.said_by(), in.published(), in.source(), in.date(), in.parts()};
  for (const proto::Reading& reading : in.reading()) out.readings.push_back(reading_of(reading));
  return out;
}

/// Names of the readings that judge and that hold, or do not.
std::vector<std::string> readings_that(const Claim& claim, std::span<const double> values, bool hold) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < claim.readings.size(); ++i) {
    const ClaimReading& reading = claim.readings[i];
    if (reading.judges() && reading.holds(values[i]) == hold) out.push_back(reading.name);
  }
  return out;
}

std::string values_of(const Claim& claim, const ClaimContext& context) {
  std::string out;
  for (const ClaimReading& reading : claim.readings) {
    try {
      const double value = evaluate(reading.compute, [&](const std::string& name, const auto& arguments) {
        return call_claim_function(name, arguments, context);
      });
      out += shortest(value) + "\n";
    } catch (const InputError& error) {
      std::vector<Diagnostic> faults = error.diagnostics();
      for (Diagnostic& fault : faults)
        fault.field = claim.id + ", " + reading.name + (fault.field.empty() ? "" : ", ") + fault.field;
      throw InputError(faults);
    }
  }
  return out;
}

std::vector<double> numbers(const std::string& lines) {
  std::vector<double> out;
  for (std::size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1)
    out.push_back(std::strtod(lines.c_str() + at, nullptr));
  return out;
}

}  // namespace

bool ClaimReading::holds(double value) const {
  if (equals && std::abs(value - *equals) > within * std::abs(*equals) + 1e-12) return false;
  if (at_least && value < *at_least) return false;
  return !at_most || value <= *at_most;
}

std::vector<Claim> load_claims(const std::string& file) {
  proto::Claims in;
  Places places;
  Diagnostics faults;
  parse_text(read_text_file(file), file, in, places, faults);
  check_fields(
      in, "", places, [](int) { return std::vector<std::string>(); }, true, faults);
  std::vector<Claim> out;
  for (int i = 0; i < in.claim_size(); ++i) {
    out.push_back(claim_of(in.claim(i)));
    const auto& readings = out.back().readings;
    if (std::none_of(readings.begin(), readings.end(), [](const ClaimReading& r) { return r.judges(); })) {
      faults.push_back(places.fault(fmt::format("claim[{}]", i), "no reading with a verdict",
                                    "a reading with equals, at_least or at_most"));
    }
  }
  if (!faults.empty()) throw InputError(faults);
  return out;
}

Verdict verdict_of(const Claim& claim, std::span<const double> values) {
  const bool some_hold = !readings_that(claim, values, true).empty();
  const bool some_fail = !readings_that(claim, values, false).empty();
  if (!some_fail) return Verdict::holds;
  if (!some_hold) return Verdict::fails;
  return claim.parts ? Verdict::holds_in_part : Verdict::holds_only_if;
}

std::string verdict_text(const Claim& claim, std::span<const double> values) {
  const auto holding = readings_that(claim, values, true), failing = readings_that(claim, values, false);
  switch (verdict_of(claim, values)) {
    case Verdict::holds:
      return "holds";
    case Verdict::fails:
      return "fails";
    case Verdict::holds_only_if:
      return fmt::format("holds only if read as: {}", fmt::join(holding, "; "));
    case Verdict::holds_in_part:
      return fmt::format("holds but for: {}", fmt::join(failing, "; "));
  }
  return {};
}

std::vector<TestedClaim> test_claims(const std::vector<Claim>& claims, const ClaimContext& context, int workers) {
  const auto results =
      parallel_map(claims.size(), workers, [&](std::size_t i) { return values_of(claims[i], context); });
  std::vector<TestedClaim> out;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    TestedClaim tested{claims[i], numbers(results[i]), {}, {}};
    tested.verdict = verdict_of(tested.claim, tested.values);
    tested.verdict_text = verdict_text(tested.claim, tested.values);
    out.push_back(std::move(tested));
  }
  return out;
}

}  // namespace flopcast
