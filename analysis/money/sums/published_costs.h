// Amortised cost of published training runs beside published estimates:
// analysis/data/money/published_run_costs.csv.
#pragma once
#include <string>
#include <vector>

#include "scenarios/read/libraries/libraries.h"

namespace flopcast {

struct PublishedCost {
  std::string run, source;
  double predicted_usd = 0, published_usd = 0;
  double error() const { return predicted_usd / published_usd - 1; }
};
std::vector<PublishedCost> published_costs(const Libraries& libraries);

}  // namespace flopcast
