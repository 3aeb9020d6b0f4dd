// Small serving scenarios that replay in milliseconds.
#pragma once
#include <string>

namespace flopcast::testing {

/// Two replicas of Llama 3.1 8B under light traffic with promises, prices and a cache.
inline const std::string kChat = R"(title: "A small chat service"
cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-8b"
serving {
  traffic { requests: "300" stream { name: "chat" requests_per_second: 4 input { mean: 600 } output { mean: 100 } slo { ttft: "500 ms" tpot: "20 ms" } } }
  replicas { count: 2 max_batch: 32 }
  token_prices { input: 0.2 cached: 0.1 output: 2 source: "assumed" }
}
price { gpu: "2 USD/h" source: "assumed" }
)";

/// Prefill and decode apart.
inline const std::string kApart = R"(title: "A small service in two kinds of replicas"
cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-8b"
serving {
  traffic { requests: "300" stream { requests_per_second: 10 input { mean: 1500 } output { mean: 60 } } }
  prefill { count: 1 }
  decode { count: 1 max_batch: 64 }
}
price { gpu: "2 USD/h" source: "assumed" }
)";

}  // namespace flopcast::testing
