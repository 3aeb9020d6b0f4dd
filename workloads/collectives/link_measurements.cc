#include "workloads/collectives/link_measurements.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <map>
#include <span>
#include <string_view>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

/// A comma-separated table: header line, `#` comments, double quotes round fields that contain commas.
class Table {
 public:
  Table(const fs::path& path) : file_(path.string()) {
    std::ifstream in(path);
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.empty() || line[0] == '#') continue;
      auto fields = split(line);
      if (header_.empty()) {
        for (std::size_t i = 0; i < fields.size(); ++i) header_[fields[i]] = i;
        continue;
      }
      if (fields.size() != header_.size())
        throw InputError(Diagnostic{file_, number, 0, "", std::to_string(fields.size()) + " fields",
                                    std::to_string(header_.size()) + ", as in the header", ""});
      rows_.push_back(std::move(fields));
      line_.push_back(number);
    }
  }

  std::size_t size() const { return rows_.size(); }
  const std::string& text(std::size_t row, const std::string& column) const {
    const auto found = header_.find(column);
    if (found == header_.end()) throw InputError(Diagnostic{file_, 1, 0, "", "no such column", column, ""});
    return rows_[row][found->second];
  }
  double number(std::size_t row, const std::string& column) const {
    const std::string& field = text(row, column);
    double value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size())
      throw InputError(Diagnostic{file_, line_[row], 0, column, "`" + field + "`", "a number", ""});
    return value;
  }
  int integer(std::size_t row, const std::string& column) const { return static_cast<int>(number(row, column)); }

 private:
  static std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (const char c : line) {
      if (c == '"')
        quoted = !quoted;
      else if (c == ',' && !quoted)
        fields.emplace_back();
      else
        fields.back() += c;
    }
    return fields;
  }

  std::string file_;
  std::map<std::string, std::size_t> header_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<int> line_;
};

constexpr int kHidden = 7168;
constexpr int kGpusPerNode = 8;
constexpr double kFp8TokenBytes = kHidden + kHidden / 128.0 * 4;  // one FP32 scale per 128 values
constexpr double kBf16TokenBytes = kHidden * 2.0;

double token_bytes(ExpertOp op) { return op == ExpertOp::dispatch ? kFp8TokenBytes : kBf16TokenBytes; }

/// The routing of DeepEP's own tests (tests/test_internode.py, test_intranode.py): 256 experts, top-8, one
/// group per node, at most four of them per token; within one node no groups.
RoutingRequest deepep_routing(int nodes, int tokens, ExpertOp op) {
  RoutingRequest r;
  r.ranks = nodes * kGpusPerNode;
  r.ranks_per_node = kGpusPerNode;
  r.experts = 256;
  r.experts_per_token = 8;
  r.groups = nodes;
  r.groups_per_token = std::min(nodes, 4);
  r.tokens_per_rank = tokens;
  r.bytes_per_token = Bytes(token_bytes(op));
  return r;
}

ExpertMeasurement expert_row(std::string table, std::string gpu, int nodes, int tokens, ExpertOp op, int sms) {
  ExpertMeasurement m;
  m.table = std::move(table);
  m.gpu = std::move(gpu);
  m.nodes = nodes;
  m.op = op;
  m.sms = sms;
  m.traffic = expert_traffic(deepep_routing(nodes, tokens, op))[0];
  return m;
}

Seconds microseconds(double us) { return Seconds(us * 1e-6); }

/// The published table gives bandwidths by DeepEP's definition: bytes of all tokens a rank receives, those
/// from its own node (between nodes) or its own rank (within a node) included, over the time of the kernel.
Seconds time_of_reported(int nodes, int tokens, ExpertOp op, double reported_GBps) {
  const RoutingRequest r = deepep_routing(nodes, tokens, op);
  const double copies = nodes > 1 ? expected_nodes(r) : expected_ranks(r);
  return Seconds(tokens * token_bytes(op) * copies / (reported_GBps * 1e9));
}

void read_published_deepep(const fs::path& path, LinkMeasurements& result) {
  const Table table(path);
  constexpr int kTokens = 4096,
                kSms = 24;  // as the table's `setting` and `SMs` columns say of every such row
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table.text(i, "mode") != "normal" || table.text(i, "version") != "V1 latest") continue;
    const int nodes = table.integer(i, "EP") / kGpusPerNode;
    const auto op = table.text(i, "op").starts_with("dispatch") ? ExpertOp::dispatch : ExpertOp::combine;
    ExpertMeasurement m = expert_row("DeepEP README", "h800-sxm", nodes, kTokens, op, kSms);
    m.reported_GBps = table.number(i, "bandwidth_GBps");
    m.transmit = time_of_reported(nodes, kTokens, op, *m.reported_GBps);
    result.experts.push_back(std::move(m));
  }
}

void read_training_profile(const fs::path& path, LinkMeasurements& result) {
  const Table table(path);
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string& name = table.text(i, "op");
    const bool dispatch = name.find("dispatch fp8") != std::string::npos;
    if (!dispatch && name.find("combine bf16") == std::string::npos) continue;
    const auto op = dispatch ? ExpertOp::dispatch : ExpertOp::combine;
    ExpertMeasurement m =
        expert_row("training profile", "h800-sxm", 8, table.integer(i, "M"), op, table.integer(i, "SMs_or_grid"));
    m.transmit = microseconds(table.number(i, "mean_us"));
    m.overlapped = true;
    m.remark = table.text(i, "phase");
    result.experts.push_back(std::move(m));
  }
}

void read_wide_deepep(const fs::path& path, LinkMeasurements& result) {
  const Table table(path);
  for (std::size_t i = 0; i < table.size(); ++i) {
    const int nodes = table.integer(i, "node_num"), tokens = table.integer(i, "num_token");
    for (const ExpertOp op : {ExpertOp::dispatch, ExpertOp::combine}) {
      const std::string prefix = op == ExpertOp::dispatch ? "dispatch_" : "combine_";
      ExpertMeasurement m =
          expert_row("wideep_deepep_normal", "h100-sxm", nodes, tokens, op, table.integer(i, prefix + "sms"));
      m.transmit = microseconds(table.number(i, prefix + "transmit_us"));
      m.notify = microseconds(table.number(i, prefix + "notify_us"));
      if (nodes == 8) {
        m.usable = false;
        m.remark =
            "a third of the 4-node rate per NIC whatever the SMs, and milliseconds of waiting in notify: the "
            "machine, not the kernel";
      }
      result.experts.push_back(std::move(m));
    }
  }
}

/// Within a node, and only what runs on rings: eight-GPU all-reduce uses multicast in the NVSwitch (NVLink
/// SHARP). Pairs of GPUs, which reach only 0.55 of the rate, are kept for comparison: no node of ours has
/// two.
void add_ring(LinkMeasurements& result, const std::string& table, const std::string& gpu, const std::string& op,
              int gpus, double bytes, double us) {
  const bool all_reduce = op == "all_reduce";
  if (op != "all_gather" && op != "reduce_scatter" && !(all_reduce && gpus < 8)) return;
  const int turns = all_reduce ? 2 : 1;
  RingMeasurement m;
  m.usable = gpus > 2;
  m.table = m.usable ? table : table + ", pairs";
  m.gpu = gpu;
  m.steps = turns * (gpus - 1);
  m.through = Bytes(bytes * turns * (gpus - 1) / gpus);
  m.time = microseconds(us);
  result.rings.push_back(std::move(m));
}

struct NcclName {
  const char* in_tables;
  NcclOp op;
};
constexpr NcclName kNcclNames[] = {{"all_reduce", NcclOp::all_reduce},
                                   {"all_gather", NcclOp::all_gather},
                                   {"reduce_scatter", NcclOp::reduce_scatter},
                                   {"alltoall", NcclOp::all_to_all},
                                   {"sendrecv", NcclOp::send_recv}};

/// apex has whole microseconds of single runs, on H100 of an older NCCL with longer launches. It alone has
/// send and receive.
bool usable(const std::string& table, const std::string& gpu, NcclOp op) {
  return table != "apex" || (op == NcclOp::send_recv && gpu == "h200-sxm");
}

void add_nccl(LinkMeasurements& result, const std::string& table, const std::string& gpu, const std::string& op,
              int gpus, double bytes, double us) {
  for (const NcclName& known : kNcclNames)
    if (op == known.in_tables)
      result.nccl.push_back(
          {table, gpu, known.op, false, gpus, Bytes(bytes), microseconds(us), usable(table, gpu, known.op)});
}

struct TableOfGpu {
  const char* file;
  const char* name;
  const char* gpu;
  bool rings;  ///< the constants of plain rings are fitted on it
};
constexpr TableOfGpu kNcclTables[] = {
    {"h100_sxm__comm__nccl__2.27.3__nccl_perf.csv", "nccl", "h100-sxm", true},
    {"h200_sxm__comm__nccl__2.26.2__nccl_perf.csv", "nccl 2.26.2", "h200-sxm", false},
    {"h200_sxm__comm__nccl__2.29.2__nccl_perf.csv", "nccl 2.29.2", "h200-sxm", false}};
constexpr TableOfGpu kApexFolders[] = {{"comm_H100-SXM-80GB", "apex", "h100-sxm", true},
                                       {"comm_H200-SXM-141GB", "apex", "h200-sxm", false}};
constexpr TableOfGpu kDirectTables[] = {
    {"h100_sxm__comm__sglang__0.5.14__custom_allreduce_perf.csv", "sglang 0.5.14", "h100-sxm", false},
    {"h200_sxm__comm__sglang__0.5.14__custom_allreduce_perf.csv", "sglang 0.5.14", "h200-sxm", false},
    {"h100_sxm__comm__trtllm__1.3.0rc20__custom_allreduce_perf.csv", "trtllm 1.3.0rc20", "h100-sxm", false},
    {"h200_sxm__comm__trtllm__1.3.0rc20__custom_allreduce_perf.csv", "trtllm 1.3.0rc20", "h200-sxm", false}};

void read_nccl(const fs::path& path, const TableOfGpu& about, LinkMeasurements& result) {
  constexpr double kBytesOfHalf = 2;  // message_size counts elements
  const Table table(path);
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table.text(i, "nccl_dtype") != "half") continue;  // other types repeat the same bytes
    const std::string& op = table.text(i, "op_name");
    const int gpus = table.integer(i, "num_gpus");
    const double bytes = table.number(i, "message_size") * kBytesOfHalf, us = table.number(i, "latency") * 1e3;
    if (about.rings) add_ring(result, about.name, about.gpu, op, gpus, bytes, us);
    add_nccl(result, about.name, about.gpu, op, gpus, bytes, us);
  }
}

void read_apex(const fs::path& folder, const TableOfGpu& about, LinkMeasurements& result) {
  for (const char* op : {"all_gather", "all_reduce", "reduce_scatter", "alltoall", "sendrecv"}) {
    const Table table(folder / (std::string(op) + ".csv"));
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (table.text(i, "dtype") != "half") continue;
      const int gpus = table.integer(i, "num_gpus_per_node");
      const double bytes = table.number(i, "size(kb)") * 1024, us = table.number(i, "time(us)");
      if (about.rings) add_ring(result, about.name, about.gpu, op, gpus, bytes, us);
      if (bytes > 0) add_nccl(result, about.name, about.gpu, op, gpus, bytes, us);
    }
  }
}

/// The engines' own kernels, replayed from CUDA graphs; eager launches measure the host. Above 16 MiB SGLang
/// hands over to NCCL.
void read_direct(const fs::path& path, const TableOfGpu& about, LinkMeasurements& result) {
  constexpr double kBytesOfBfloat = 2, kMostBytes = 16.0 * 1048576;
  const Table table(path);
  const bool sglang = std::string_view(about.name).starts_with("sglang");
  for (std::size_t i = 0; i < table.size(); ++i) {
    const double bytes = table.number(i, "message_size") * kBytesOfBfloat;
    if (bytes > kMostBytes || (sglang && table.text(i, "backend") != "sglang_graph")) continue;
    // TensorRT-LLM changes algorithm where SGLang does not, at sizes of its own: kept for comparison.
    result.nccl.push_back({about.name, about.gpu, NcclOp::all_reduce, true, table.integer(i, "num_gpus"), Bytes(bytes),
                           microseconds(table.number(i, "latency") * 1e3), sglang});
  }
}

}  // namespace

LinkMeasurements read_link_measurements(const fs::path& published, const fs::path& kernels) {
  LinkMeasurements result;
  const auto read = [&](const fs::path& path, void (*reader)(const fs::path&, LinkMeasurements&)) {
    if (fs::exists(path))
      reader(path, result);
    else
      result.missing.push_back(path.string());
  };
  read(published / "deepep.csv", read_published_deepep);
  read(published / "profile_train_kernels.csv", read_training_profile);
  const fs::path tables = kernels / "aiconfigurator";
  read(tables / "h100_sxm__comm__sglang__0.5.6.post2__wideep_deepep_normal_perf.csv", read_wide_deepep);
  const auto read_all = [&](const fs::path& folder, std::span<const TableOfGpu> list,
                            void (*reader)(const fs::path&, const TableOfGpu&, LinkMeasurements&)) {
    for (const TableOfGpu& table : list) {
      const fs::path path = folder / table.file;
      if (fs::exists(path))
        reader(path, table, result);
      else
        result.missing.push_back(path.string());
    }
  };
  read_all(tables, kNcclTables, read_nccl);
  read_all(kernels / "apex", kApexFolders, read_apex);
  read_all(tables, kDirectTables, read_direct);
  return result;
}

}  // namespace flopcast
