// Which replica answers a request.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "workloads/serving/traffic/request.h"

namespace flopcast {

/// What a router sees of a replica.
struct ReplicaView {
  std::int64_t outstanding = 0;    ///< requests sent to it and not finished
  std::int64_t queued_tokens = 0;  ///< prompt tokens it has still to compute
  std::int64_t kv_tokens = 0;      ///< in use by its requests; only for routers that ask for it
  std::int64_t kv_capacity_tokens = 0;
  std::int32_t prefix_match_tokens = 0;  ///< of this prompt in its caches; only for routers that ask for it
  bool accepting = true;                 ///< up, and not being drained
};

constexpr std::size_t kNoReplica = ~std::size_t{0};

class Router {
 public:
  virtual ~Router() = default;
  /// Index of a replica that accepts requests; kNoReplica when none does.
  virtual std::size_t choose(const Request& request, std::span<const ReplicaView> replicas) = 0;
};

struct RouterRow {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  bool sees_prefix_match = false;  ///< prefix_match_tokens has to be filled in
  bool sees_kv = false;            ///< kv_tokens has to be filled in
  std::unique_ptr<Router> (*make)(std::uint64_t seed) = nullptr;
};

/// One row per file of routers/.
std::span<const RouterRow> routers();
const RouterRow* find_router(std::string_view name);  ///< null when there is none

}  // namespace flopcast
