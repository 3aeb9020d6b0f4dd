// Public claims, tested: what was claimed, what is computed, what documents say, and the verdict that
// follows.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/studies/claims/functions.h"

namespace flopcast {

namespace report {
class ClaimsReport;
}

struct ClaimReading {
  std::string name, compute, unit;
  std::optional<double> equals, at_least, at_most;
  double within = 0;
  std::string file;  ///< where the expression stands
  int line = 0, column = 0;
  bool judges() const { return equals || at_least || at_most; }
  bool holds(double value) const;
};

struct Claim {
  std::string id, topic, text, said_by, published, source, date;
  bool parts = false;
  std::vector<ClaimReading> readings;
  bool every = false;       ///< one reading that does not hold refutes it
  std::string undecidable;  ///< why no figure decides it; empty: figures do
};

/// The program's own, below a root of its data.
inline constexpr const char* kClaimsFile = "analysis/data/claims.textproto";
/// @param context also looks for what is wrong with values, where that takes no replay.
/// @throws InputError with everything wrong in the file.
std::vector<Claim> load_claims(const std::string& file, const ClaimContext* context = nullptr);

enum class Verdict { holds, fails, holds_only_if, holds_in_part, cannot_be_computed };

struct TestedClaim {
  Claim claim;
  std::vector<double> values;  ///< of claim.readings
  Verdict verdict = Verdict::fails;
  std::string verdict_text;  ///< "holds only if read as: against DeepSeek 67B"
};

/// The verdict that readings with such values come to. Readings that judge nothing do not count.
Verdict verdict_of(const Claim& claim, std::span<const double> values);
std::string verdict_text(const Claim& claim, std::span<const double> values);

/// Computes every reading, `workers` claims at a time. @throws InputError with every reading that cannot be computed,
/// its claim and its place.
std::vector<TestedClaim> test_claims(const std::vector<Claim>& claims, const ClaimContext& context, int workers);

std::string to_text(std::span<const TestedClaim> claims, const TextStyle& style);
std::string to_csv(std::span<const TestedClaim> claims);
/// A page: a table of verdicts, then each claim with its readings.
std::string to_html(std::span<const TestedClaim> claims);
report::ClaimsReport to_message(std::span<const TestedClaim> claims);

}  // namespace flopcast
