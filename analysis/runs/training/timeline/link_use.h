// How much the links of GPUs carry over a step, as curves for timelines.
#pragma once
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/timeline.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

/// Of links that belong to a GPU. A transfer counts with its mean rate, from when its latency has passed: how max-min
/// sharing changed it on the way is not told to sinks.
class LinkUse {
 public:
  /// @param gpus whose links, by global index.
  LinkUse(const TrainingStep& step, const std::set<int>& gpus);
  void add(const OperationGraph& graph, const OpSpan& span);

  struct Curve {
    int gpu = 0;
    std::string name;  ///< of the link, without its GPU
    /// From then on so many percent of the link's rate, up to the next point.
    std::vector<std::pair<Seconds, double>> points;
  };
  /// Of links that carried something, in the network's order. No more than 100 %: transfers that share a link count
  /// with their mean rates, which may add up to more for a moment.
  std::vector<Curve> curves();
  /// The same as means over so many equal stretches of the time up to the last change, for formats that are written
  /// out.
  std::vector<Curve> curves_of_means(int stretches);

 private:
  struct Change {
    Seconds at;
    double by;  ///< share of the link's rate
  };
  struct Link {
    int gpu = -1;  ///< -1: nobody's, or hidden
    std::vector<Change> changes;
  };
  const Network* network_;
  std::vector<Link> links_;
};

}  // namespace flopcast
