#include "analysis/cli/line/failure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "analysis/cli/line/command.h"
#include "analysis/cli/terminal/exit_codes.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/render/text/escape.h"
#include "analysis/runs/training/run.h"
#include "analysis/runs/training/show/text_report.h"
#include "sim/base/atomic_file.h"

namespace flopcast {
namespace {

/// Text is for people: a program that started this one (the Python module does) names a file for faults as data.
void keep_for_caller(const InputError& error) {
  const char* const file = std::getenv("FLOPCAST_DIAGNOSTICS");
  if (file == nullptr || *file == '\0') return;
  std::string json;
  for (const Diagnostic& d : error.diagnostics()) {
    json += fmt::format(
        "{}{{\"file\":{},\"line\":{},\"column\":{},\"path\":{},\"found\":{},\"expected\":{},\"nearest\":{},"
        "\"remedy\":{}}}",
        json.empty() ? "" : ",", script_quoted(d.file), d.line, d.column, script_quoted(d.field),
        script_quoted(d.found), script_quoted(d.expected), script_quoted(d.suggestion), script_quoted(d.remedy));
  }
  try {
    write_file_atomically(file, "[" + json + "]\n");
  } catch (const std::exception&) {  // they are told all the same
  }
}

void tell_diagnostics(const InputError& error) {
  keep_for_caller(error);
  for (const Diagnostic& diagnostic : error.diagnostics()) tell_fault(to_string(diagnostic));
  if (!error.diagnostics().empty()) return;
  const std::string_view text = error.what();
  tell(text.empty() ? "flopcast: the input was refused without a reason, which is a fault of this program" : text);
}

void tell_memory(const MemoryRefused& refused) {
  tell_diagnostics(refused);
  std::string table = memory_text(refused.fullest(), refused.capacity(), terminal_style(stderr));
  if (table.ends_with('\n')) table.pop_back();
  tell_styled(table);
  if (!refused.remedies().empty()) tell("\nWhat would make it fit");
  for (const std::string& remedy : refused.remedies()) tell("  - " + remedy);
  tell("\n`--allow-oom` replays the step all the same.");
}

}  // namespace

int report_failure(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const MemoryRefused& refused) {
    tell_memory(refused);
    return kExitBadInput;
  } catch (const InputError& error) {
    tell_diagnostics(error);
    return kExitBadInput;
  } catch (const StuckError& stuck) {
    tell(stuck.what());
    return kExitBadInput;
  } catch (const InterruptedAndKept& interrupted) {
    tell(interrupted.what());
    return kExitInterrupted;
  } catch (const Interrupted&) {
    tell("interrupted; nothing was written");
    return kExitInterrupted;
  } catch (const std::bad_alloc&) {
    tell("flopcast: not enough memory");
    return kExitInternal;
  } catch (const std::exception& error) {
    tell(fmt::format("flopcast: {}", error.what()));
    return kExitInternal;
  } catch (...) {
    tell("flopcast: a failure without a name");
    return kExitInternal;
  }
}

void report_termination() {
  std::set_terminate([] {
    remove_unfinished_files();
    const std::exception_ptr failure = std::current_exception();
    if (failure)
      report_failure(failure);
    else  // where a library lets no exception out: listing a folder, in libstdc++, for want of memory
      tell("flopcast: ended by a library that could not go on, most likely for want of memory");
    ::_exit(kExitInternal);
  });
}

}  // namespace flopcast
