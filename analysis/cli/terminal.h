// What the user sits at: colours, progress, Ctrl-C.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace flopcast {

/// Whether to colour what goes to `stream`: a terminal, and NO_COLOR (no-color.org) not set.
bool terminal_colours(std::FILE* stream);

/// From its making on, the first Ctrl-C (or SIGTERM) only raises a flag, the second one ends the program at
/// once.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  static bool raised();
  /// @throws Interrupted when the flag is up.
  static void check();
};

/// One line on stderr that is written over again: what is going on, how far, how fast, how long still. Silent
/// unless stderr is a terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { clear(); }
  void stage(const std::string& what);
  void update(std::uint64_t done, std::uint64_t all, const char* unit = "operations");
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void show(const std::string& text);
  bool on_;
  bool shown_ = false;
  std::string stage_;
  Clock::time_point begin_, last_;
};

}  // namespace flopcast
