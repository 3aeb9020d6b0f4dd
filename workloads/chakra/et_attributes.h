// Names of attributes that the program itself writes beside those of the format, and reads again.
#pragma once

namespace flopcast {

inline constexpr const char* kEtSeconds = "flopcast_seconds";    ///< double: of a node, or the latency before its flows
inline constexpr const char* kEtFlows = "flopcast_flows";        ///< doubles, three a flow: port, bytes, cap (0: none)
inline constexpr const char* kEtTogether = "flopcast_together";  ///< bool: a group leaves when its last rank is done
inline constexpr const char* kEtCluster = "flopcast_cluster";    ///< text, of the file: what seconds and flows hold for
inline constexpr const char* kEtRanks = "flopcast_ranks";        ///< integer, of the file: ranks of the job
inline constexpr const char* kEtHostWait = "flopcast_host_wait";  ///< double, of the file: of its compute nodes
/// bool, of the file: ranks are left out that do as those that are there, at the same times.
inline constexpr const char* kEtFolded = "flopcast_folded";

}  // namespace flopcast
