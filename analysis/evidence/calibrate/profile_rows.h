// Kernels and collectives out of profiles that people have anyway: PyTorch's profiler (its Chrome trace, JSON) and
// Nsight Systems (its SQLite export), as rows of the tables that a fit takes.
//
// A kernel belongs to the operator that launched it: in PyTorch's traces both have an "External id", in Nsight's the
// launch lies within the NVTX range of the operator (torch.autograd.profiler.emit_nvtx(record_shapes=True)). Kernels of
// one call count together; of equal calls the median stands for all.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sim/base/units.h"
#include "workloads/collectives/nccl.h"

namespace flopcast {

/// An operator of some shape, as the table of a card has it (hwmodels/calibration/measure/README.md).
struct ProfiledKernel {
  std::string op, shape;  ///< "gemm_fwd", "M=4096 N=4096 K=4096"
  double microseconds = 0;
  std::size_t times = 0;
};

struct ProfiledCollective {
  NcclOp op = NcclOp::all_reduce;
  std::vector<int> ranks;   ///< of the group, ascending; empty: not recorded
  int group = 0;            ///< how many
  Bytes bytes;              ///< as NcclOp has them
  double microseconds = 0;  ///< the shortest of all: the others waited for a rank that came late
  std::size_t times = 0;
};

/// What no row was made of, and why.
struct ProfiledRest {
  std::string name, reason;
  double microseconds = 0;  ///< of all together
  std::size_t times = 0;
};

struct Profile {
  std::vector<ProfiledKernel> kernels;
  std::vector<ProfiledCollective> collectives;
  std::vector<ProfiledRest> rest;     ///< those that took longest first
  double matched_us = 0, all_us = 0;  ///< of kernels, collectives left out
};

/// Whether a file is such a profile, by its first bytes.
bool is_profile(const std::filesystem::path& file);

/// @throws InputError when the file is cut off, is no such profile, or has no kernels.
Profile read_profile(const std::filesystem::path& file);

/// The kernels as a table of a card: op, shape, time_us, bytes, method, state.
std::string card_table(const Profile& profile);

/// What was taken and what was not, for the summary of a fit.
std::string profile_summary(const Profile& profile, const std::string& file);

/// A launched kernel with the operator that launched it, before shapes are understood.
struct LaunchedKernel {
  std::string kernel;                            ///< its name
  std::string operation;                         ///< "aten::mm"; empty: unknown
  std::uint64_t call = 0;                        ///< kernels of one call of the operator share it
  std::vector<std::vector<std::int64_t>> sizes;  ///< of its inputs
  std::vector<std::string> types;                ///< of its inputs, "c10::BFloat16"; empty: not recorded
  std::vector<std::string> values;               ///< of inputs that are no tensors; empty: not recorded
  double microseconds = 0;
};

/// A collective as PyTorch records it beside its kernel.
struct LaunchedCollective {
  std::string name, type;  ///< "allreduce", "BFloat16"
  double in = 0, out = 0;  ///< elements
  int group = 0;
  std::vector<int> ranks;
  double microseconds = 0;
};

/// Everything of a profile in a row. @{
struct Launches {
  std::vector<LaunchedKernel> kernels;
  std::vector<LaunchedCollective> collectives;
};
Launches read_pytorch_profile(const std::filesystem::path& file);
Launches read_nsight_export(const std::filesystem::path& file);
Profile match_launches(Launches launches);
/// @}

}  // namespace flopcast
