// From files of execution traces (Chakra) to a job of many ranks.
#pragma once
#include <string>

#include "workloads/chakra/trace.h"

namespace flopcast {

struct ChakraSource {
  /// A folder with one workload's NAME.0.et, NAME.1.et, ...; the beginning of their names, as ASTRA-sim takes it; the
  /// same with %d for the rank, as STAGE takes it; or a file.
  std::string path;
  /// Communicators as ASTRA-sim has them: `{"1": [0, 1], "2": [2, 3]}`. Empty: comm_group.json or NAME.json beside the
  /// traces where there is one, and what metadata nodes say of PyTorch's process groups.
  std::string groups;
  /// Above 0: the one trace is run by this many ranks, all alike.
  int alike = 0;
};

/// @throws InputError with what is wrong (workloads/chakra/et_file.h), and when ranks or groups are missing, when
/// groups have ranks that the traces do not, and when files are of different versions.
ChakraJob load_chakra(const ChakraSource& source);

}  // namespace flopcast
