// What went wrong, on stderr, and the exit code for it.
#pragma once
#include <exception>
#include <stdexcept>

namespace flopcast {

/// Ctrl-C, after which something is kept all the same; what() says what.
class InterruptedAndKept : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Bad input: 2, every diagnostic shown (and the memory table when a plan does not fit). Ctrl-C: 130. Else 1.
int report_failure(const std::exception_ptr& failure);

/// What cannot be thrown any further (memory that runs out in a function of the library that must not throw) is written
/// and ends the program with kExitInternal, not with a core.
void report_termination();

}  // namespace flopcast
