#include "analysis/cli/run_options.h"

#include "analysis/money/complete_scenario.h"

namespace flopcast {
void add_replay_options(Command& command, std::string& backend, bool& allow_oom) {
  command.option("--backend", backend, "How flows share links: simgrid (max-min fairly) or ideal (not at all)")
      .one_of({"simgrid", "ideal"})
      .default_value("simgrid");
  command.flag("--allow-oom", allow_oom, "Replay a plan that does not fit into memory");
}

RunOptions make_run_options(const Libraries& libraries, const ClusterSpec& cluster, const std::string& backend,
                            bool allow_oom, ProgressLine& progress) {
  RunOptions options;
  options.backend = backend == "ideal" ? TransferBackend::ideal : TransferBackend::simgrid;
  options.allow_oom = allow_oom;
  options.power = load_power_model(libraries, cluster.node.gpu.architecture);
  options.stage = [&progress](const std::string& what) {
    InterruptGuard::check();
    progress.stage(what);
  };
  options.progress = [&progress](std::uint64_t done, std::uint64_t all) {
    progress.update(done, all);
    return !InterruptGuard::raised();
  };
  return options;
}

}  // namespace flopcast
