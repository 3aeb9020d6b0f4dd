#include "analysis/cli/terminal.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "analysis/render/format.h"
#include "sim/replay.h"

namespace flopcast {
namespace {

volatile sig_atomic_t interrupt_flag = 0;

extern "C" void raise_interrupt_flag(int) { interrupt_flag = 1; }

}  // namespace

bool terminal_colours(std::FILE* stream) {
  const char* const no_color = std::getenv("NO_COLOR");
  return isatty(fileno(stream)) != 0 && (no_color == nullptr || *no_color == '\0');
}

InterruptGuard::InterruptGuard() {
  interrupt_flag = 0;
  struct sigaction action = {};
  action.sa_handler = raise_interrupt_flag;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // no SA_RESTART: waits are cut short
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

InterruptGuard::~InterruptGuard() {
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
}

bool InterruptGuard::raised() { return interrupt_flag != 0; }

void InterruptGuard::check() {
  if (raised()) throw Interrupted();
}

ProgressLine::ProgressLine() : on_(isatty(STDERR_FILENO) != 0) {}

void ProgressLine::stage(const std::string& what) {
  stage_ = what;
  begin_ = last_ = Clock::now();
  show("replaying " + what);
}

void ProgressLine::update(std::uint64_t done, std::uint64_t all, const char* unit) {
  if (!on_) return;
  const Clock::time_point now = Clock::now();
  if (now - last_ < std::chrono::milliseconds(200) || done == 0) return;
  last_ = now;
  const double elapsed = std::chrono::duration<double>(now - begin_).count();
  const double rate = static_cast<double>(done) / elapsed;
  show(fmt::format("replaying {}: {:.0f} %, {} {}/s, {:.0f} s left", stage_,
                   100.0 * static_cast<double>(done) / static_cast<double>(all), format_count(rate), unit,
                   static_cast<double>(all - done) / rate));
}

void ProgressLine::show(const std::string& text) {
  if (!on_) return;
  fmt::print(stderr, "\r\x1b[K{}", text);
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::clear() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
  shown_ = false;
}

}  // namespace flopcast
