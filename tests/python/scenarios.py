"""Scenarios that replay in milliseconds."""

TRAINING = """title: "Experts on 32 GPUs"
cluster { node: "hgx-h800" nodes: 4 fabric: "mpft" }
model: "deepseek-v2-lite"
training {
  plan { pipeline: 2 data: 16 expert: 16 }
  schedule: "dualpipe"
  batch { sequences: 128 sequence_length: 4096 }
}
"""

SERVING = """title: "A small chat service"
cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-8b"
serving {
  traffic { requests: "300" stream { name: "chat" requests_per_second: 40 input { mean: 600 } output { mean: 100 } } }
  replicas { count: 2 max_batch: 32 }
}
price { gpu: "2 USD/h" source: "assumed" }
"""

APART = """title: "A small service in two kinds of replicas"
cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-8b"
serving {
  traffic { requests: "300" stream { requests_per_second: 10 input { mean: 1500 } output { mean: 60 } } }
  prefill { count: 2 }
  decode { count: 1 max_batch: 64 }
}
"""
