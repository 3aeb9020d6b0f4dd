// What the loaders of the parts of `serving { ... }` share. Internal to scenarios/resolve.
#pragma once
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "scenarios/proto/serving.pb.h"
#include "scenarios/read/fields/section.h"
#include "scenarios/resolve/serving/load_serving.h"

namespace flopcast {

/// All that a message states, on one line, the same in every version of Protobuf.
std::string stated_text(const google::protobuf::Message& message);

struct ServingPart {
  const proto::Serving& in_;
  const ServingContext& context_;
  Diagnostics& faults_;
  std::shared_ptr<ServingScenario> out_;

  void fault(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    faults_.push_back(
        context_.places->fault(context_.root + path, std::move(found), std::move(expected), std::move(suggestion)));
  }
  bool sound(const std::string& path) const { return is_sound(faults_, context_.root + path); }
  /// A name that no row of a table of the program has.
  template <class Row>
  void check_name(const std::string& name, std::span<const Row> rows, const std::string& path) {
    if (find_policy(rows, name)) return;
    std::vector<std::string> names;
    for (const Row& row : rows) names.emplace_back(row.name);
    fault(path, flopcast::quoted(name), fmt::format("one of {}", fmt::join(names, ", ")), nearest_name(name, names));
  }
};

/// Streams, their lengths, arrivals, promises and rules.
void load_traffic(const ServingPart& serving);

/// Faults of a pool that cannot be: degrees that do not fit the model, what its GPU lacks, weights and caches that do
/// not fit into memory.
void check_pool(const ServingPart& serving, const PoolSpec& spec, const std::string& path);

/// The model that `speculation.model` names, of each pool.
void load_draft_model(ServingPart serving, EngineConfig& engine);

}  // namespace flopcast
