#include "scenarios/resolve/load_scenario.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/fields/set_field.h"
#include "scenarios/read/text/path_or_name.h"
#include "scenarios/resolve/fingerprint.h"
#include "scenarios/resolve/open_scenario.h"
#include "scenarios/resolve/resolver.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

/// A file when there is one or the text looks like a path, else an entry of the library.
std::string scenario_path(const std::string& file_or_name, const Libraries& libraries) {
  if (names_file(file_or_name)) return file_or_name;
  if (const auto path = libraries.find(LibraryKind::scenarios, file_or_name)) return *path;
  const auto names = libraries.names(LibraryKind::scenarios);
  throw InputError(Diagnostic{"", 0, 0, "", quoted(file_or_name),
                              "a scenario file, or " + one_of(file_or_name, names, "flopcast list scenarios"),
                              nearest_name(file_or_name, names)});
}

/// Paths of the fields that a message states, those of messages within it too.
void note_stated(const google::protobuf::Message& message, const std::string& path, std::set<std::string>& stated) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const auto* field : fields) {
    const std::string name = (path.empty() ? "" : path + ".") + field->name();
    stated.insert(name);
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated()) {
      note_stated(message.GetReflection()->GetMessage(message, field), name, stated);
    }
  }
}

/// Whether an override is of what is run, not only of what is said of it or paid for it.
bool changes_run(std::string_view assignment) {
  constexpr std::string_view kRun[] = {"cluster", "model", "model_override", "training"};
  const std::string_view root = assignment.substr(0, assignment.find_first_of(".[="));
  return std::find(std::begin(kRun), std::end(kRun), root) != std::end(kRun);
}

StatedScenario read_scenario(const std::string& text, const std::string& file, std::span<const std::string> sets) {
  StatedScenario read;
  // What an unfinished reading lacks says nothing about the file.
  if (!parse_text(checked_text(text, file), file, read.scenario, read.places, read.faults)) {
    throw InputError(read.faults);
  }
  const proto::Cluster priced = read.scenario.cluster();
  for (const std::string& assignment : sets) set_field(assignment, read.scenario, read.places, read.faults);
  read.run_changed = std::any_of(sets.begin(), sets.end(), changes_run);
  const auto touches = [&](std::string_view root) {
    return std::any_of(sets.begin(), sets.end(), [&](std::string_view assignment) {
      return assignment.substr(0, assignment.find_first_of(".[={")) == root;
    });
  };
  if (touches("cluster") && !touches("price")) read.priced = priced;
  return read;
}

/// An override that says what the text says, or what holds without it, changes no run.
void settle_changed(Scenario& scenario, const std::string& text, const std::string& file, const Libraries& libraries,
                    const FileRule& rule, Openness openness) {
  if (!scenario.run_changed || scenario.published.empty()) return;
  try {
    const Scenario own = resolve_message(read_scenario(text, file, {}), file, libraries, rule, openness);
    const auto run_of = [](const Scenario& whole) {
      Scenario run;
      run.cluster = whole.cluster;
      run.training = whole.training;
      return fingerprint(run);
    };
    scenario.run_changed = run_of(own) != run_of(scenario);
  } catch (const InputError&) {
    // Without the overrides it is no run.
  }
}

}  // namespace

OpenScenario load_open_scenario(const std::string& file_or_name, std::span<const std::string> sets,
                                const Libraries& libraries) {
  const std::string path = scenario_path(file_or_name, libraries);
  return load_open_scenario_text(read_text_file(path), path, sets, libraries);
}

OpenScenario load_open_scenario_text(const std::string& text, const std::string& file,
                                     std::span<const std::string> sets, const Libraries& libraries,
                                     const FileRule& rule) {
  StatedScenario read = read_scenario(text, file, sets);
  // What is not stated is open: the whole plan too.
  if (read.scenario.has_training()) read.scenario.mutable_training()->mutable_plan();
  OpenScenario open;
  note_stated(read.scenario, "", open.stated);
  google::protobuf::TextFormat::Printer printer;
  printer.PrintToString(read.scenario, &open.text);
  open.scenario = resolve_message(std::move(read), file, libraries, rule, Openness::open);
  settle_changed(open.scenario, text, file, libraries, rule, Openness::open);
  return open;
}

Scenario load_scenario(const std::string& file_or_name, std::span<const std::string> sets, const Libraries& libraries) {
  const std::string path = scenario_path(file_or_name, libraries);
  return load_scenario_text(read_text_file(path), path, sets, libraries);
}

Scenario load_scenario_text(const std::string& text, const std::string& file, std::span<const std::string> sets,
                            const Libraries& libraries) {
  return load_scenario_text(text, file, sets, libraries, FileRule());
}

Scenario load_scenario_text(const std::string& text, const std::string& file, std::span<const std::string> sets,
                            const Libraries& libraries, const FileRule& rule) {
  Scenario scenario = resolve_message(read_scenario(text, file, sets), file, libraries, rule, Openness::settled);
  settle_changed(scenario, text, file, libraries, rule, Openness::settled);
  return scenario;
}

}  // namespace flopcast
