#include "analysis/cli/terminal/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "analysis/cli/terminal/exit_codes.h"
#include "analysis/cli/terminal/progress_text.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/render/text/format.h"
#include "sim/base/atomic_file.h"

namespace flopcast {
namespace {

// Whether the progress line stands on the terminal: the word about the end then begins by wiping it out.
volatile sig_atomic_t progress_line_shown = 0;

void say_to_stderr(std::string_view text) {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

// Nothing here allocates, locks or waits: the signal may have come in the middle of anything.
extern "C" void end_at_once(int) {
  remove_unfinished_files();
  if (progress_line_shown != 0) say_to_stderr("\r\x1b[K");
  say_to_stderr(any_file_committed() ? "interrupted\n" : "interrupted; nothing was written\n");
  ::_exit(kExitInterrupted);
}

volatile sig_atomic_t stop_asked = 0;

extern "C" void ask_to_stop(int) { stop_asked = 1; }

std::string time_left(double seconds) {
  if (seconds < 100) return fmt::format("{:.0f} s", seconds);
  return seconds < 6000 ? fmt::format("{:.0f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace

bool terminal_colours(std::FILE* stream) {
  const char* const no_color = std::getenv("NO_COLOR");
  return isatty(fileno(stream)) != 0 && (no_color == nullptr || *no_color == '\0');
}

InterruptGuard::InterruptGuard() {
  struct sigaction action = {};
  action.sa_handler = end_at_once;
  sigfillset(&action.sa_mask);
  sigaction(SIGINT, &action, &interrupt_before_);
  sigaction(SIGTERM, &action, &terminate_before_);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &interrupt_before_, nullptr);
  sigaction(SIGTERM, &terminate_before_, nullptr);
}

TextStyle terminal_style(std::FILE* stream) {
  constexpr unsigned kNarrowest = 60, kWidest = 200;
  winsize size = {};
  const bool known = ::ioctl(::fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return TextStyle(terminal_colours(stream),
                   known ? std::clamp<unsigned>(size.ws_col, kNarrowest, kWidest) : kTextWidth);
}

StopFlag::StopFlag() {
  stop_asked = 0;
  struct sigaction action = {};
  action.sa_handler = ask_to_stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // no SA_RESTART: waits are cut short
  sigaction(SIGINT, &action, &interrupt_before_);
  sigaction(SIGTERM, &action, &terminate_before_);
}

StopFlag::~StopFlag() {
  sigaction(SIGINT, &interrupt_before_, nullptr);
  sigaction(SIGTERM, &terminate_before_, nullptr);
}

bool StopFlag::raised() { return stop_asked != 0; }

ProgressLine::ProgressLine() : on_(isatty(STDERR_FILENO) != 0 && verbosity() != Verbosity::quiet) {}

void ProgressLine::stage(const std::string& what) {
  end_stage();
  stage_ = what;
  begin_ = last_ = Clock::now();
  pace_ = {};
  show(progress_text(what, 0, 0));
}

void ProgressLine::at(const std::string& what, std::uint64_t done, std::uint64_t all, const char* unit) {
  if (what != stage_) stage(what);
  update(done, all, unit);
}

void ProgressLine::end_stage() {
  if (stage_.empty() || verbosity() != Verbosity::verbose) return;
  wipe();
  const double took = std::chrono::duration<double>(Clock::now() - begin_).count();
  note(fmt::format("{}: {}{}", stage_, format_time(Seconds(took)),
                   done_ == 0 ? "" : fmt::format(", {} {}", format_count(static_cast<double>(done_)), unit_)));
  stage_.clear();
  done_ = 0;
}

void ProgressLine::update(std::uint64_t done, std::uint64_t all, const char* unit) {
  done_ = done;
  unit_ = unit;
  if (!on_) return;
  const Clock::time_point now = Clock::now();
  if (done == 0 || now - last_ < std::chrono::milliseconds(200)) return;
  last_ = now;
  pace_.mark(std::chrono::duration<double>(now - begin_).count(), done);
  std::string text = progress_text(stage_, done, all);
  if (pace_.rate() > 0) text += fmt::format(", {} {}/s", format_count(pace_.rate()), unit);
  if (const std::optional<double> left = pace_.seconds_left(all)) text += fmt::format(", {} left", time_left(*left));
  show(text);
}

void ProgressLine::show(const std::string& text) {
  if (!on_) return;
  progress_line_shown = 1;
  say_to_stderr("\r\x1b[K" + text);
}

void ProgressLine::clear() {
  wipe();
  end_stage();
}

void ProgressLine::wipe() {
  if (progress_line_shown != 0) say_to_stderr("\r\x1b[K");
  progress_line_shown = 0;
}

}  // namespace flopcast
