// Which replica answers a request.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "flopcast/policies.h"
#include "workloads/serving/traffic/request.h"

namespace flopcast {

constexpr std::size_t kNoReplica = ~std::size_t{0};

class Router {
 public:
  virtual ~Router() = default;
  /// Index of a replica that accepts requests; kNoReplica when none does.
  virtual std::size_t choose(const Request& request, std::span<const ReplicaView> replicas) = 0;
  /// What it remembers, written or read. False: nobody but itself knows what that is.
  virtual bool archive(StateArchive& /*state*/) { return false; }
};

struct RouterRow {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  bool sees_prefix_match = false;  ///< prefix_match_tokens has to be filled in
  bool sees_kv = false;            ///< kv_tokens has to be filled in
  std::function<std::unique_ptr<Router>(std::uint64_t seed)> make;
};

/// One row per file of routers/.
std::span<const RouterRow> routers();
const RouterRow* find_router(std::string_view name);  ///< null when there is none

}  // namespace flopcast
