// What a scenario is about, and how its replay went: parts of every report.
#include <fmt/format.h>

#include "analysis/runs/parts/metric_rows.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {
namespace {

using ScenarioRef = const Scenario&;
using RunRef = const RunFacts&;
namespace as = metric_value;
namespace show = metric_text;

constexpr MetricRow<Scenario> kScenarioRows[] = {
    {"name", "text", "scenario", "Name of the scenario", [](ScenarioRef s) { return as::word(s.name); }, nullptr},
    {"title", "text", "title", "What the scenario says it is", [](ScenarioRef s) { return as::word(s.title); },
     nullptr},
    {"cluster", "text", "cluster", "Name of the cluster", [](ScenarioRef s) { return as::word(s.cluster.name); },
     nullptr},
    {"node", "text", "node", "Kind of node", [](ScenarioRef s) { return as::word(s.cluster.node.name); }, nullptr},
    {"gpu", "text", "GPU", "Kind of GPU", [](ScenarioRef s) { return as::word(s.cluster.node.gpu.name); }, nullptr},
    {"fabric", "text", "fabric", "Network between the nodes",
     [](ScenarioRef s) { return as::word(s.cluster.fabric.name); }, nullptr},
    {"model", "text", "model", "The model that is trained or served",
     [](ScenarioRef s) {
       if (s.rl) return as::word(s.rl->model().name);
       return s.training ? as::word(s.training->model.name)
                         : as::word(s.serving ? s.serving->model().name : std::string());
     },
     nullptr},
    {"schedule", "text", "schedule", "Pipeline schedule of the training step",
     [](ScenarioRef s) {
       return as::word(s.rl ? s.rl->update.schedule : s.training ? s.training->schedule : std::string());
     },
     nullptr},
    {"nodes", "count", "nodes", "Nodes of the cluster", [](ScenarioRef s) { return as::count(s.cluster.nodes); },
     show::whole},
    {"gpus", "count", "GPUs", "GPUs of the cluster, of the serving deployment, or of the loop",
     [](ScenarioRef s) { return as::count(gpus_at_work(s)); }, show::whole},
};

constexpr MetricRow<RunFacts> kRunRows[] = {
    {"operations", "count", "operations", "Operations that were replayed",
     [](RunRef r) { return as::count(r.operations); }, show::whole},
    {"transfers", "count", "transfers", "Transfers between GPUs among the operations",
     [](RunRef r) { return as::count(r.transfers); }, show::whole},
    {"contended_flows", "count", "contended flows", "Flows that met another flow on a link",
     [](RunRef r) { return as::count(r.contended_flows); }, show::whole},
    {"folded", "yes/no", "folded", "One GPU stands for all that do the same",
     [](RunRef r) { return as::yes_or_no(r.folded); }, nullptr},
    {"replayed_gpus", "count", "replayed GPUs", "GPUs that were replayed one by one",
     [](RunRef r) { return as::count(r.replayed_gpus); }, show::whole},
    {"backend", "text", "network model",
     "Who shares out links: shared (max-min fairly, in the process), simgrid (the same by SimGrid) or ideal (nobody)",
     [](RunRef r) { return as::word(std::string(r.shared_by())); }, nullptr},
    {"fingerprint", "text", "fingerprint", "Hexadecimal, over every operation's start and end",
     [](RunRef r) { return as::word(fmt::format("{:016x}", r.fingerprint)); }, nullptr},
};

}  // namespace

void add_scenario_metrics(MetricList& list, const Scenario* scenario) {
  list.add<Scenario>("scenario.", kScenarioRows, scenario);
}

void add_run_metrics(MetricList& list, const RunFacts* run) { list.add<RunFacts>("run.", kRunRows, run); }

}  // namespace flopcast
