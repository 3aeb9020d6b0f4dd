// What is wrong with a user's input: where, what was found, what was expected, what might have been meant.
#pragma once
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace flopcast {

struct Diagnostic {
  std::string file;         ///< empty when the fault is on the command line
  int line = 0;             ///< 1-based, 0 = unknown
  int column = 0;           ///< 1-based, 0 = unknown
  std::string field;        ///< path such as `training.plan.expert_parallel`
  std::string found;        ///< what stands there
  std::string expected;     ///< what may stand there
  std::string suggestion;   ///< nearest valid name or value, "did you mean"; may be empty
  std::string remedy = {};  ///< what would put it right, in words, "try"; may be empty
};

/// `file:line:col: field: found X, expected Y (did you mean "Z"?) (try W)`
std::string to_string(const Diagnostic& diagnostic);

/// The same diagnostic with a remedy.
Diagnostic with_remedy(Diagnostic diagnostic, std::string remedy);

/// Every diagnostic of one input at once; the command line prints them and exits with code 2.
class InputError : public std::runtime_error {
 public:
  explicit InputError(std::vector<Diagnostic> diagnostics);
  explicit InputError(Diagnostic diagnostic);
  const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }

 private:
  std::vector<Diagnostic> diagnostics_;
};

/// The candidate with the smallest edit distance to `name` (case-insensitive); empty when none comes near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace flopcast
