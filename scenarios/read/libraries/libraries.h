// The libraries of GPUs, nodes, fabrics, clusters, models and scenarios: where their files are and what they
// hold.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "sim/base/diagnostic.h"
#include "workloads/model/model.h"
#include "workloads/software/software.h"

namespace flopcast {

/// In the order of enum Library of scenarios/proto/rules.proto.
enum class LibraryKind {
  gpus = 1,
  nodes,
  fabrics,
  clusters,
  models,
  schedules,
  collectives,
  scenarios,
  software,
  engines,
  frameworks,
  attention_kinds
};

/// Folders below a root that may hold entries of a kind, the user's own first; none for the program's own tables.
std::vector<std::string> folders_of(LibraryKind kind);

class LibraryCache;

/// A search path. An entry is named after its file; where two folders hold the same name, the first folder
/// wins.
class Libraries {
 public:
  /// @param roots folders in the order they are searched. In each, an entry is looked for in `KIND/`
  /// (a folder of the user's own) and where the source tree keeps it: `hwmodels/data/KIND/`,
  /// `workloads/data/KIND/`, `workloads/data/serving/engines/`, `workloads/data/rl/frameworks/`, `scenarios/library/`.
  explicit Libraries(std::vector<std::string> roots) : roots_(std::move(roots)) {}

  /// The user's folders first (--library, then $FLOPCAST_LIBRARY, separated by colons), then the source tree
  /// that the program was built in, then the prefix it was installed to.
  /// @throws InputError if a folder of the user's does not exist.
  static Libraries discover(std::span<const std::string> user_folders);

  /// The same folders, of which every file is read at most once: for work that asks for the same entries again and
  /// again. Later changes of files are not seen. Copies share what they remember.
  Libraries remembering() const;

  const std::vector<std::string>& roots() const { return roots_; }
  /// Names of a kind, sorted.
  std::vector<std::string> names(LibraryKind kind) const;
  /// The entry's file.
  std::optional<std::string> find(LibraryKind kind, const std::string& name) const;
  /// A file by its path below a root, such as "hwmodels/data/kernel_calibration.textproto".
  std::optional<std::string> find_file(const std::string& path_below_root) const;

  /// False for a chip of which figures that a replay needs are not published: rules know it, nothing runs on it.
  bool runs(const std::string& gpu) const;

  /// Resolved entries: bases followed, quantities typed. @throws InputError with everything wrong in the
  /// entry's files.
  GpuSpec gpu(const std::string& name) const;
  NodeSpec node(const std::string& name) const;
  FabricSpec fabric(const std::string& name) const;
  ClusterSpec cluster(const std::string& name) const;
  ModelConfig model(const std::string& name) const;
  SoftwareProfile software(const std::string& name) const;

  LibraryCache* cache() const { return cache_.get(); }  ///< null: nothing is remembered

 private:
  std::vector<std::string> roots_;
  std::shared_ptr<LibraryCache> cache_;
};

/// One line of `flopcast list`.
struct LibraryRow {
  std::string name;
  std::string title;
  std::string figures;  ///< what one compares entries by
  std::string source;
  std::string group = {};  ///< of scenarios: the kind of work, as a heading
};
std::vector<LibraryRow> list_library(LibraryKind kind, const Libraries& libraries);

/// "gpus" -> LibraryKind::gpus. @throws InputError with the nearest kind.
LibraryKind library_kind(const std::string& word);

/// What `flopcast show NAME` prints: the file of the entry as it was written, and for a variant also the
/// whole of what it amounts to. Looks through every kind. @throws InputError with the nearest name.
std::string to_text(const std::string& name, const Libraries& libraries);

}  // namespace flopcast
