// What moving pages of a cache costs beside sending bytes.
#pragma once
#include "sim/base/units.h"

namespace flopcast {

struct CachePace {
  Seconds setup;          ///< of a move: telling the receiver, gathering addresses, waiting for the last page
  double efficiency = 1;  ///< goodput of pages over what the links give one large message
};

}  // namespace flopcast
