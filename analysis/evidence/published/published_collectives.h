// NCCL's predicted times beside published ones (analysis/data/published_collectives.csv).
#pragma once
#include <string>
#include <vector>

#include "scenarios/read/libraries/libraries.h"
#include "workloads/collectives/nccl.h"

namespace flopcast {

struct CollectiveComparison {
  std::string what;  ///< "all_gather of 2.1 GB, 32 x 8 H100"
  std::string node;  ///< library name
  int nodes = 1;
  NcclTime predicted;
  Seconds published;
  std::string source;
  bool confirmed = true;
  double error() const { return predicted.total() / published - 1; }
};

inline constexpr char kPublishedCollectivesFile[] = "analysis/data/published_collectives.csv";

/// Every row of the table, with the algorithm that it names or else NCCL's choice. @throws InputError on a
/// malformed table.
std::vector<CollectiveComparison> compare_published_collectives(const Libraries& libraries,
                                                                const LinkCalibration& links);

}  // namespace flopcast
