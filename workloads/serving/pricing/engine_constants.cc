#include "workloads/serving/pricing/engine_constants.h"

namespace flopcast {

const std::array<EngineConstantRow, kEngineConstants>& engine_constants() {
  using C = EngineConstants;
  static constexpr std::array<EngineConstantRow, kEngineConstants> kRows = {{
      {"iteration_us", "scheduling, inputs and launch between two iterations, us", &C::iteration_us},
      {"sequence_us", "sampling and bookkeeping per request of an iteration, us", &C::sequence_us},
      {"prompt_token_us", "preparing a token of a prompt, us", &C::prompt_token_us},
      {"launch_us", "host time per kernel outside CUDA graphs, us", &C::launch_us},
      {"request_us", "reading, tokenising and answering a request, us", &C::request_us},
      {"graph_gap_us", "between kernels of a CUDA graph, us", &C::graph_gap_us},
      {"cache_setup_us", "fixed time of handing a cache on to another replica, us", &C::cache_setup_us},
      {"cache_efficiency", "goodput of a cache's pages over what the links give one large message",
       &C::cache_efficiency},
      {"expert_variation", "coefficient of variation of a real router's loads of experts", &C::expert_variation},
      {"answers_alike", "correlation of experts' loads with those that copies were placed by, many answers under way",
       &C::answers_alike},
      {"prompts_alike", "the same of the prompts of some hundred requests", &C::prompts_alike},
      {"one_shot_goodput", "goodput of an all-reduce in one shot over the NVLink rate", &C::one_shot_goodput},
      {"exchange_setup_us", "fixed time of a low-latency dispatch or combine within a node, us", &C::exchange_setup_us},
      {"exchange_doubling_us", "the same per doubling of the nodes, us", &C::exchange_doubling_us},
      {"exchange_nic", "goodput of low-latency exchange over the NIC's line rate", &C::exchange_nic},
      {"exchange_nvlink", "goodput of low-latency exchange over the NVLink rate", &C::exchange_nvlink},
      {"network_call_us", "host's call before a collective over nodes in a CUDA graph, us", &C::network_call_us},
  }};
  return kRows;
}

double router_variation(const ModelConfig& model, const EngineConstants& constants) {
  return model.moe.load_variation > 0 ? model.moe.load_variation : constants.expert_variation.value;
}

EngineConstants with_host(EngineConstants constants, const EngineHost& host) {
  const auto take = [](Fitted& constant, const std::optional<Seconds>& stated) {
    if (stated) constant.value = stated->value() * 1e6;
  };
  take(constants.iteration_us, host.iteration);
  take(constants.sequence_us, host.sequence);
  take(constants.prompt_token_us, host.prompt_token);
  take(constants.launch_us, host.launch);
  take(constants.request_us, host.request);
  take(constants.graph_gap_us, host.graph_gap);
  return constants;
}

}  // namespace flopcast
