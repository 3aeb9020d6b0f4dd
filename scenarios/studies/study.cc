#include "scenarios/studies/study.h"

#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "scenarios/proto/study.pb.h"
#include "scenarios/read/fields/field_rules.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/read/text/path_or_name.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolders[] = {"studies", "scenarios/studies"};
constexpr const char* kExtension = ".textproto";

bool is_study(const std::string& path, StudyKind kind) {
  proto::Study study;
  Places places;
  Diagnostics faults;
  parse_text(read_text_file(path), path, study, places, faults);
  return kind == StudyKind::sweep ? study.axis_size() > 0 : study.member_size() > 0;
}

}  // namespace

std::string beside_study(const std::string& study, const std::string& scenario) {
  return looks_like_path(scenario) && !fs::path(scenario).is_absolute()
             ? (fs::path(study).parent_path() / scenario).string()
             : scenario;
}

std::vector<std::string> study_names(const Libraries& libraries, StudyKind kind) {
  std::set<std::string> names;
  for (const std::string& root : libraries.roots()) {
    for (const char* folder : kFolders) {
      std::error_code error;
      for (const auto& file : fs::directory_iterator(fs::path(root) / folder, error)) {
        if (file.path().extension() != kExtension) continue;
        try {
          if (is_study(file.path().string(), kind)) names.insert(file.path().stem().string());
        } catch (const InputError&) {  // no text: no study either
        }
      }
    }
  }
  return {names.begin(), names.end()};
}

std::optional<std::string> find_study(const Libraries& libraries, const std::string& name_or_file) {
  std::error_code error;
  if (fs::is_regular_file(name_or_file, error))
    return is_study(name_or_file, StudyKind::comparison) ? std::optional(name_or_file) : std::nullopt;
  const auto path = study_file(libraries, name_or_file);
  return path && is_study(*path, StudyKind::comparison) ? path : std::nullopt;
}

std::optional<std::string> study_file(const Libraries& libraries, const std::string& name) {
  if (name.find('/') != std::string::npos) return std::nullopt;
  for (const char* folder : kFolders) {
    if (auto path = libraries.find_file(fmt::format("{}/{}{}", folder, name, kExtension))) return path;
  }
  return std::nullopt;
}

Study load_study(const Libraries& libraries, const std::string& path) {
  proto::Study in;
  Places places;
  Diagnostics faults;
  parse_text(read_text_file(path), path, in, places, faults);
  check_fields(in, "", places, names_of(libraries), true, faults);
  if (in.member_size() < 2)
    faults.push_back(places.fault("member", fmt::format("{} members", in.member_size()), "two or more"));
  Study out;
  out.title = in.title();
  out.notes.assign(in.note().begin(), in.note().end());
  for (int i = 0; i < in.member_size(); ++i) {
    const proto::Member& member = in.member(i);
    const std::string& scenario = member.has_scenario() ? member.scenario() : in.scenario();
    if (scenario.empty())
      faults.push_back(
          places.fault(fmt::format("member[{}].scenario", i), "nothing", "a scenario, here or for the study"));
    out.members.push_back({member.name(), beside_study(path, scenario), {member.set().begin(), member.set().end()}});
  }
  if (!faults.empty()) throw InputError(faults);
  return out;
}

}  // namespace flopcast
