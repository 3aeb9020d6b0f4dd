// A deployment as what starts it: the engine's command line, flag by flag with the field that each comes from, and a
// small Kubernetes manifest.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "analysis/runs/serving/exchange/engine_flags.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

struct LaunchFlag {
  std::string text;   ///< "--max-num-seqs 256"
  std::string field;  ///< "max_batch = 256"
};

/// How one pool of a deployment is started.
struct LaunchCommand {
  std::string pool;     ///< "replicas", "prefill", "decode"
  std::string image;    ///< of the container
  std::string program;  ///< "vllm serve"
  std::vector<LaunchFlag> flags;
  std::string options_file;  ///< of TensorRT-LLM: what has no flag, as YAML; else empty
  int replicas = 1;
  int gpus = 1;                       ///< of a replica
  int nodes = 1;                      ///< that they lie on
  std::string before;                 ///< over nodes: what each of them runs first; may be empty
  std::vector<std::string> untold{};  ///< what of the deployment no flag carries, a line each
  bool by_mpi = false;                ///< over nodes: started once, by mpirun, instead of on each of them
  /// Variables of its environment. A value of kOwnAddress is the address of the machine that it runs on.
  std::vector<std::pair<std::string, std::string>> environment{};
};

/// That servers answer on.
inline constexpr int kServerPort = 8000;
inline constexpr char kOwnAddress[] = "$OWN_ADDRESS";

/// @param model path or hub name that the engine loads.
/// @throws InputError where a pool names no engine (replicas.engine).
std::vector<LaunchCommand> launch_commands(const Scenario& scenario, const std::string& model,
                                           const EngineFlags& known);

/// One command after the other, a flag a line, each with its field behind it.
std::string to_text(const std::vector<LaunchCommand>& commands);

/// A Deployment and a Service per pool; a LeaderWorkerSet where a replica takes several nodes.
std::string kubernetes_manifest(const std::vector<LaunchCommand>& commands, const std::string& name);

}  // namespace flopcast
