#include "analysis/cli/terminal/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>

#include "analysis/cli/terminal/exit_codes.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/render/text/format.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

int stdout_error = 0;  // errno of the first write that failed
Verbosity said = Verbosity::normal;

// Opened the wrong way round, so that whoever uses the stream hears that he cannot.
void occupy(int descriptor, int flags) {
  if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) return;
  const int opened = ::open("/dev/null", flags);  // the lowest free number
  if (opened >= 0 && opened != descriptor) {
    ::dup2(opened, descriptor);
    ::close(opened);
  }
}

// Every line broken on its own, at most `width` columns wide; what goes on is set in.
std::string broken_lines(const std::string& text, std::size_t width) {
  std::string out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    // Lines that fit stay as they are: their blanks may be columns.
    out += display_width(line) <= width ? line : wrap(line, width - 2, "  ");
    if (end < text.size()) out += '\n';
    at = end + 1;
  }
  return out;
}

}  // namespace

void hold_standard_streams() {
  occupy(STDIN_FILENO, O_WRONLY);
  occupy(STDOUT_FILENO, O_RDONLY);
  occupy(STDERR_FILENO, O_RDONLY);
  // A reader that has gone and a file that may not grow are errors of a write, not the end.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void set_verbosity(Verbosity verbosity) { said = verbosity; }
Verbosity verbosity() { return said; }

void put(std::string_view text) {
  errno = 0;
  const bool taken = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!taken && stdout_error == 0) stdout_error = errno == 0 ? EIO : errno;
}

void show(std::string_view text) {
  if (said != Verbosity::quiet) put(text);
}

void remark(std::string_view line) noexcept {
  if (said != Verbosity::quiet) tell(line);
}

void note(std::string_view line) noexcept {
  if (said == Verbosity::verbose) tell(line);
}

void tell_fault(std::string_view line) noexcept {
  const std::size_t end = line.find(" found ");
  if (end == std::string_view::npos || !terminal_colours(stderr)) return tell(line);
  std::string shown;
  try {
    const TextStyle style = terminal_style(stderr);
    shown = broken_lines(visible(line, LineEnds::allowed), style.width());
    const std::size_t place = std::min(shown.find(" found "), shown.size());
    shown = style.bad(shown.substr(0, place)) + shown.substr(place);
  } catch (const std::bad_alloc&) {
    return tell(line);
  }
  tell_styled(shown);
}

void tell(std::string_view line) noexcept {
  std::string shown;
  try {
    shown = visible(line, LineEnds::allowed);
    if (::isatty(STDERR_FILENO) != 0) shown = broken_lines(shown, terminal_style(stderr).width());
    line = shown;
  } catch (const std::bad_alloc&) {
    // Then as it is.
  }
  tell_styled(line);
}

void tell_styled(std::string_view line) noexcept {
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fputc('\n', stderr);
}

int close_standard_streams(int code) {
  const bool failed_before = stdout_error != 0 || std::ferror(stdout) != 0;
  errno = 0;
  if (std::fclose(stdout) != 0 && stdout_error == 0) stdout_error = errno == 0 ? EIO : errno;
  const bool lost = failed_before || stdout_error != 0;
  // `| head -1`: who reads has had enough, and other tools end without a word then.
  if (stdout_error == EPIPE && code == 0) return kExitReaderGone;
  if (lost && code == 0) {
    tell(std::string("flopcast: stdout cannot be written: ") + std::strerror(stdout_error == 0 ? EIO : stdout_error));
    code = kExitInternal;
  }
  // Warnings that nobody could read are no success either.
  if ((std::ferror(stderr) != 0 || std::fclose(stderr) != 0) && code == 0) code = kExitInternal;
  return code;
}

}  // namespace flopcast
