#include "analysis/studies/claims/claims.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include <fmt/format.h>

#include "analysis/render/json.h"
#include "analysis/studies/claims/expression.h"
#include "scenarios/proto/claims.pb.h"
#include "scenarios/read/field_rules.h"
#include "scenarios/read/text_file.h"
#include "sim/process.h"

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

// A fault travels between processes as a line of its own: this mark, then its texts, each with an end of its own.
constexpr char kFaultMark = '!', kEndOfText = '\x1f', kEndOfLine = '\x1e';

std::string line_of(const Diagnostic& fault) {
  std::string out(1, kFaultMark);
  for (const std::string* text : {&fault.field, &fault.found, &fault.expected, &fault.suggestion, &fault.remedy}) {
    out += *text;
    out += kEndOfText;
  }
  std::replace(out.begin(), out.end(), '\n', kEndOfLine);
  return out + "\n";
}

Diagnostic fault_of(const std::string& line, const ClaimReading& reading) {
  Diagnostic fault{reading.file, reading.line, reading.column, "", "", "", ""};
  std::size_t at = 1;
  for (std::string* text : {&fault.field, &fault.found, &fault.expected, &fault.suggestion, &fault.remedy}) {
    const std::size_t end = line.find(kEndOfText, at);
    *text = line.substr(at, end - at);
    std::replace(text->begin(), text->end(), kEndOfLine, '\n');
    at = end + 1;
  }
  return fault;
}

/// A line for each reading: its value, or the first fault that keeps it from having one.
std::string values_of(const Claim& claim, const ClaimContext& context) {
  std::string out;
  for (const ClaimReading& reading : claim.readings) {
    try {
      const double value = evaluate(reading.compute, [&](const std::string& name, const auto& arguments) {
        return call_claim_function(name, arguments, context);
      });
      out += shortest(value) + "\n";
    } catch (const InputError& error) {
      Diagnostic fault = error.diagnostics().front();
      fault.field = claim.id + ", " + reading.name + (fault.field.empty() ? "" : ", ") + fault.field;
      out += line_of(fault);
    }
  }
  return out;
}

std::vector<double> numbers(const std::string& lines, const Claim& claim, Diagnostics& faults) {
  std::vector<double> out;
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = lines.find('\n', at);
    if (lines[at] == kFaultMark) faults.push_back(fault_of(lines.substr(at, end - at), claim.readings[out.size()]));
    out.push_back(std::strtod(lines.c_str() + at, nullptr));
    at = end + 1;
  }
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
  std::set<std::string> ids;
  for (int i = 0; i < in.claim_size(); ++i) {
    const std::string path = fmt::format("claim[{}]", i);
    out.push_back(claim_of(in.claim(i), path, places));
    if (in.claim(i).has_id() && !ids.insert(in.claim(i).id()).second)
      faults.push_back(places.fault(path + ".id", quoted(in.claim(i).id()) + " twice", "a name of its own", ""));
    std::set<std::string> names;
    for (int r = 0; r < in.claim(i).reading_size(); ++r) {
      const proto::Reading& reading = in.claim(i).reading(r);
      const std::string at = fmt::format("{}.reading[{}]", path, r);
      check_reading(reading, at, places, faults);
      if (reading.has_name() && !names.insert(reading.name()).second)
        faults.push_back(places.fault(at + ".name", quoted(reading.name()) + " twice", "a name of its own", ""));
    }
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
  std::vector<std::vector<double>> values;
  Diagnostics faults;
  for (std::size_t i = 0; i < claims.size(); ++i) values.push_back(numbers(results[i], claims[i], faults));
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
