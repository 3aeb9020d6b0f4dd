// Reads one rank's execution trace (`.et`: GlobalMetadata, then Nodes, each with its length before it), message by
// message: a file of any size takes the memory of its nodes, without the texts of their tensors.
#pragma once
#include <string>

#include "workloads/chakra/trace.h"

namespace flopcast {

/// @param texts where names go; shared by the ranks of a job.
/// @throws InputError with what is wrong, each with node and byte: no such file, bytes that are no such messages, a
/// file that ends early, messages of another version among the others, unknown kinds of nodes, negative sizes, ids that
/// stand twice, dependencies on nodes that are not there, cycles.
RankTrace read_et_file(const std::string& path, int rank, TextPool& texts);

}  // namespace flopcast
