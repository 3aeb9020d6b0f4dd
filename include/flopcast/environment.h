// What every run shares: libraries of GPUs, nodes, fabrics, clusters, models and scenarios, measured calibrations, the
// power table and the price book.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flopcast/export.h"

namespace flopcast {

class EnvironmentData;

/// Immutable and cheap to copy: copies share one value. May be used by several threads at once. A table is read when
/// it is first needed and never again.
class FLOPCAST_API Environment {
 public:
  explicit Environment(std::shared_ptr<const EnvironmentData> data) : data_(std::move(data)) {}

  /// Folders in the order in which they are searched.
  const std::vector<std::string>& folders() const;
  /// Names of a kind, sorted. @param kind "gpus", "nodes", "fabrics", "clusters", "models", "schedules", "collectives",
  /// "scenarios", "software", "engines" or "frameworks". @throws InputError with the nearest kind.
  std::vector<std::string> names(const std::string& kind) const;
  /// An entry of any kind as its file states it, and in full where it is a variant of another. @throws InputError with
  /// the nearest name.
  std::string show(const std::string& name) const;

  const EnvironmentData& data() const { return *data_; }  ///< for the library itself

 private:
  std::shared_ptr<const EnvironmentData> data_;
};

/// Where entries are looked for: `folders`, then those of $FLOPCAST_LIBRARY (separated by colons), then the data that
/// was built or installed with this library. @throws InputError when one of `folders` does not exist.
FLOPCAST_API Environment load_environment(const std::vector<std::string>& folders = {});

/// "flopcast 0.1.0"
FLOPCAST_API std::string version();

}  // namespace flopcast
