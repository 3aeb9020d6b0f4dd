// What the user sits at: colours, progress, Ctrl-C.
#pragma once
#include <signal.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "analysis/cli/terminal/progress_text.h"
#include "analysis/render/text/text_table.h"

namespace flopcast {

/// Whether to colour what goes to `stream`: a terminal, and NO_COLOR (no-color.org) not set.
bool terminal_colours(std::FILE* stream);

/// How text for `stream` is written: colours as above; as wide as the terminal, within 60 and 200 columns; 80 in a file
/// or a pipe.
TextStyle terminal_style(std::FILE* stream);

/// While it lives, Ctrl-C and SIGTERM end the program at once, with kExitInterrupted: child processes end with it
/// (sim/jobs/process.h), unfinished files go (sim/base/atomic_file.h), one line on stderr says so.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction interrupt_before_ = {}, terminate_before_ = {};
};

/// While it lives, the first Ctrl-C (or SIGTERM) only raises a flag: for a command that goes on until then and ends
/// well. The second one ends the program.
class StopFlag {
 public:
  StopFlag();
  ~StopFlag();
  StopFlag(const StopFlag&) = delete;
  StopFlag& operator=(const StopFlag&) = delete;
  static bool raised();

 private:
  struct sigaction interrupt_before_ = {}, terminate_before_ = {};
};

/// One line on stderr that is written over again: what is going on, how far, how fast, how long still. Silent
/// unless stderr is a terminal; `--verbose` keeps a line of each stage that ends.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { clear(); }
  void stage(const std::string& what);
  void update(std::uint64_t done, std::uint64_t all, const char* unit = "operations");
  /// Both: a stage that is new begins. For studies that name their stage with every report.
  void at(const std::string& what, std::uint64_t done, std::uint64_t all, const char* unit);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void show(const std::string& text);
  void end_stage();
  void wipe();
  bool on_;
  std::string stage_, unit_;
  std::uint64_t done_ = 0;
  Clock::time_point begin_, last_;
  StagePace pace_;
};

}  // namespace flopcast
