#include "analysis/app/app_loader.h"

#include <filesystem>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"

namespace flopcast {
namespace {

FileRule rule_of(const Libraries& libraries, const std::string& folder) {
  std::vector<std::string> folders;
  if (!folder.empty()) folders.push_back(folder);
  for (const std::string& root : libraries.roots()) {
    for (const std::string& below : folders_of(LibraryKind::scenarios))
      if (std::filesystem::is_directory(root + "/" + below)) folders.push_back(root + "/" + below);
  }
  return FileRule(std::move(folders));
}

}  // namespace

AppLoader::AppLoader(Environment environment, const std::string& folder)
    : environment_(std::move(environment)), rule_(rule_of(environment_.data().libraries(), folder)) {}

ResolvedScenario AppLoader::resolve(const AppScenario& scenario) const {
  const EnvironmentData& data = environment_.data();
  return completed(load_scenario_text(scenario.text, scenario.label, scenario.sets, data.libraries(), rule_), data);
}

OpenScenario AppLoader::open(const AppScenario& scenario) const {
  return load_open_scenario_text(scenario.text, scenario.label, scenario.sets, environment_.data().libraries(), rule_);
}

}  // namespace flopcast
