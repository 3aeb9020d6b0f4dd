#include "analysis/studies/claims/claims.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include <fmt/format.h>

#include "analysis/render/text/json.h"
#include "analysis/studies/claims/expression.h"
#include "scenarios/proto/claims.pb.h"
#include "scenarios/read/fields/field_rules.h"
#include "scenarios/read/text/date.h"
#include "scenarios/read/text/text_file.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

/// @param place of its expression
ClaimReading reading_of(const proto::Reading& in, const Diagnostic& place) {
  ClaimReading out{in.name(), in.compute(), in.unit()};
  out.file = place.file;
  out.line = place.line;
  out.column = place.column;
  if (in.has_equals()) out.equals = in.equals();
  if (in.has_at_least()) out.at_least = in.at_least();
  if (in.has_at_most()) out.at_most = in.at_most();
  out.within = in.within();
  return out;
}

Claim claim_of(const proto::Claim& in, const std::string& path, const Places& places) {
  Claim out{in.id(), in.topic(), in.text(), in.said_by(), in.published(), in.source(), in.date(), in.parts()};
  out.every = in.every();
  out.undecidable = in.undecidable();
  for (int i = 0; i < in.reading_size(); ++i) {
    const Diagnostic place = places.fault(fmt::format("{}.reading[{}].compute", path, i), "", "", "");
    out.readings.push_back(reading_of(in.reading(i), place));
  }
  return out;
}

/// What of a reading can be seen to be wrong before anything is computed.
void check_reading(const proto::Reading& in, const std::string& path, const Places& places, Diagnostics& faults) {
  const auto add = [&](const char* field, const std::string& found, const std::string& expected) {
    faults.push_back(places.fault(path + "." + field, found, expected, ""));
  };
  if (in.has_compute()) {
    try {
      read_expression(in.compute(), [](const std::string& name, std::size_t count) { claim_function(name, count); });
    } catch (const InputError& error) {
      for (const Diagnostic& d : error.diagnostics())
        faults.push_back(places.fault(path + ".compute", d.found, d.expected, d.suggestion));
    }
  }
  if (in.has_at_least() && in.has_at_most() && in.at_least() > in.at_most())
    add("at_most", fmt::format("at least {:g} and at most {:g}", in.at_least(), in.at_most()),
        "bounds that some value meets");
  if (in.has_within() && !in.has_equals()) add("within", "a tolerance of nothing", "equals beside it");
  if (in.has_within() && in.within() > 0 && in.has_equals() && in.equals() == 0)
    add("within", "a tolerance relative to 0, which is none", "at_least and at_most, or within: 0");
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

/// Its value, or the first fault that keeps it from having one.
struct ReadValue {
  double value = 0;
  std::optional<Diagnostic> fault;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("value", &ReadValue::value);
    field("fault", &ReadValue::fault);
  }
};

/// Of each reading.
std::vector<ReadValue> values_of(const Claim& claim, const ClaimContext& context) {
  std::vector<ReadValue> out;
  for (const ClaimReading& reading : claim.readings) {
    ReadValue& read = out.emplace_back();
    try {
      read.value = evaluate(reading.compute, [&](const std::string& name, const auto& arguments) {
        return call_claim_function(name, arguments, context);
      });
    } catch (const InputError& error) {
      read.fault = error.diagnostics().front();
      read.fault->file = reading.file, read.fault->line = reading.line, read.fault->column = reading.column;
      read.fault->field = claim.id + ", " + reading.name + (read.fault->field.empty() ? "" : ", ") + read.fault->field;
    }
  }
  return out;
}

/// Of a file that is faulty already: what its readings would be refused for, as far as that takes no replay.
void add_faults_of_values(std::span<const Claim> claims, const ClaimContext& context, Diagnostics& faults) {
  for (const Claim& claim : claims) {
    Claim quick = claim;
    std::erase_if(quick.readings, [](const ClaimReading& reading) {
      bool replays = false;
      try {
        read_expression(reading.compute, [&](const std::string& name, std::size_t count) {
          replays = replays || claim_function(name, count).replays;
        });
      } catch (const InputError&) {
        return true;  // said already
      }
      return replays;
    });
    for (const ReadValue& read : values_of(quick, context))
      if (read.fault) faults.push_back(*read.fault);
  }
}

}  // namespace

bool ClaimReading::holds(double value) const {
  if (equals && std::abs(value - *equals) > within * std::abs(*equals) + 1e-12) return false;
  if (at_least && value < *at_least) return false;
  return !at_most || value <= *at_most;
}

std::vector<Claim> load_claims(const std::string& file, const ClaimContext* context) {
  proto::Claims in;
  Places places;
  Diagnostics faults;
  parse_text(read_text_file(file), file, in, places, faults);
  check_fields(
      in, "", places, [](int) { return std::vector<std::string>(); }, true, faults);
  std::vector<Claim> out;
  std::set<std::string> ids;
  for (int i = 0; i < in.claim_size(); ++i) {
    const std::string path = fmt::format("claim[{}]", i);
    out.push_back(claim_of(in.claim(i), path, places));
    if (in.claim(i).has_id() && !ids.insert(in.claim(i).id()).second)
      faults.push_back(places.fault(path + ".id", quoted(in.claim(i).id()) + " twice", "a name of its own", ""));
    if (in.claim(i).has_date() && !parse_date(in.claim(i).date()))
      faults.push_back(places.fault(path + ".date", quoted(in.claim(i).date()), "a day such as 2024-12-27", ""));
    std::set<std::string> names;
    for (int r = 0; r < in.claim(i).reading_size(); ++r) {
      const proto::Reading& reading = in.claim(i).reading(r);
      const std::string at = fmt::format("{}.reading[{}]", path, r);
      check_reading(reading, at, places, faults);
      if (reading.has_name() && !names.insert(reading.name()).second)
        faults.push_back(places.fault(at + ".name", quoted(reading.name()) + " twice", "a name of its own", ""));
    }
    if (in.claim(i).every() && in.claim(i).parts())
      faults.push_back(places.fault(path + ".every", "true beside parts: true", "one of them", ""));
    const auto& readings = out.back().readings;
    const bool judged = std::any_of(readings.begin(), readings.end(), [](const ClaimReading& r) { return r.judges(); });
    if (judged && !out.back().undecidable.empty()) {
      faults.push_back(places.fault(path + ".undecidable", "a reading with a verdict beside it",
                                    "readings that are shown alone, or no undecidable"));
    } else if (!judged && out.back().undecidable.empty()) {
      faults.push_back(places.fault(fmt::format("claim[{}]", i), "no reading with a verdict",
                                    "a reading with equals, at_least or at_most, or undecidable: why there is none"));
    }
  }
  if (!faults.empty() && context != nullptr) add_faults_of_values(out, *context, faults);
  if (!faults.empty()) throw InputError(faults);
  return out;
}

Verdict verdict_of(const Claim& claim, std::span<const double> values) {
  if (!claim.undecidable.empty()) return Verdict::cannot_be_computed;
  const bool some_hold = !readings_that(claim, values, true).empty();
  const bool some_fail = !readings_that(claim, values, false).empty();
  if (!some_fail) return Verdict::holds;
  if (!some_hold || claim.every) return Verdict::fails;
  return claim.parts ? Verdict::holds_in_part : Verdict::holds_only_if;
}

std::string verdict_text(const Claim& claim, std::span<const double> values) {
  const auto holding = readings_that(claim, values, true), failing = readings_that(claim, values, false);
  switch (verdict_of(claim, values)) {
    case Verdict::holds:
      return "holds";
    case Verdict::fails:
      return holding.empty() ? "fails" : fmt::format("fails: not so of {}", fmt::join(failing, "; "));
    case Verdict::holds_only_if:
      return fmt::format("holds only if read as: {}", fmt::join(holding, "; "));
    case Verdict::holds_in_part:
      return fmt::format("holds but for: {}", fmt::join(failing, "; "));
    case Verdict::cannot_be_computed:
      return "cannot be computed: " + claim.undecidable;
  }
  return {};
}

std::vector<TestedClaim> test_claims(const std::vector<Claim>& claims, const ClaimContext& context, int workers) {
  const auto read = parallel_map<std::vector<ReadValue>>(claims.size(), workers,
                                                         [&](std::size_t i) { return values_of(claims[i], context); });
  std::vector<TestedClaim> out;
  std::vector<std::vector<double>> values;
  Diagnostics faults;
  for (const std::vector<ReadValue>& of_claim : read) {
    std::vector<double>& numbers = values.emplace_back();
    for (const ReadValue& one : of_claim) {
      numbers.push_back(one.value);
      if (one.fault) faults.push_back(*one.fault);
    }
  }
  if (!faults.empty()) throw InputError(faults);
  for (std::size_t i = 0; i < claims.size(); ++i) {
    TestedClaim tested{claims[i], std::move(values[i]), {}, {}};
    tested.verdict = verdict_of(tested.claim, tested.values);
    tested.verdict_text = verdict_text(tested.claim, tested.values);
    out.push_back(std::move(tested));
  }
  return out;
}

}  // namespace flopcast
