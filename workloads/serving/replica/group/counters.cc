#include "workloads/serving/replica/group/counters.h"

namespace flopcast {

ReplicaCounters& ReplicaCounters::operator+=(const ReplicaCounters& o) {
  iterations += o.iterations;
  prompt_iterations += o.prompt_iterations;
  prompt_tokens += o.prompt_tokens;
  recomputed_tokens += o.recomputed_tokens;
  decode_tokens += o.decode_tokens;
  decode_requests += o.decode_requests;
  decode_iterations += o.decode_iterations;
  preemptions += o.preemptions;
  swaps += o.swaps;
  made_way += o.made_way;
  steps += o.steps;
  busy += o.busy;
  prompt_time += o.prompt_time;
  prompts_done += o.prompts_done;
  prompt_tokens_done += o.prompt_tokens_done;
  prompt_waits += o.prompt_waits;
  return *this;
}

ReplicaCounters ReplicaCounters::operator-(const ReplicaCounters& o) const {
  ReplicaCounters d = *this;
  d.iterations -= o.iterations;
  d.prompt_iterations -= o.prompt_iterations;
  d.prompt_tokens -= o.prompt_tokens;
  d.recomputed_tokens -= o.recomputed_tokens;
  d.decode_tokens -= o.decode_tokens;
  d.decode_requests -= o.decode_requests;
  d.decode_iterations -= o.decode_iterations;
  d.preemptions -= o.preemptions;
  d.swaps -= o.swaps;
  d.made_way -= o.made_way;
  d.steps -= o.steps;
  d.busy -= o.busy;
  d.prompt_time -= o.prompt_time;
  d.prompts_done -= o.prompts_done;
  d.prompt_tokens_done -= o.prompt_tokens_done;
  d.prompt_waits -= o.prompt_waits;
  return d;
}

}  // namespace flopcast
