#include "scenarios/read/libraries/libraries.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "scenarios/read/libraries/library_cache.h"
#include "scenarios/read/libraries/library_entries.h"
#include "sim/base/own_file.h"
#include "sim/base/plain_text.h"
#include "workloads/collectives/collectives.h"
#include "workloads/model/attention_kinds.h"
#include "workloads/schedules/schedule.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExtension = ".textproto";

bool is_root(const fs::path& folder) {
  std::error_code error;
  return fs::is_directory(folder / "hwmodels" / "data", error);
}

/// The data that belongs to this program or library: of the source tree round it, or of the prefix that it was
/// installed to, wherever that prefix lies now. The nearest one.
std::vector<std::string> program_roots() {
  for (fs::path folder = own_file().parent_path(); folder.has_relative_path(); folder = folder.parent_path()) {
    for (const fs::path& root : {folder, folder / "share" / "flopcast"})
      if (is_root(root)) return {root.string()};
  }
  return {};
}

std::vector<std::string> split_colons(const char* text) {
  std::vector<std::string> parts;
  for (std::string rest = text ? text : ""; !rest.empty();) {
    const auto cut = rest.find(':');
    if (cut != 0) parts.push_back(rest.substr(0, cut));
    rest = cut == std::string::npos ? "" : rest.substr(cut + 1);
  }
  return parts;
}

/// A name is a file's stem that can be printed, never a path out of the library.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos && name[0] != '.' &&
         first_unplain(name) == std::string::npos;
}

std::vector<std::string> names_in(const std::vector<std::string>& roots, LibraryKind kind) {
  std::set<std::string> names;
  for (const std::string& root : roots) {
    for (const std::string& folder : folders_of(kind)) {
      std::error_code error;
      for (const auto& file : fs::directory_iterator(fs::path(root) / folder, error)) {
        const std::string name = file.path().stem().string();
        if (file.path().extension() == kExtension && is_plain_name(name)) names.insert(name);
      }
    }
  }
  return {names.begin(), names.end()};
}

std::optional<std::string> found_in(const std::vector<std::string>& roots, LibraryKind kind, const std::string& name) {
  for (const std::string& root : roots) {
    for (const std::string& folder : folders_of(kind)) {
      const fs::path path = fs::path(root) / folder / (name + kExtension);
      std::error_code error;
      if (fs::is_regular_file(path, error)) return path.string();
    }
  }
  return std::nullopt;
}

/// Without hardware nothing can be looked up, and every name would be called unknown: the program has been moved away
/// from its data.
void check_hardware(const std::vector<std::string>& roots) {
  if (std::any_of(roots.begin(), roots.end(), is_root)) return;
  throw InputError(Diagnostic{
      .found = fmt::format("no library of hardware {}",
                           roots.empty() ? "beside the program" : fmt::format("in {}", fmt::join(roots, ", "))),
      .expected = "the data that is installed with the program",
      .remedy = "--library FOLDER or FLOPCAST_LIBRARY, with the folder that holds hwmodels/data"});
}

template <class Row>
std::vector<std::string> row_names(std::span<const Row> rows) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.emplace_back(row.name);
  return names;
}

}  // namespace

std::vector<std::string> folders_of(LibraryKind kind) {
  switch (kind) {
    case LibraryKind::gpus:
      return {"gpus", "hwmodels/data/gpus"};
    case LibraryKind::nodes:
      return {"nodes", "hwmodels/data/nodes"};
    case LibraryKind::fabrics:
      return {"fabrics", "hwmodels/data/fabrics"};
    case LibraryKind::clusters:
      return {"clusters", "hwmodels/data/clusters"};
    case LibraryKind::models:
      return {"models", "workloads/data/models"};
    case LibraryKind::software:
      return {"software", "workloads/data/software"};
    case LibraryKind::scenarios:
      return {"scenarios", "scenarios/library"};
    case LibraryKind::engines:
      return {"engines", "workloads/data/serving/engines"};
    case LibraryKind::frameworks:
      return {"frameworks", "workloads/data/rl/frameworks"};
    case LibraryKind::schedules:
    case LibraryKind::collectives:
    case LibraryKind::attention_kinds:
      break;
  }
  return {};
}

Libraries Libraries::discover(std::span<const std::string> user_folders) {
  std::vector<std::string> roots(user_folders.begin(), user_folders.end());
  for (std::string& folder : split_colons(std::getenv("FLOPCAST_LIBRARY"))) roots.push_back(std::move(folder));
  Diagnostics faults;
  for (const std::string& folder : roots) {
    std::error_code error;
    if (!fs::is_directory(folder, error))
      faults.push_back({folder, 0, 0, "", "no such folder", "a folder with a library", ""});
  }
  if (!faults.empty()) throw InputError(faults);
  for (std::string& root : program_roots()) roots.push_back(std::move(root));
  check_hardware(roots);
  return Libraries(std::move(roots));
}

Libraries Libraries::remembering() const {
  Libraries out = *this;
  out.cache_ = std::make_shared<LibraryCache>();
  return out;
}

std::vector<std::string> Libraries::names(LibraryKind kind) const {
  if (kind == LibraryKind::schedules) return row_names(schedules());
  if (kind == LibraryKind::collectives) return row_names(collectives());
  if (kind == LibraryKind::attention_kinds) return row_names(attention_kinds());
  if (!cache_) return names_in(roots_, kind);
  const std::string key = fmt::format("names/{}", static_cast<int>(kind));
  return *cache_->get<std::vector<std::string>>(key, [&] { return names_in(roots_, kind); });
}

std::optional<std::string> Libraries::find(LibraryKind kind, const std::string& name) const {
  if (!is_plain_name(name)) return std::nullopt;
  if (!cache_) return found_in(roots_, kind, name);
  const std::string key = fmt::format("find/{}/{}", static_cast<int>(kind), name);
  return *cache_->get<std::optional<std::string>>(key, [&] { return found_in(roots_, kind, name); });
}

std::optional<std::string> Libraries::find_file(const std::string& path_below_root) const {
  for (const std::string& root : roots_) {
    const fs::path path = fs::path(root) / path_below_root;
    std::error_code error;
    if (fs::is_regular_file(path, error)) return path.string();
  }
  return std::nullopt;
}

bool Libraries::runs(const std::string& gpu) const {
  return unpublished_figures(load_entry<proto::Gpu>(*this, gpu).message).empty();
}

GpuSpec Libraries::gpu(const std::string& name) const {
  const auto entry = load_entry<proto::Gpu>(*this, name);
  if (const auto unknown = unpublished_figures(entry.message); !unknown.empty()) {
    throw InputError(entry.places.fault("unknown",
                                        fmt::format("{} of {}, not published", fmt::join(unknown, ", "), name),
                                        "figures that a replay needs"));
  }
  return gpu_spec(entry);
}

NodeSpec Libraries::node(const std::string& name) const {
  const auto entry = load_entry<proto::Node>(*this, name);
  return node_spec(entry, gpu(entry.message.gpu()));
}

FabricSpec Libraries::fabric(const std::string& name) const {
  return fabric_spec(load_entry<proto::Fabric>(*this, name));
}

ClusterSpec Libraries::cluster(const std::string& name) const {
  Diagnostics faults;
  ClusterSpec spec = cluster_spec(load_entry<proto::Cluster>(*this, name), "", *this, faults);
  if (!faults.empty()) throw InputError(faults);
  return spec;
}

ModelConfig Libraries::model(const std::string& name) const {
  Diagnostics faults;
  ModelConfig model = model_config(load_entry<proto::Model>(*this, name), faults);
  if (!faults.empty()) throw InputError(faults);
  return model;
}

SoftwareProfile Libraries::software(const std::string& name) const {
  return software_profile(load_entry<proto::Software>(*this, name));
}

LibraryKind library_kind(const std::string& word) {
  const std::vector<std::string> words{"gpus",        "nodes",     "fabrics",  "clusters", "models",    "schedules",
                                       "collectives", "scenarios", "software", "engines",  "frameworks"};
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == word) return static_cast<LibraryKind>(i + 1);
  }
  throw InputError(Diagnostic{"", 0, 0, "", quoted(word), fmt::format("one of {}", fmt::join(words, ", ")),
                              nearest_name(word, words)});
}

}  // namespace flopcast
