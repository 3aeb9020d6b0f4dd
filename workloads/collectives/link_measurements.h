// Measured collectives, read from tables that a user has: what fit_links() fits on.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "workloads/collectives/expert_collective.h"
#include "workloads/collectives/nccl.h"

namespace flopcast {

/// One measured dispatch or combine.
struct ExpertMeasurement {
  std::string table;  ///< short name, for summaries
  std::string gpu;    ///< library name
  int nodes = 1;
  ExpertOp op = ExpertOp::dispatch;
  int sms = 20;
  ExpertTraffic traffic;  ///< worked out from the routing that the measurement used
  Seconds transmit;
  std::optional<Seconds> notify;        ///< where it was timed on its own
  std::optional<double> reported_GBps;  ///< bandwidth as the source states it, by the source's own definition
  bool overlapped = false;              ///< measured beside GEMMs
  bool usable = true;                   ///< false: kept for comparison only; `remark` says why
  std::string remark;
};

/// One measured ring collective within a node.
struct RingMeasurement {
  std::string table;
  std::string gpu;
  int steps = 0;
  Bytes through;  ///< bytes that pass each port
  Seconds time;
  bool usable = true;  ///< false: kept for comparison only
};

/// One collective within a node, as NCCL or a serving engine runs it.
struct NcclMeasurement {
  std::string table;
  std::string gpu;
  NcclOp op = NcclOp::all_reduce;
  bool direct = false;  ///< the serving engine's own all-reduce
  int gpus = 2;
  Bytes bytes;
  Seconds time;
  bool usable = true;  ///< false: kept for comparison only
};

struct LinkMeasurements {
  std::vector<ExpertMeasurement> experts;
  std::vector<RingMeasurement> rings;
  std::vector<NcclMeasurement> nccl;
  std::vector<std::string> missing;  ///< tables that were not found
};

/// Reads what it finds below two folders: published figures (deepep.csv, profile_train_kernels.csv) and
/// tables of kernel measurements (aiconfigurator/, apex/). Either may be empty.
/// @throws InputError on a table that is malformed.
LinkMeasurements read_link_measurements(const std::filesystem::path& published, const std::filesystem::path& kernels);

}  // namespace flopcast
