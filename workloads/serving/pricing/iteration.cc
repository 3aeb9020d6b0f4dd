#include "workloads/serving/pricing/iteration.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>

namespace flopcast {
namespace {

constexpr double kTicksPerMicrosecond = 1e6;
constexpr double kPromptNodes = 2;  // to an octave of tokens, and of cached tokens
constexpr double kEdgeKernels = 4;  // embedding, norm, head, sampling

/// Sizes on a logarithmic grid, `per_octave` nodes to an octave, from 1 on.
std::pair<std::size_t, double> log_node(double x, double per_octave) {
  const double at = std::log2(std::max(1.0, x)) * per_octave;
  const double node = std::floor(at);
  return {static_cast<std::size_t>(node), at - node};
}
double constant(const ForwardSetting& setting, Fitted EngineConstants::*field) {
  return ((*setting.constants).*field).value;
}

/// Tokens that are drafted.
int depth(const EngineConfig& engine, bool drafts) { return drafts ? engine.speculation.depth : 0; }

double log_value(std::size_t node, double per_octave) { return std::exp2(static_cast<double>(node) / per_octave); }

/// Cached tokens per request at which curves have their nodes: 0, 64, then four to an octave up to 2^21.
const std::vector<std::int64_t>& curve_lengths() {
  static const std::vector<std::int64_t> kLengths = [] {
    std::vector<std::int64_t> lengths = {0};
    for (int i = 0; i <= 60; ++i) lengths.push_back(std::llround(64 * std::exp2(i / 4.0)));
    return lengths;
  }();
  return kLengths;
}

std::uint64_t key(std::size_t a, std::size_t b, std::size_t c = 0) {
  return (static_cast<std::uint64_t>(a) << 42) | (static_cast<std::uint64_t>(b) << 21) | c;
}

/// What takes longer than the longest session takes that long.
Ticks ticks_of_us(double us) {
  const double ticks = us * kTicksPerMicrosecond;
  return ticks < static_cast<double>(kLongestTicks) ? static_cast<Ticks>(std::llround(ticks)) : kLongestTicks;
}

/// Micro-batches that the prompts of an iteration make: each within the token budget, no more than there are stages.
double prompt_parts(const EngineConfig& engine, std::int64_t tokens) {
  const double budgets = std::ceil(static_cast<double>(tokens) / engine.scheduler.token_budget);
  return std::clamp(budgets, 1.0, static_cast<double>(engine.plan.pipeline));
}

}  // namespace

IterationPricer::IterationPricer(ForwardSetting setting)
    : forward_(std::make_unique<ForwardModel>(std::move(setting))), layers_(forward_.get()) {
  request_overhead_ = ticks_of_us(constant(forward_->setting(), &EngineConstants::request_us));
  const std::string& sizes = forward_->setting().engine.graph_sizes;
  if (!sizes.empty()) graph_sizes_ = parse_graph_sizes(sizes).value_or(std::vector<int>{});
  if (forward_->setting().engine.has_drafter())
    drafter_ = std::make_unique<IterationPricer>(drafter_setting(forward_->setting()));
}

IterationPricer::~IterationPricer() = default;

IterationPricer::IterationPricer(Ticks iteration, Ticks per_prompt_token)
    : layers_(nullptr), fixed_iteration_(iteration), fixed_per_token_(per_prompt_token) {}

GpuPass IterationPricer::decode_attention(double batch, double kv_per_request, Split split, int queries) {
  const double halves = split == Split::one || batch < 2 ? 1 : 2;
  const auto at = [&](std::size_t requests, std::size_t length) {
    const std::uint64_t k = key(requests, length, static_cast<std::size_t>(queries));
    const auto found = decode_nodes_.find(k);
    if (found != decode_nodes_.end()) return found->second;
    const DecodeAttention shape{CountGrid::value(requests), log_value(length, 4), queries};
    return decode_nodes_.emplace(k, pass_of(forward_->attention(shape))).first->second;
  };
  const auto [requests, r] = CountGrid::below(batch / halves);
  const auto [length, l] = log_node(kv_per_request, 4);
  const auto of_length = [&, node = requests, way = r](std::size_t each) {
    return way > 0 ? between(at(node, each), at(node + 1, each), way) : at(node, each);
  };
  GpuPass core = of_length(length);
  if (l > 0) {
    // Linear in the length, whose nodes are spaced geometrically.
    const double a = log_value(length, 4), b = log_value(length + 1, 4);
    core = between(core, of_length(length + 1), (kv_per_request - a) / (b - a));
  }
  core = core * halves;
  core.kernels = core_kernels(StepKind::decode);
  return core;
}

/// Requests of one iteration differ in length. The kernel is priced for as many alike ones with the same
/// tokens and the same query-key pairs: q = Q / n, kv = P / Q + q / 2. Interpolated in the logarithm of all
/// three, and in shares and power beside the time.
BySplit<GpuPass> IterationPricer::prompt_attention(const PromptLoad& prompts) {
  const double n = static_cast<double>(prompts.requests), q = static_cast<double>(prompts.tokens) / n;
  const double kv =
      std::max(q, 0.5 * static_cast<double>(prompts.twice_pairs) / static_cast<double>(prompts.tokens) + q / 2);
  const std::array<std::pair<std::size_t, double>, 3> at = {log_node(n, 1), log_node(q, kPromptNodes),
                                                            log_node(kv / q, kPromptNodes)};
  CornerCache<PromptNode>::Corners& corners = prompt_cells_.corners(key(at[0].first, at[1].first, at[2].first));
  PromptNode sum;
  for (unsigned corner = 0; corner < 8; ++corner) {
    double weight = 1;
    std::array<std::size_t, 3> node{};
    for (unsigned axis = 0; axis < 3; ++axis) {
      const bool upper = corner >> axis & 1;
      weight *= upper ? at[axis].second : 1 - at[axis].second;
      node[axis] = at[axis].first + upper;
    }
    if (weight <= 0) continue;
    if (corners[corner] == nullptr) corners[corner] = &prompt_node(node);
    for (const Split split : layers_.splits()) sum[split].add((*corners[corner])[split], weight);
  }
  BySplit<GpuPass> out;
  for (const Split split : layers_.splits()) {
    const double time = std::exp(sum[split].log_us);
    out[split] = {
        time, time, time * sum[split].sm_share, time * sum[split].joules_per_us, core_kernels(StepKind::prompt), 0};
  }
  return out;
}

const IterationPricer::PromptNode& IterationPricer::prompt_node(const std::array<std::size_t, 3>& node) {
  const auto [place, unknown] = prompt_nodes_.try_emplace(key(node[0], node[1], node[2]));
  if (!unknown) return place->second;
  const double tokens = log_value(node[1], kPromptNodes);
  const PromptAttention shape{log_value(node[0], 1), tokens, tokens * log_value(node[2], kPromptNodes)};
  for (const Split split : layers_.splits()) {
    const GpuPass pass = pass_of(forward_->attention(shape, split == Split::two));
    place->second[split] = {std::log(pass.gpu_us), pass.on_sms_us / pass.gpu_us, pass.joules / pass.gpu_us};
  }
  return place->second;
}

GpuPass IterationPricer::edges(double sequences) {
  const auto at = [&](std::size_t node) {
    GpuPass unknown;
    unknown.gpu_us = -1;
    if (node >= edge_nodes_.size()) edge_nodes_.resize(node + 1, unknown);
    GpuPass& known = edge_nodes_[node];
    const double count = CountGrid::value(node);
    if (known.gpu_us < 0) known = pass_of(forward_->edges(count, count));
    return known;
  };
  const auto [node, part] = CountGrid::below(sequences);
  GpuPass out = part > 0 ? between(at(node), at(node + 1), part) : at(node);
  out.kernels = kEdgeKernels;
  out.pieces = 1;
  return out;
}

/// Drafts are made one token after the other: projection, one layer as the model's last, head. A trained head has a
/// dense layer, where the model knows how wide that is.
GpuPass IterationPricer::drafts(double batch, double kv_per_request, bool with_drafts) {
  const EngineConfig& engine = forward_->setting().engine;
  const int deep = depth(engine, with_drafts);
  if (deep == 0 || engine.speculation.kind == DraftKind::lookup) return {};
  if (engine.speculation.kind == DraftKind::model) {
    if (!drafter_) return {};
    // A small model's batch is far from the board's limit: only its time counts.
    const double length = std::max(1.0, kv_per_request);
    GpuPass out;
    out.gpu_us = deep * drafter_->decode_us(std::llround(std::max(1.0, batch)), std::llround(length), false);
    return out;
  }
  GpuPass once = draft_layer(batch);
  once += decode_attention(batch, kv_per_request, Split::one, 1);
  once += edges(batch);
  once.kernels = once.pieces = 0;  // in the graph of the pass
  return once * deep;
}

/// Of a head's own layer what does not depend on what is cached: a curve asks for one batch at sixty lengths.
const GpuPass& IterationPricer::draft_layer(double batch) {
  const auto [place, unknown] = draft_layers_.try_emplace(batch);
  if (!unknown) return place->second;
  const EngineConfig& engine = forward_->setting().engine;
  const bool moe =
      engine.model.mtp_has_experts() && (engine.speculation.kind == DraftKind::mtp || engine.model.is_moe_layer(0));
  const auto [node, part] = CountGrid::below(batch);
  const LayerTime layer = forward_->layer(CountGrid::value(node + (part > 0.5)), moe, StepKind::decode, false);
  GpuPass once = pass_of(forward_->draft_projection(batch));
  for (const PassTime LayerTime::*of : {&LayerTime::projections, &LayerTime::shared_experts, &LayerTime::ffn,
                                        &LayerTime::all_reduces, &LayerTime::dispatch, &LayerTime::combine})
    once += pass_of(layer.*of);
  return place->second = once;
}

/// Of one layer's attention, beside its projections: as many whatever the batch.
double IterationPricer::core_kernels(StepKind kind) {
  double& known = core_kernels_[static_cast<std::size_t>(kind)];
  if (known < 0)
    known = kind == StepKind::prompt ? forward_->attention(PromptAttention{1, 16, 16}, false).kernels
                                     : forward_->attention(DecodeAttention{1, 16, 1}).kernels;
  return known;
}

/// A pass over prompts of a model that drafts, so that its cache has them.
double IterationPricer::prompts_alone_us(const PromptLoad& prompts) {
  const auto tokens = static_cast<double>(prompts.tokens);
  GpuPass pass = layers_.pass(tokens, tokens, StepKind::prompt, prompt_attention(prompts)[Split::one], Split::one);
  pass += edges(std::max<double>(1, static_cast<double>(prompts.finishing)));
  return launched_one_by_one(pass, forward_->setting(), StepKind::prompt, tokens);
}

/// The limit only costs time: of a pass that is slower at full clock than the other under the limit nobody asks what.
template <class PassAs, class Launched>
double IterationPricer::fastest(PassAs&& pass_as, Launched&& launched) const {
  constexpr double kNoBound = std::numeric_limits<double>::infinity();
  const GpuPass whole = pass_as(Split::one);
  if (!layers_.may_split()) return launched(whole, kNoBound);
  const GpuPass halved = pass_as(Split::two);
  const bool split_first = halved.gpu_us < whole.gpu_us;
  const double first = launched(split_first ? halved : whole, kNoBound);
  return std::min(first, launched(split_first ? whole : halved, first));
}

double IterationPricer::graph_batch(double batch) const {
  if (!forward_->setting().engine.cuda_graphs) return 0;
  if (graph_sizes_.empty()) return batch;
  const auto size = std::lower_bound(graph_sizes_.begin(), graph_sizes_.end(), batch);
  if (size == graph_sizes_.end()) return 0;
  return forward_->setting().engine.graph_padding || *size == batch ? *size : 0;
}

/// One decoding iteration at nodes of the grids, engine overheads apart. Padded rows go through every layer, attention
/// finds nothing in the cache for them. Two micro-batches are used from the batch on at which they pay: what the host
/// takes to launch the kernels of both counts.
double IterationPricer::decode_us(std::int64_t batch, std::int64_t length, bool with_drafts) {
  const EngineConfig& engine = forward_->setting().engine;
  // Pipeline stages work on as many parts of the batch at once; each part passes all stages.
  const double b = std::max(1.0, static_cast<double>(batch) / engine.plan.pipeline), kv = static_cast<double>(length);
  const double graph = graph_batch(b);
  const double tokens = std::max(b, graph) * (1 + depth(engine, with_drafts));
  GpuPass beside = edges(tokens);
  beside += drafts(b, kv, with_drafts);
  beside.gpu_us += in_microseconds(forward_->stage_transfers(tokens)) +
                   in_microseconds(draft_host(engine, depth(engine, with_drafts)));
  const auto pass_as = [&](Split split) {
    const GpuPass attention = decode_attention(b, kv, split, 1 + depth(engine, with_drafts));
    GpuPass pass = layers_.pass(tokens, tokens, StepKind::decode, attention, split);
    pass += beside;
    return pass;
  };
  return fastest(pass_as, [&](const GpuPass& pass, double bound) {
    return graph > 0 ? launched_as_graph(pass, forward_->setting(), bound)
                     : launched_one_by_one(pass, forward_->setting(), StepKind::decode, tokens, bound);
  });
}

DecodeCurve IterationPricer::make_curve(std::int64_t batch, bool drafts) {
  const std::vector<std::int64_t>& lengths = curve_lengths();
  if (!forward_) return DecodeCurve(batch, {0}, {fixed_iteration_});
  const auto nodes = [&](std::size_t node) -> const std::vector<Ticks>& {
    const auto found = curve_nodes_[drafts].find(node);
    if (found != curve_nodes_[drafts].end()) return found->second;
    std::vector<Ticks> times;
    const auto b = static_cast<std::int64_t>(CountGrid::value(node));
    for (const std::int64_t length : lengths)
      times.push_back(ticks_of_us(decode_us(b, std::max<std::int64_t>(1, length), drafts)));
    return curve_nodes_[drafts].emplace(node, std::move(times)).first->second;
  };
  const int deep = depth(forward_->setting().engine, drafts);
  std::vector<Ticks> times;
  // Steps between captured sizes: nothing to be interpolated.
  if (!graph_sizes_.empty()) {
    for (const std::int64_t length : lengths)
      times.push_back(
          ticks_of_us(with_host_us(forward_->setting(), decode_us(batch, std::max<std::int64_t>(1, length), drafts),
                                   static_cast<double>(batch), 0, deep)));
    return DecodeCurve(batch, lengths, times);
  }
  const auto [node, part] = CountGrid::below(static_cast<double>(batch));
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const double low = static_cast<double>(nodes(node)[i]);
    const double high = part > 0 ? static_cast<double>(nodes(node + 1)[i]) : low;
    const double pass_us = (low + (high - low) * part) / kTicksPerMicrosecond;
    times.push_back(ticks_of_us(with_host_us(forward_->setting(), pass_us, static_cast<double>(batch), 0, deep)));
  }
  return DecodeCurve(batch, lengths, times);
}

const DecodeCurve& IterationPricer::decode(std::int64_t batch) {
  const bool drafts = forward_ && forward_->setting().engine.speculation.depth_at(static_cast<double>(batch)) > 0;
  return decode(batch, drafts);
}

const DecodeCurve& IterationPricer::decode(std::int64_t batch, bool drafts) {
  const auto index = static_cast<std::size_t>(batch);
  std::vector<std::unique_ptr<DecodeCurve>>& curves = curves_[drafts];
  if (index >= curves.size()) curves.resize(index + 1);
  if (!curves[index]) curves[index] = std::make_unique<DecodeCurve>(make_curve(batch, drafts));
  return *curves[index];
}

Ticks IterationPricer::prompt(const PromptLoad& prompts, std::int64_t batch, std::int64_t kv, double mean_tokens,
                              bool with_drafts) {
  if (!forward_) return fixed_iteration_ + fixed_per_token_ * prompts.tokens;
  const EngineConfig& engine = forward_->setting().engine;
  const double stages = engine.plan.pipeline, b = static_cast<double>(batch);
  // A stage works on one part at a time. Prompts within the token budget are one part, which passes all stages before
  // its first token is known; only what is more than a budget keeps several stages busy.
  const double parts = prompt_parts(engine, prompts.tokens);
  const double tokens = static_cast<double>(prompts.tokens) / parts + b * (1 + depth(engine, with_drafts)) / stages;
  GpuPass decoding;
  if (batch > 0)
    decoding = decode_attention(std::max(1.0, b / stages), std::max(1.0, static_cast<double>(kv) / b), Split::one, 1);
  const double mean = mean_tokens > 0 ? mean_tokens / parts : tokens;
  const double sequences = b + static_cast<double>(prompts.finishing);
  GpuPass beside = edges(std::max(1.0, sequences));
  beside.gpu_us += in_microseconds(forward_->stage_transfers(tokens));
  const int deep = batch > 0 ? depth(engine, with_drafts) : 0;
  if (batch > 0) {
    beside += drafts(b, std::max(1.0, static_cast<double>(kv) / b), with_drafts);
    beside.gpu_us += in_microseconds(draft_host(engine, deep));
  }
  const BySplit<GpuPass> cores = prompt_attention(prompts);
  const auto pass_as = [&](Split split) {
    GpuPass attention = cores[split] * (1 / parts);
    attention.kernels = core_kernels(StepKind::prompt);
    attention += decoding;
    GpuPass pass = layers_.pass(tokens, mean, StepKind::prompt, attention, split);
    pass += beside;
    return pass;
  };
  double whole = fastest(pass_as, [&](const GpuPass& pass, double bound) {
    return launched_one_by_one(pass, forward_->setting(), StepKind::prompt, tokens, bound);
  });
  if (drafter_ && prompts.tokens > 0) whole += drafter_->prompts_alone_us(prompts);
  return ticks_of_us(with_host_us(forward_->setting(), whole, sequences, static_cast<double>(prompts.tokens), deep));
}

Ticks IterationPricer::lone_prompt(std::int32_t tokens, std::int32_t cached) {
  return lone_prompts_.get(tokens, cached, [&] {
    PromptLoad load;
    load.add(tokens, cached, true);
    return prompt(load, 0, 0);
  });
}

Ticks IterationPricer::launch_of(double tokens, StepKind kind, double attention_kernels) {
  GpuPass pass = layers_.launched(tokens, kind, attention_kernels);
  pass.kernels += kEdgeKernels;
  return ticks_of_us(launch_us(forward_->setting(), launches(pass, forward_->setting(), kind, tokens), kind));
}

Ticks IterationPricer::prompt_launch(const PromptLoad& prompts, std::int64_t batch) {
  if (!forward_) return 0;
  const double cores = core_kernels(StepKind::prompt) + (batch > 0 ? core_kernels(StepKind::decode) : 0);
  return launch_of(static_cast<double>(prompts.tokens + batch), StepKind::prompt, cores);
}

Ticks IterationPricer::decode_launch(std::int64_t batch) {
  if (!forward_) return 0;
  const double b = std::max(1.0, static_cast<double>(batch) / forward_->setting().engine.plan.pipeline);
  return graph_batch(b) > 0 ? 0 : launch_of(b, StepKind::decode, core_kernels(StepKind::decode));
}

double IterationPricer::attention_share(std::int64_t batch, std::int64_t kv) {
  if (!forward_ || batch == 0) return 0;
  const double b = static_cast<double>(batch), per_request = std::max(1.0, static_cast<double>(kv) / b);
  const EngineConfig& engine = forward_->setting().engine;
  const Split split = layers_.may_split() ? Split::two : Split::one;
  const double cores =
      decode_attention(b, per_request, split, 1 + engine.speculation.depth_at(b)).gpu_us * engine.model.layers;
  return cores * kTicksPerMicrosecond / static_cast<double>(decode(batch).at(kv));
}

}  // namespace flopcast
