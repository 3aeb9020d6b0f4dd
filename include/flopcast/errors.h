// What a call may throw besides std::exception: faults of the input as data, and a run that was stopped.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

#include "flopcast/export.h"

namespace flopcast {

/// One fault of an input: where, what was found, what was expected, what might have been meant.
struct Diagnostic {
  std::string file;            ///< empty when the fault is in an override or an option
  int line = 0;                ///< 1-based, 0 = unknown
  int column = 0;              ///< 1-based, 0 = unknown
  std::string field;           ///< path such as `training.plan.expert_parallel`
  std::string found;           ///< what stands there
  std::string expected;        ///< what may stand there
  std::string suggestion;      ///< nearest valid name or value, "did you mean"; may be empty
  std::string remedy = {};     ///< what would put it right, in words, "try"; may be empty
  bool beyond_memory = false;  ///< the input is well-formed: what it describes does not fit into memory
};

/// `file:line:col: field: found X, expected Y (did you mean "Z"?) (try W)`
FLOPCAST_API std::string to_string(const Diagnostic& diagnostic);

/// Every diagnostic of one input at once. what() has them all, one a line.
class FLOPCAST_API InputError : public std::runtime_error {
 public:
  explicit InputError(std::vector<Diagnostic> diagnostics);
  explicit InputError(Diagnostic diagnostic);
  const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }

 private:
  std::vector<Diagnostic> diagnostics_;
};

/// A run was stopped by the caller's progress callback.
class FLOPCAST_API Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

}  // namespace flopcast
