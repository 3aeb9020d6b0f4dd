// A scenario on a chip that does not exist: its GPU with other figures.
#pragma once
#include "analysis/studies/policy/designs.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// Half of a GPU's power goes with its computing rate. @param tpp_ratio over the GPU's own.
Watts power_of_design(double tpp_ratio, const GpuSpec& gpu);

/// Multiplies the computing rate: peaks, FP32 and SMs together; the clock stays. What communication takes of the SMs
/// stays below a quarter of them.
void scale_compute(Scenario& scenario, double by);

/// SMs that communication takes stay fewer than the chip has.
void keep_some_sms(Scenario& scenario);

/// Gives the scenario's GPU, whose own figures are `gpu`, those of a design. I/O is what PCIe leaves to the links
/// between GPUs. @pre as for figures_of().
void put_on_design(const ChipDesign& design, const ChipFigures& gpu, Scenario& scenario);

}  // namespace flopcast
