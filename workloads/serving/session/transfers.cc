#include "workloads/serving/session/transfers.h"

#include <algorithm>
#include <cassert>

#include "workloads/serving/session/totals.h"

namespace flopcast {
namespace {

RankId first_gpu(const FleetPool& pool, std::size_t unit, std::uint32_t group) {
  const auto replica = static_cast<int>(unit - pool.first);
  return RankId::at(pool.config.first_gpu + replica * pool.config.plan.gpus() +
                    static_cast<int>(group) * pool.config.plan.tensor);
}

}  // namespace

Transfers::Transfers(const SessionConfig& config, ReplicaFleet& fleet, JobTable& jobs, Topology* topology,
                     const Ticks& now)
    : config_(config), fleet_(fleet), jobs_(jobs), topology_(topology), now_(now) {
  for (std::size_t p = 0; p < config.pools.size(); ++p) {
    const PoolConfig& pool = config.pools[p];
    assert(hands_on(pool.replica.role) == pool.next.has_value() && (!pool.next || (*pool.next > p && topology)));
    if (pool.next && !moves_) moves_ = std::make_unique<CacheMoves>(*topology, config.cache_pace);
  }
}

/// To the attention group that a decode replica has given it a place in, to the first group of others, which choose one
/// when it is there.
void Transfers::send(JobId id, std::size_t unit) {
  Job& job = jobs_[id];
  FleetUnit &source = fleet_.units()[job.source], &target = fleet_.units()[unit];
  const FleetPool &from = fleet_.pools()[source.pool], &to = fleet_.pools()[target.pool];
  const bool has_place = to.config.replica.role == ReplicaRole::decode;
  if (!has_place) ++target.coming;
  CacheMove move;
  move.job = id;
  move.lanes = std::min(from.config.plan.tensor, to.config.plan.tensor);
  move.from = job.source;
  move.to = static_cast<std::uint32_t>(unit);
  move.sender = first_gpu(from, job.source, job.source_rank);
  move.receiver = first_gpu(to, unit, has_place ? job.rank : 0);
  move.bytes = from.config.kv_bytes_per_token * (static_cast<double>(job.request.input_tokens) / move.lanes);
  if (from.config.replica.role == ReplicaRole::prefill) {
    move.computing = job.computing;
    move.parts = config_.send_in_parts;
  }
  job.computing = 0;
  if (!topology_->same_node(move.sender, move.receiver)) {
    move.from_busy = source.replica->exchange_share();
    move.to_busy = target.replica->exchange_share();
  }
  moves_->start(move, now_);
}

void Transfers::land() {
  if (!moves_) return;
  for (const CacheMove& move : moves_->landed(now_)) {
    fleet_.units()[move.from].replica->release(move.job, now_, move.from_busy);
    fleet_.touch(move.from);
    FleetUnit& to = fleet_.units()[move.to];
    if (to.replica->config().role == ReplicaRole::decode) {
      to.replica->join(move.job, now_, move.to_busy);
    } else {
      --to.coming;
      to.replica->submit(move.job, now_);
    }
    fleet_.touch(move.to);
  }
}

void Transfers::cancel(std::size_t unit, std::vector<JobId>& homeless) {
  if (!moves_) return;
  for (const CacheMove& move : moves_->cancel(static_cast<std::uint32_t>(unit), now_)) {
    if (move.from != unit) {
      fleet_.units()[move.from].replica->release(move.job, now_, 0);
      fleet_.touch(move.from);
    }
    FleetUnit& to = fleet_.units()[move.to];
    if (to.replica->config().role != ReplicaRole::decode) {
      --to.coming;
      fleet_.touch(move.to);
    } else if (move.to != unit) {
      to.replica->unplace(move.job, now_);
      fleet_.touch(move.to);
    }
    homeless.push_back(move.job);
  }
}

void Transfers::drop_source(JobId id) {
  const std::uint32_t source = jobs_[id].source;
  if (source == Job::kNoSource) return;
  fleet_.touch(source);
  fleet_.units()[source].replica->release(id, now_, 0);
}

void Transfers::add_to(SessionTotals& totals) const {
  if (!moves_) return;
  totals.transfers = moves_->count();
  totals.transfer_time = to_seconds(moves_->time());
  totals.contended_transfers = static_cast<std::int64_t>(moves_->contended());
  totals.transferred = moves_->delivered();
}

}  // namespace flopcast
