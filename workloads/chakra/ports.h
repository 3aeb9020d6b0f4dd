// Ports of a GPU as numbers that mean the same on every GPU, so that flows can be written down.
#pragma once
#include "hwmodels/fabric/topology.h"

namespace flopcast {

inline constexpr int kPeerPort = 40;  ///< straight to another GPU

/// A flow over the ports of a GPU, as a number that means the same on every GPU; -1: none of them.
int port_number(Topology& topology, RankId gpu, RankId peer, RouteId route);
/// The route of that number, capped at `cap` unless that is zero. @pre `number` came from port_number.
RouteId port_route(Topology& topology, RankId gpu, RankId peer, int number, BytesPerSecond cap);
/// Whether what takes that port is only received by the GPU.
bool only_comes_in(int number);
/// Whether a GPU of the cluster has a port of that number.
bool is_port_number(const Topology& topology, double number, bool has_peer);

}  // namespace flopcast
