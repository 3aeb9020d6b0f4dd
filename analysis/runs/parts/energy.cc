#include "analysis/runs/parts/energy.h"

#include "analysis/render/text/csv.h"

namespace flopcast {

PowerModel find_power_model(const std::string& table, const std::string& file, const std::string& architecture) {
  const CsvTable rows = parse_csv(table, file);
  PowerModel model;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::string& name = rows.text(row, "architecture");
    if (name != architecture && name != "any") continue;
    model = {rows.number(row, "busy_fraction"), rows.number(row, "idle_fraction"), rows.text(row, "source")};
    if (name == architecture) break;
  }
  return model;
}

StepPower step_power(const NodeSpec& node, const PowerModel& model, double busy_share) {
  const Watts gpu = node.gpu.tdp, share = node.overhead_power / node.gpus;
  const Watts idle = gpu * model.idle_fraction + share * model.busy_fraction;
  const Watts busy = (gpu + share) * model.busy_fraction;
  return {idle + (busy - idle) * busy_share, idle};
}

}  // namespace flopcast
