#include "scenarios/imports/runs/without_effect.h"

namespace flopcast {
namespace {

// clang-format off
constexpr std::string_view kMegatronWithout[] = {
    "lr", "min-lr", "max-lr", "lr-decay-style", "lr-decay-iters", "lr-decay-samples", "lr-warmup-iters",
    "lr-warmup-fraction", "lr-warmup-samples", "lr-wsd-decay-style", "lr-wsd-decay-iters", "weight-decay",
    "start-weight-decay", "end-weight-decay", "weight-decay-incr-style", "adam-beta1", "adam-beta2", "adam-eps",
    "sgd-momentum", "clip-grad", "init-method-std", "init-method-xavier-uniform", "seed", "data-parallel-random-init",
    "loss-scale", "initial-loss-scale", "min-loss-scale", "data-path", "train-data-path", "valid-data-path",
    "test-data-path", "data-cache-path", "data-args-path", "split", "tokenizer-type", "tokenizer-model", "vocab-file",
    "merge-file", "mock-data", "num-workers", "num-dataset-builder-threads", "no-mmap-bin-files", "dataloader-type",
    "reset-position-ids", "reset-attention-mask", "eod-mask-loss", "no-create-attention-mask-in-dataloader", "save",
    "load", "save-interval", "no-save-optim", "no-save-rng", "no-load-optim", "no-load-rng", "finetune", "ckpt-format",
    "ckpt-fully-parallel-save", "ckpt-fully-parallel-load", "async-save", "dist-ckpt-format", "use-dist-ckpt",
    "auto-detect-ckpt-format", "exit-on-missing-checkpoint", "use-checkpoint-args", "eval-interval", "eval-iters",
    "log-interval", "log-throughput", "log-params-norm", "log-num-zeros-in-grad", "log-timers-to-tensorboard",
    "log-memory-to-tensorboard", "log-validation-ppl-to-tensorboard", "log-progress", "timing-log-level",
    "timing-log-option", "tensorboard-dir", "tensorboard-log-interval", "tensorboard-queue-size", "wandb-*",
    "exit-interval", "exit-duration-in-mins", "exit-signal-handler", "distributed-backend",
    "distributed-timeout-minutes", "norm-epsilon", "layernorm-epsilon", "position-embedding-type", "rotary-base",
    "rotary-percent", "rotary-scaling-factor", "use-rotary-position-embeddings", "use-rope-scaling",
    "rope-scaling-factor", "no-rope-fusion", "no-position-embedding", "rotary-seq-len-interpolation-factor",
    "original-max-position-embeddings", "mscale", "mscale-all-dim", "beta-fast", "beta-slow",
    "attention-softmax-in-fp32", "no-masked-softmax-fusion", "no-bias-gelu-fusion", "no-bias-swiglu-fusion",
    "no-bias-dropout-fusion", "apply-layernorm-1p", "apply-residual-connection-post-layernorm",
    "attention-softmax-fusion", "no-gradient-accumulation-fusion", "use-mcore-models", "use-legacy-models",
    "check-for-nan-in-loss-and-grad", "no-check-for-nan-in-loss-and-grad", "manual-gc", "manual-gc-interval",
    "manual-gc-eval", "profile", "profile-step-start", "profile-step-end", "profile-ranks", "use-pytorch-profiler",
    "record-memory-history", "no-barrier-with-level-1-timing", "rampup-batch-size", "adlr-autoresume",
    "moe-router-load-balancing-type", "moe-aux-loss-coeff", "moe-z-loss-coeff", "moe-router-dtype",
    "moe-router-score-function", "moe-router-pre-softmax", "moe-router-bias-update-rate",
    "moe-router-enable-expert-bias", "moe-router-topk-scaling-factor", "moe-permute-fusion",
    "moe-per-layer-logging", "moe-router-fusion", "mtp-loss-scaling-factor",
    "normalization", "qk-layernorm", "enable-experimental", "use-cpu-initialization", "make-vocab-size-divisible-by",
    "ddp-bucket-size", "ddp-num-buckets", "ddp-average-in-collective", "overlap-p2p-communication",
    "no-overlap-p2p-communication", "defer-embedding-wgrad-compute", "deterministic-mode", "cross-entropy-fusion-impl",
    "te-rng-tracker", "tp-comm-overlap-cfg", "fp8-margin", "fp8-interval", "fp8-amax-history-len",
    "fp8-amax-compute-algo", "local-rank", "empty-unused-memory-level", "nccl-communicator-config-path",
    "use-tp-pp-dp-mapping", "optimizer", "align-grad-reduce", "high-priority-stream-groups", "rerun-mode",
    "no-load-strict", "override-opt-param-scheduler", "name", "run.*", "exp-manager.*", "restore-from-path", "logger.*",
    "checkpoint.*", "scheduler.*", "rng.*", "profiling.*", "rerun-state-machine.*", "enable-checkpointing",
    "use-distributed-sampler", "accumulate-grad-batches", "gradient-clip-val", "benchmark", "enable-model-summary",
    "max-epochs", "max-time", "log-every-n-steps", "val-check-interval", "limit-val-batches", "limit-test-batches",
    "accelerator", "logger", "explicit-log-dir", "data-impl", "splits-string", "index-mapping-dir", "tokenizer.*",
    "optim.*", "data.*", "nsys-profile.*", "target", "-target-", "nccl-ub", "use-sharp", "data-sharding", "pin-memory",
    "persistent-workers", "random-seed", "skip-getting-attention-mask-from-dataset", "barrier-with-l1-time",
    "tokenizer-name-or-path", "log-batch-size-to-tensorboard", "abort-on-unmet-fused-kernel-constraints",
    "train-weighted-split-paths*", "valid-weighted-split-paths*", "test-weighted-split-paths*", "kill-switch-*",
    "valid-num-workers", "norm-target-loss", "loss-on-targets-only", "reset-progress", "reset-iteration",
    "skip-train-iteration-range", "codecarbon-dir", "log-level", "log-level-replica", "embed-layernorm", "mup*",
    "universal-checkpoint", "ddp-impl", "warmup", "no-query-key-layer-scaling", "no-contiguous-buffers-in-local-ddp",
    "no-scatter-gather-tensors-in-pipeline", "loss-scale-window", "hysteresis", "lr-decay-tokens", "lr-warmup-tokens",
    "use-flash-attn", "use-flash-attn-v2", "use-flash-attn-triton", "use-flash-attn-builder", "ds-fused-adam", "load-tag",
    "no-log-*", "log-optimizer-states-to-tensorboard", "log-world-size-to-tensorboard", "create-moe-param-group",
    "moe-loss-coeff", "moe-eval-capacity-factor", "moe-min-capacity", "profile-steps", "profile-backward", "deepspeed-config",
    "sync-tp-duplicated-parameters",
    "zero-reduce-scatter", "zero-contigious-gradients", "zero-reduce-bucket-size", "zero-allgather-bucket-size",
    "contigious-checkpointing", "synchronize-each-layer", "train-data-exact-num-epochs", "return-data-index",
    "data-efficiency-curriculum-learning", "train-idx-path", "train-desc-path", "train-doc-idx-path",
    "train-sample-idx-path", "train-shuffle-idx-path", "repeated-dataloader", "trust-remote-code", "mmap-warmup",
    "rotary-position-embeddings-theta", "rope-type", "no-rope-freq", "yarn-*", "no-yarn-*", "no-one-logger", "one-logger-*",
    "app-tag-run-*", "enable-ft-package", "calc-ft-timeouts", "ft-num-warmup-iters", "inprocess-*", "otel-*", "muon-*",
    "lion-*", "decoupled-lr", "decoupled-min-lr", "override-ckpt-iteration", "dist-ckpt-*", "ckpt-*", "per-split-data-args-path",
    "dataloader-*", "object-storage-cache-path", "mid-level-dataset-surplus", "allow-ambiguous-pad-tokens", "fim-*",
    "adlr-autoresume-interval", "no-use-tokenizer-model-from-checkpoint-args", "tiktoken-*", "fp16-lm-cross-entropy",
    "no-persist-layer-norm", "check-for-large-grads", "apply-wd-to-qk-layernorm", "no-weight-decay-cond-type",
    "enable-msc", "disable-msc", "use-nccl-ub", "result-rejected-tracker-filename", "run-workload-inspector-server",
    "moe-use-upcycling", "moe-upcycling-granularity", "no-initialization", "use-checkpoint-opt-param-scheduler"};

constexpr std::string_view kTitanWithout[] = {
    "job.*", "profiling.*", "metrics.*", "optimizer.*", "lr-scheduler.*", "checkpoint.*", "comm.*", "experimental.*",
    "validation.*", "fault-tolerance.*", "memory-estimation.*", "debug.*", "deterministic.*", "training.dataset",
    "training.dataset-path", "training.max-norm", "training.seed", "training.deterministic", "training.gc-freq",
    "training.gc-debug", "training.warmup-steps", "training.debug-moe-force-load-balance", "model.tokenizer-path",
    "model.hf-assets-path", "model.norm-type", "model.print-after-conversion", "model.vocab-size-note",
    "parallelism.enable-loss-parallel", "parallelism.disable-loss-parallel", "parallelism.enable-compiled-autograd",
    "parallelism.pipeline-parallel-split-points", "parallelism.pipeline-parallel-schedule-csv",
    "parallelism.context-parallel-rotate-method", "float8.filter-fqns", "quantize.linear.float8.filter-fqns",
    "float8.emulate", "quantize.linear.float8.emulate",
    "activation-checkpoint.per-op-sac-force-recompute-mm-shapes-by-fqns", "activation-checkpoint.early-stop",
    "activation-checkpoint.visualize-memory-budget-pareto"};

constexpr std::string_view kDeepSpeedWithout[] = {
    "optimizer.*", "scheduler.*", "gradient-clipping", "steps-per-print", "wall-clock-breakdown", "dump-state",
    "tensorboard.*", "wandb.*", "csv-monitor.*", "comms-logger.*", "flops-profiler.*", "prescale-gradients",
    "gradient-predivide-factor", "sparse-gradients", "zero-allow-untrusted-optimizer", "zero-force-ds-cpu-optimizer",
    "data-efficiency.*", "elasticity.*", "autotuning.*", "checkpoint.*", "data-types.*", "seed",
    "zero-optimization.allgather-bucket-size", "zero-optimization.reduce-bucket-size",
    "zero-optimization.stage3-prefetch-bucket-size", "zero-optimization.stage3-param-persistence-threshold",
    "zero-optimization.stage3-max-live-parameters", "zero-optimization.stage3-max-reuse-distance",
    "zero-optimization.stage3-gather-16bit-weights-on-model-save", "zero-optimization.contiguous-gradients",
    "zero-optimization.allgather-partitions", "zero-optimization.reduce-scatter",
    "zero-optimization.round-robin-gradients", "zero-optimization.sub-group-size",
    "zero-optimization.elastic-checkpoint", "zero-optimization.ignore-unused-parameters",
    "zero-optimization.memory-efficient-linear", "communication-data-type", "torch-autocast.*",
    "zero-optimization.load-from-fp32-weights", "fp16.loss-scale", "fp16.loss-scale-window", "fp16.initial-scale-power",
    "fp16.hysteresis", "fp16.consecutive-hysteresis", "fp16.min-loss-scale", "fp16.auto-cast"};

constexpr std::string_view kVllmWithout[] = {
    "host", "port", "api-key", "served-model-name", "trust-remote-code", "tokenizer", "tokenizer-mode", "chat-template",
    "chat-template-content-format", "download-dir", "load-format", "revision", "seed", "uvicorn-log-level", "log-level",
    "disable-log-requests", "no-enable-log-requests", "enable-log-requests", "disable-log-stats", "max-log-len",
    "ssl-keyfile", "ssl-certfile", "root-path", "allowed-origins", "enable-auto-tool-choice", "tool-call-parser",
    "reasoning-parser", "enable-reasoning", "response-role", "distributed-executor-backend", "ray-workers-use-nsight",
    "nnodes", "node-rank", "master-addr", "master-port", "headless", "api-server-count", "data-parallel-address",
    "data-parallel-rpc-port", "data-parallel-start-rank", "data-parallel-backend", "data-parallel-hybrid-lb",
    "data-parallel-external-lb", "hf-token", "generation-config", "override-generation-config",
    "guided-decoding-backend", "structured-outputs-config", "logits-processors", "disable-custom-all-reduce",
    "swap-space", "limit-mm-per-prompt", "mm-processor-kwargs", "mm-encoder-tp-mode", "lora-modules", "fully-sharded-loras", "model-impl", "max-model-len", "max-seq-len-to-capture",
    "max-num-partial-prefills", "max-long-partial-prefills", "long-prefill-token-threshold", "scheduling-policy",
    "profiler-config", "otlp-traces-endpoint", "collect-detailed-traces", "kv-events-config",
    "prefix-caching-hash-algo", "enable-prompt-tokens-details", "enable-sleep-mode", "use-tqdm-on-load",
    "skip-mm-profiling", "language-model-only", "attention-backend", "moe-backend", "shutdown-timeout", "config-format",
    "limit-mm-per-prompt.*", "mm-processor-cache-*", "allowed-local-media-path", "media-io-kwargs", "tool-server",
    "reasoning-parser-plugin", "tool-parser-plugin", "lora-path", "data-parallel-rank", "disable-cascade-attn",
    "video-pruning-rate", "compilation-config.pass-config.*", "speculative-config.model"};

constexpr std::string_view kSglangWithout[] = {
    "host", "port", "api-key", "served-model-name", "trust-remote-code", "tokenizer-path", "tokenizer-mode",
    "chat-template", "log-level", "log-level-http", "log-requests", "log-requests-level", "enable-metrics",
    "enable-cache-report", "download-dir", "load-format", "revision", "random-seed", "nnodes", "node-rank",
    "dist-init-addr", "dist-timeout", "watchdog-timeout", "tool-call-parser", "reasoning-parser", "context-length",
    "skip-server-warmup", "warmups", "stream-interval", "base-gpu-id", "gpu-id-step", "schedule-policy",
    "schedule-conservativeness", "attention-backend", "prefill-attention-backend", "decode-attention-backend",
    "sampling-backend", "grammar-backend", "moe-runner-backend", "flashinfer-mla-disable-ragged", "fp8-gemm-backend",
    "enable-torch-compile", "torch-compile-max-bs", "max-prefill-tokens", "num-continuous-decode-steps",
    "disable-custom-all-reduce", "enable-mscclpp", "enable-nccl-nvls", "constrained-json-whitespace-pattern",
    "file-storage-path", "decode-log-interval", "disable-shared-experts-fusion", "moe-dense-tp-size",
    "enable-dp-lm-head", "deepep-config", "eplb-algorithm", "eplb-rebalance-num-iterations", "init-expert-location",
    "expert-distribution-recorder-mode", "expert-distribution-recorder-buffer-size", "disaggregation-ib-device",
    "disaggregation-bootstrap-port", "disaggregation-transfer-backend", "enable-multimodal", "mm-attention-backend",
    "enable-flashinfer-allreduce-fusion", "model-loader-extra-config", "speculative-draft-model-path",
    "speculative-eagle-topk", "speculative-num-draft-tokens", "speculative-accept-threshold-single", "enable-p2p-check",
    "nsa-prefill-backend", "nsa-decode-backend", "show-time-cost", "crash-dump-folder", "lora-paths", "lora-target-modules", "lora-backend", "router-*", "disable-radix-cache-note"};

constexpr std::string_view kTrtllmWithout[] = {
    "host", "port", "backend", "log-level", "tokenizer", "trust-remote-code", "max-seq-len", "max-input-len",
    "max-beam-width", "metadata-server-config-file", "server-role", "num-postprocess-workers", "reasoning-parser",
    "tool-parser", "fail-fast-on-attention-window-too-large", "gpus-per-node", "cluster-size",
    "moe-cluster-parallel-size", "print-iter-log", "enable-iter-perf-stats", "stream-interval", "moe-config.backend",
    "moe-config.*", "attn-backend", "sampler-type", "build-config.*", "kv-cache-config.event-buffer-max-size",
    "kv-cache-config.enable-partial-reuse",
    "speculative-config.use-relaxed-acceptance-for-thinking", "speculative-config.relaxed-topk",
    "speculative-config.relaxed-delta", "attention-dp-config.*", "allreduce-strategy", "perf-metrics-max-requests",
    "return-perf-metrics", "torch-compile-config.*", "load-format", "cache-transceiver-config.*",
    "scheduler-config.context-chunking-policy", "scheduler-config.dynamic-batch-config.*", "enable-autotuner",
    "garbage-collection-gen0-threshold"};

// clang-format on

}  // namespace

std::span<const std::string_view> megatron_without_effect() { return kMegatronWithout; }
std::span<const std::string_view> torchtitan_without_effect() { return kTitanWithout; }
std::span<const std::string_view> deepspeed_without_effect() { return kDeepSpeedWithout; }
std::span<const std::string_view> vllm_without_effect() { return kVllmWithout; }
std::span<const std::string_view> sglang_without_effect() { return kSglangWithout; }
std::span<const std::string_view> trtllm_without_effect() { return kTrtllmWithout; }

}  // namespace flopcast
