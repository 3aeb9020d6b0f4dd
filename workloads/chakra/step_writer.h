// Writes a training step as execution traces (Chakra 0.0.4), a file per rank, with the communicators as ASTRA-sim reads
// them.
//
// What the format has no room for stands in attributes of our own, which other readers pass over: times and latencies
// to the last digit (the format knows whole microseconds), and the flows that communication is made of. With them the
// traces, read again for the same cluster, take the same time; for another one they are replayed like anybody's.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "hwmodels/fabric/topology.h"
#include "workloads/training/passes/shard_traffic.h"
#include "workloads/training/prices/step_layout.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

class StepWriter {
 public:
  /// @param cluster a text that is the same for clusters on which the step takes the same time.
  /// @throws InputError when the step is none that traces can hold: only part of it was built.
  StepWriter(const TrainingConfig& config, const TrainingStep& step, Topology& topology, std::string cluster);

  /// GPUs of the job.
  int ranks() const { return grid_.pipeline * grid_.per_stage(); }
  /// GPUs that were replayed, ascending.
  std::vector<RankId> replayed() const;
  /// The trace of a GPU: of one that was not replayed that of the GPU which stands for it, its partners moved along.
  /// @param folded ranks are left out that others stand for.
  std::string rank_file(RankId gpu, bool folded);
  /// What the compute nodes of a GPU hold of waiting for the host: a layer waits for its host only as long as neither
  /// kernels nor communication take, so that with other links it would be another time.
  Seconds host_wait(RankId gpu) const;
  /// Communicators of all ranks written so far.
  std::string groups_json() const;

 private:
  using Among = StepCollective::Among;
  /// Something another GPU waits for: an operation of `from` that `needs` of `to` cannot start before.
  struct Message {
    std::uint32_t from = 0, to = 0;  // programs
    OpId op, receiver;               // what is sent or has to be done, and the first that waits for it
    int tag = 0;
    bool sent = false;  // op is a message itself; else one of no bytes follows it
  };
  void list_operations();
  void find_messages();
  void needs_of(OpId op, std::uint32_t program, std::vector<OpId>& own, std::vector<OpId>& foreign) const;
  bool is_collective(OpId op) const;
  bool is_message(OpId op) const;
  bool goes_to(OpId op, std::uint32_t from, std::uint32_t to) const;
  bool covered(OpId op, std::span<const OpId> own, OpId foreign) const;
  std::uint32_t stands_for(RankId gpu) const;
  RankId moved(RankId partner, RankId representative, RankId gpu) const;
  std::vector<int> exchange_group(RankId gpu) const;
  std::vector<int> group(Among among, RankId gpu) const;
  int group_number(std::vector<int> ranks);
  void write_node(std::string& out, OpId op, std::uint32_t program, RankId gpu);
  void write_receive(std::string& out, std::size_t message, std::uint32_t program, RankId gpu) const;

  const TrainingConfig& config_;
  const TrainingStep& step_;
  Topology& topology_;  // whose routes are made when they are first asked for
  std::string cluster_;
  JobGrid grid_;
  ShardGroups shard_groups_;
  std::vector<std::uint32_t> program_of_lane_;
  std::vector<std::vector<OpId>> operations_;  // by program
  std::vector<std::uint32_t> first_need_;      // by operation, into needs_
  std::vector<OpId> needs_;                    // predecessors
  std::vector<Message> messages_;              // in order of the operation that is waited for
  std::map<std::uint32_t, std::vector<std::size_t>> sent_by_, awaited_by_;  // by operation: messages
  std::map<std::uint32_t, std::size_t> collective_of_;                      // by operation
  std::map<std::vector<int>, int> groups_;
};

}  // namespace flopcast
