// What the searches for the cluster of a run share, whatever the run does: limits that are stated, kinds of nodes that
// are tried or left out, the price of a run, the order of what was found.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analysis/studies/size/size_search.h"
#include "analysis/studies/size/training_size.h"

namespace flopcast {

class ClusterSizing {
 public:
  /// @param asked for as long as this lives
  ClusterSizing(const std::string& file, const Environment& environment, const std::vector<std::string>& sets,
                const TrainingSizeOptions& options);
  virtual ~ClusterSizing() = default;
  /// @throws InputError, Interrupted.
  TrainingSize run();

 protected:
  /// Refuses scenarios without the work that this sizes for.
  virtual void check_work() const = 0;
  /// Limits as somebody might state them: "--deadline 60d, --budget 8e6".
  virtual const char* example() const = 0;
  /// How much is to be done: tokens or steps of size_.
  virtual void count_work() = 0;
  /// The scenario on a single node of a kind. @throws InputError where it cannot be.
  virtual Scenario on_one(const std::string& node) const = 0;
  /// Clusters of such nodes, of which those worth it go into size_.
  virtual void seek(const std::string& node, const Scenario& one) = 0;

  const Libraries& libraries() const;
  [[noreturn]] void refuse(const std::string& field, const std::string& found, const std::string& expected) const;
  /// What is set for a number of nodes of a kind.
  std::vector<std::string> sets_on(const std::string& node, int nodes) const;
  std::optional<UsdPerSecond> price(const Scenario& scenario, const std::string& node) const;
  TrainingCluster cluster_of(const Scenario& scenario, const std::string& node, int nodes) const;
  /// Time and money of the run on it.
  void set_run(TrainingCluster& cluster, double days, std::optional<UsdPerSecond> gpu_price) const;
  /// The days within which the run keeps what was asked for, its price as it is; none: nothing that days decide.
  std::optional<double> most_days(const TrainingCluster& cluster) const;
  /// In time, or, where only money counts, within the budget.
  bool good(const std::optional<TrainingCluster>& cluster) const;
  void leave_out(const std::string& node, std::string why, double times_over = 0);
  /// Among those that keep what was asked for, or the others.
  void file(TrainingCluster cluster);

  const std::string& file_;
  const Environment& environment_;
  const std::vector<std::string>& sets_;
  const TrainingSizeOptions& options_;
  TrainingSize size_;

 private:
  void try_nodes();
  void try_node(const std::string& node);
  void try_made_node(const std::string& gpu);
  /// Leaves it out where a rule keeps one of its chips.
  bool kept(const std::string& node, const std::vector<std::string>& gpus);
  std::vector<std::string> made_of_;  // what is set in place of the name of a node that was made
  std::optional<RuleBook> rules_;     // where they decide
};

}  // namespace flopcast
