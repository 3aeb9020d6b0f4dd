#include "analysis/evidence/published/published_collectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "scenarios/read/text/text_file.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

constexpr std::array kOps = {NcclOp::all_reduce, NcclOp::all_gather, NcclOp::reduce_scatter,
                             NcclOp::broadcast,  NcclOp::all_to_all, NcclOp::send_recv};
constexpr std::array kAlgorithms = {NcclAlgorithm::ring, NcclAlgorithm::tree, NcclAlgorithm::nvls,
                                    NcclAlgorithm::nvls_tree, NcclAlgorithm::pat};

template <class Known>
std::optional<typename Known::value_type> named(const Known& known, const std::string& text) {
  for (const auto& one : known)
    if (name(one) == text) return one;
  return std::nullopt;
}

InputError bad_row(const std::string& file, const std::string& found, const char* expected) {
  return InputError(Diagnostic{file, 0, 0, "", "`" + found + "`", expected, ""});
}

/// What nccl-tests multiply bytes over time with to get at a bus.
double bus_factor(NcclOp op, double ranks) {
  if (op == NcclOp::broadcast || op == NcclOp::send_recv) return 1;
  return (op == NcclOp::all_reduce ? 2 : 1) * (ranks - 1) / ranks;
}

/// The fastest protocol of an algorithm that somebody forced.
NcclTime forced(NcclOp op, NcclAlgorithm algorithm, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                const LinkCalibration& links) {
  NcclTime best;
  best.fixed = Seconds(INFINITY);
  for (const NcclProtocol protocol : {NcclProtocol::ll, NcclProtocol::ll128, NcclProtocol::simple}) {
    if (!nccl_offers(op, algorithm, protocol, group, cluster.node)) continue;
    const NcclTime time = nccl_time(op, algorithm, protocol, group, bytes, cluster, links);
    if (time.total() < best.total()) best = time;
  }
  return best;
}

}  // namespace

std::vector<CollectiveComparison> compare_published_collectives(const Libraries& libraries,
                                                                const LinkCalibration& links) {
  const auto file = libraries.find_file(kPublishedCollectivesFile);
  if (!file)
    throw InputError(Diagnostic{kPublishedCollectivesFile, 0, 0, "", "no such file", "in a library folder", ""});
  const CsvTable table = parse_csv(read_text_file(*file), *file);
  std::vector<CollectiveComparison> rows;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto op = named(kOps, table.text(i, "op"));
    if (!op) throw bad_row(*file, table.text(i, "op"), "an operation of NCCL");
    const std::string& wanted = table.text(i, "algorithm");
    const auto algorithm = named(kAlgorithms, wanted);
    if (!algorithm && !wanted.empty()) throw bad_row(*file, wanted, "an algorithm of NCCL, or nothing");

    CollectiveComparison row;
    row.node = table.text(i, "node");
    row.nodes = static_cast<int>(table.number(i, "nodes"));
    row.confirmed = table.text(i, "confirmed") == "true";
    row.source = fmt::format("{}, {}{}", table.text(i, "source"), table.text(i, "date"),
                             row.confirmed ? "" : " (unconfirmed: " + table.text(i, "remark") + ")");
    ClusterSpec cluster;
    cluster.node = libraries.node(row.node);
    cluster.fabric = libraries.fabric("rail-ft2");
    cluster.nodes = row.nodes;
    const int local = static_cast<int>(table.number(i, "ranks_per_node"));
    const NcclGroup group = even_group(row.nodes, local, cluster.fabric.cross_leaf_latency);
    const Bytes bytes(table.number(i, "bytes"));
    row.what = fmt::format("{}{} of {}, {} x {} {}", wanted, wanted.empty() ? name(*op) : fmt::format(" {}", name(*op)),
                           format_bytes(bytes), row.nodes, local, cluster.node.gpu.name);
    row.predicted = algorithm ? forced(*op, *algorithm, group, bytes, cluster, links)
                              : choose_nccl(*op, group, bytes, cluster, links);
    row.published = table.text(i, "time_us").empty()
                        ? bytes * bus_factor(*op, group.ranks) / BytesPerSecond(table.number(i, "bus_GBps") * 1e9)
                        : Seconds(table.number(i, "time_us") * 1e-6);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace flopcast
