// The candidates of a sweep by their numbers: what each sets, whether conditions leave it in, and its fingerprint.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/studies/sweep/study/sweep_study.h"

namespace flopcast {

struct SweepCandidate {
  std::uint64_t number = 0;        ///< from 1, in the order of the product
  std::string scenario;            ///< a key of SweepStudy::bases
  std::vector<std::string> sets;   ///< the study's, then those of the axes
  std::vector<std::string> cells;  ///< per column of the axes
};

/// @pre 1 <= number <= study.product
SweepCandidate candidate_at(const SweepStudy& study, std::uint64_t number);

/// Whether the study's conditions over fields hold. A condition that rests on a field without a value does not.
bool wanted(const SweepStudy& study, const SweepCandidate& candidate);

/// What a condition may name of an input: a column of an axis, or a field of the scenario. Absent: no such thing. @{
std::optional<NamedValue> input_kind(const SweepStudy& study, std::string_view name);
std::optional<NamedValue> input_value(const SweepStudy& study, const SweepCandidate& candidate, std::string_view name);
/// @}

/// Calls `visit` with the number of each candidate to run, in the order of their numbers, until it returns false.
/// Random samples are drawn from all of the product; those of them that conditions leave out are not replaced.
void for_each_wanted(const SweepStudy& study, const std::function<bool(const SweepCandidate&)>& visit);

/// 128 bits over everything that a result depends on: program, data files, the base scenario with the files that it
/// names, and what is set. Equal in any study and on any machine with the same data.
class SweepFingerprints {
 public:
  SweepFingerprints(const SweepStudy& study, const Environment& environment);
  /// 32 hexadecimal digits.
  std::string of(const SweepCandidate& candidate) const;
  /// Of the study as a whole: equal ones have equal candidates, columns and conditions.
  std::string of_study(const SweepStudy& study) const;

 private:
  std::map<std::string, std::string> digest_of_base_;
};

}  // namespace flopcast
