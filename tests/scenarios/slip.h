// A slip of the pen in a text, and what is said of it.
#pragma once

namespace flopcast::test {

struct Slip {
  const char* what;
  const char* from;  ///< in the sound text
  const char* to;
  const char* diagnostic;
};

}  // namespace flopcast::test
