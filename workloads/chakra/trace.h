// A Chakra execution trace in memory: what one rank computes, loads and tells others, and what has to be done before
// what. Format: mlcommons/chakra, schema/protobuf/et_def.proto (2023 to 2026); read by et_file.h.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sim/base/units.h"

namespace flopcast {

/// Texts that recur, each kept once.
class TextPool {
 public:
  TextPool() : texts_(1), numbers_{{"", 0}} {}
  std::uint32_t number(std::string_view text);  ///< 0: the empty text
  const std::string& text(std::uint32_t number) const { return texts_[number]; }
  std::size_t size() const { return texts_.size(); }

 private:
  std::vector<std::string> texts_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

enum class NodeKind : std::uint8_t {
  nothing,     ///< metadata, or a node without a type: takes no time
  compute,     ///< on the GPU, or on the host
  load,        ///< from memory beside the GPU's own
  store,       ///< to it
  storage,     ///< file systems, batches, checkpoints: as long as was recorded
  send,        ///< to one rank
  receive,     ///< from one
  collective,  ///< with all ranks of a group
};

enum class CommKind : std::uint8_t {
  all_reduce,
  reduce,
  all_gather,
  gather,
  scatter,
  broadcast,
  all_to_all,
  reduce_scatter,
  barrier,
};
std::string_view name(CommKind kind);

struct TraceNode {
  std::uint64_t id = 0;      ///< in its file
  std::uint64_t offset = 0;  ///< of its message in the file, in bytes
  Seconds recorded;          ///< how long it took where it was recorded; 0: not said
  Flop operations;           ///< of a compute node; 0: not said
  Bytes bytes;              ///< compute, load, store: what is read and written; communication: the buffer of a rank, as
                            ///< it is handed in
  std::uint32_t name = 0;   ///< TextPool
  std::uint32_t group = 0;  ///< TextPool: the communicator's name; "": all ranks
  std::int32_t peer = -1;   ///< send: to; receive: from; collective: the root where it was said
  std::int32_t tag = 0;     ///< of a message
  std::int64_t stream = 0;  ///< of the GPU, or thread of the host
  std::uint32_t first_need = 0, needs = 0;  ///< into RankTrace::needs: positions of the nodes it waits for
  std::uint32_t first_flow = 0, flows = 0;  ///< into RankTrace::flows: what it consists of, where the file says so
  NodeKind kind = NodeKind::nothing;
  CommKind comm = CommKind::all_reduce;
  bool on_host = false;
  bool together = false;  ///< of a file that says so: the ranks of its group leave it together
};

/// A flow of communication as the program itself wrote it (step_writer.h).
struct TraceFlow {
  int port = 0;  ///< port_route()
  Bytes bytes;
  BytesPerSecond cap;  ///< 0: none
};

/// Which layout of the messages a file has.
enum class EtSchema {
  fields,      ///< 0.0.1: a field per property, no metadata (STAGE's older output)
  attributes,  ///< 0.0.2, 0.0.3: typed attributes
  current,     ///< 0.0.4: attributes as oneof, control and data dependencies apart
};
std::string_view name(EtSchema schema);

struct RankTrace {
  std::string file;
  int rank = 0;
  EtSchema schema = EtSchema::current;
  std::string version;           ///< as the file's metadata has it; may be empty
  bool control_is_call = false;  ///< converted from PyTorch: control dependencies say who called, not what comes first
  std::vector<TraceNode> nodes;
  std::vector<std::uint32_t> needs;
  /// Of a file that the program itself wrote: the cluster that its times and flows hold for, else empty. There the
  /// latency of a node that communicates is what is recorded.
  std::string cluster;
  Seconds host_wait;    ///< of such a file: what its compute nodes hold of waiting for the host
  int job_ranks = 0;    ///< of such a file
  bool folded = false;  ///< of such a file: ranks are left out that do as those that are there
  std::vector<TraceFlow> flows;
  std::vector<std::string> process_groups;  ///< what metadata nodes say of PyTorch's groups, as they say it

  std::span<const std::uint32_t> needs_of(const TraceNode& node) const {
    return std::span(needs).subspan(node.first_need, node.needs);
  }
};

/// A communicator.
struct CommGroup {
  std::string name;
  std::vector<int> ranks;  ///< ascending
};

/// A job of many ranks, complete and free of contradictions as far as one rank's trace can say.
struct ChakraJob {
  int ranks = 0;                  ///< whose traces there are, numbered without gaps
  std::vector<RankTrace> traces;  ///< one per rank, or the one that all ranks run
  bool alike = false;             ///< `traces` has one, which every rank runs
  std::vector<CommGroup> groups;  ///< the first is of all ranks
  TextPool texts;
  std::vector<std::int32_t> group_of;  ///< by the number of its name in `texts`; -1: none is called so
  std::vector<std::string> notes;      ///< what was passed over or assumed

  /// The GPU that a rank runs on: its own number, also where ranks are left out.
  int gpu_of(int rank) const { return alike ? rank : traces[static_cast<std::size_t>(rank)].rank; }
  std::span<const TraceFlow> flows_of(int rank, const TraceNode& node) const {
    return std::span(trace(rank).flows).subspan(node.first_flow, node.flows);
  }
  const RankTrace& trace(int rank) const { return traces[alike ? 0 : static_cast<std::size_t>(rank)]; }
};

}  // namespace flopcast
