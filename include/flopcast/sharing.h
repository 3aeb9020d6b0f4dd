// How flows that meet on a link are shared out in a replay.
#pragma once

namespace flopcast {

/// How flows share links.
enum class Sharing {
  max_min,  ///< max-min fairly
  ideal,    ///< not at all: every flow has its route to itself, a lower bound
};

/// Who shares out links among flows that meet; both agree to 1e-9.
enum class Solver {
  in_process,  ///< the library itself, in the calling thread, with nothing shared between replays
  /// SimGrid in a forked child, because a process can hold only one SimGrid platform. Only for programs that have one
  /// thread: what others hold at the moment of the fork, a lock say, stays held in the child.
  simgrid_child,
};

}  // namespace flopcast
