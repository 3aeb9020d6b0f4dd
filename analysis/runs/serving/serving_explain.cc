#include "analysis/runs/serving/serving_explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/text/format.h"
#include "analysis/runs/serving/serving_pools.h"
#include "scenarios/proto/serving_views.pb.h"
#include "workloads/serving/pricing/deployment.h"
#include "workloads/serving/pricing/gpu_pass.h"
#include "workloads/serving/pricing/iteration.h"

namespace flopcast {
namespace {

constexpr int kEdgeKernels = 4;  // embedding, norm, head, sampling

/// The engine's part of a setting without the mechanisms that are left out.
ForwardSetting reduced(ForwardSetting setting, const IterationMechanisms& m) {
  setting.engine.expert_transport = transport_of(setting.engine);
  if (!m.micro_batches) setting.engine.two_micro_batches = false;
  if (!m.speculation) setting.engine.speculation.depth = 0;
  if (!m.skew) setting.hot_load = 1;
  return setting;
}

/// All layers of a pass, part by part.
class PassParts {
 public:
  /// @param graph the pass is one CUDA graph; else its kernels are launched one by one
  PassParts(const ForwardModel& model, const IterationMechanisms& m, StepKind kind, bool graph)
      : model_(model), m_(m), kind_(kind), graph_(graph) {}

  /// `attention`: the cores of one layer.
  void layers(double tokens, PassTime attention) {
    const bool two = model_.setting().engine.two_micro_batches;
    const int halves = two ? 2 : 1;
    const int all = model_.dense_layers() + model_.moe_layers();
    core_ += attention * all;
    tokens_ = tokens;
    pieces_ = all * (attention.kernels + halves) + 1;
    if (model_.dense_layers() > 0)
      add(model_.layer(tokens / halves, false, kind_, two), halves * model_.dense_layers(), dense_);
    if (model_.moe_layers() > 0)
      add(model_.layer(tokens / halves, true, kind_, two), halves * model_.moe_layers(), experts_);
  }
  void exchange(Seconds exposed) { exchange_ += {exposed, 0, {}, {}, exposed}; }
  void edges(double tokens, double sequences) {
    PassTime once = model_.edges(tokens, sequences);
    once.kernels = kEdgeKernels;
    edges_ += once;
  }
  void transfers(double tokens) {
    if (!m_.transfers) return;
    const Seconds time = model_.stage_transfers(tokens);
    transfers_ += {time, 0, {}, {}, time};
  }
  /// One token after the other; their kernels run in the graph of the pass. @param requests of the whole batch.
  void drafts(const DecodeWork& work, double requests) {
    const EngineConfig& engine = model_.setting().engine;
    const int depth = engine.speculation.depth_at(requests);
    depth_ = depth;
    if (depth == 0 || engine.speculation.kind == DraftKind::lookup) return;
    drafts_ += {draft_host(engine, depth), 0};
    if (engine.speculation.kind == DraftKind::model) return draft_model(work, depth);
    const ModelConfig& model = engine.model;
    const bool moe = model.mtp_has_experts() && (engine.speculation.kind == DraftKind::mtp || model.is_moe_layer(0));
    const LayerTime layer = model_.layer(work.requests, moe, StepKind::decode, false);
    PassTime once = model_.draft_projection(work.requests);
    once += layer.projections;
    once += layer.ffn;
    if (m_.all_reduces) once += layer.all_reduces;
    once += layer.shared_experts;
    once += model_.attention(DecodeAttention{work.requests, work.kv_tokens, 1});
    once += model_.edges(work.requests, work.requests);
    once.kernels = 0;
    drafts_ += once * depth;
  }
  /// All layers of a smaller model, once for each draft.
  void draft_model(const DecodeWork& work, int depth) {
    if (!model_.setting().engine.has_drafter()) return;
    const ForwardModel small(drafter_setting(model_.setting()));
    const ModelConfig& model = small.setting().engine.model;
    const LayerTime layer = small.layer(work.requests, false, StepKind::decode, false);
    PassTime once = layer.projections;
    once += layer.ffn;
    if (m_.all_reduces) once += layer.all_reduces;
    once += small.attention(DecodeAttention{work.requests, work.kv_tokens, 1});
    once = once * model.layers;
    once += small.edges(work.requests, work.requests);
    drafts_ += {once.time * depth, 0, {}, {}, once.time * depth};
  }
  /// What the host adds: gaps, launches that the GPU waits for, time between iterations.
  void host(double sequences, double prompt_tokens) {
    if (!m_.host) return;
    const EngineConstants& c = *model_.setting().constants;
    const auto us = [](double value) { return Seconds(value * 1e-6); };
    const int kernels = sum().kernels;
    const bool pieces = !graph_ && runs_in_pieces(model_.setting(), kind_, tokens_);
    const Seconds gap = graph_ || pieces ? us(c.graph_gap_us.value) : model_.setting().kernels->kernel_gap();
    const Seconds gaps = gap * kernels;
    gaps_ += {gaps, 0};
    limit();
    if (!graph_) {
      const Seconds launches = us(launch_us(model_.setting(), pieces ? pieces_ : kernels, kind_)), so_far = sum().time;
      if (launches > so_far) launches_ += {launches - so_far, 0};
    }
    const Seconds work =
        us(c.iteration_us.value + c.sequence_us.value * sequences + c.prompt_token_us.value * prompt_tokens);
    const bool hidden = host_is_hidden(model_.setting().engine, depth_);
    engine_ += {hidden ? std::max(Seconds(0), work - sum().time) : work, 0};
  }

  IterationParts parts() const {
    IterationParts out;
    for (const auto& [name, pass] : rows())
      if (pass.time > Seconds(0) || pass.time < Seconds(0)) out.parts.push_back({name, pass});
    return out;
  }

 private:
  std::vector<IterationPart> rows() const {
    return {{"attention over the cache", core_},
            {"projections, norms, positions", projections_},
            {"dense FFN", dense_},
            {"gate and experts", experts_},
            {"tensor all-reduces", all_reduces_},
            {"dispatch and combine, not hidden", exchange_},
            {"head and sampling", edges_},
            {"drafts", drafts_},
            {"between pipeline stages", transfers_},
            {"gaps between kernels", gaps_},
            {"clock under the board's limit", limit_},
            {"waiting for launches", launches_},
            {"the engine between iterations", engine_}};
  }
  PassTime sum() const {
    PassTime sum;
    for (const auto& row : rows()) sum += row.pass;
    return sum;
  }
  /// What the clock loses.
  void limit() {
    const PassTime all = sum();
    const Seconds kernels = all.kernel_time();
    limit_.time += under_limit(*model_.setting().kernels, kernels, all.on_sms, all.energy).time - kernels;
  }
  void add(const LayerTime& layer, int times, PassTime& ffn) {
    projections_ += layer.projections * times;
    ffn += layer.ffn * times;
    ffn += layer.shared_experts * times;
    if (m_.all_reduces) all_reduces_ += layer.all_reduces * times;
  }

  const ForwardModel& model_;
  const IterationMechanisms& m_;
  StepKind kind_;
  bool graph_;
  int depth_ = 0, pieces_ = 0;
  double tokens_ = 0;
  PassTime core_, projections_, dense_, experts_, all_reduces_, exchange_, edges_, drafts_, transfers_, gaps_, limit_,
      launches_, engine_;
};

void merge(IterationParts& into, const IterationParts& more) {
  for (const IterationPart& part : more.parts) {
    const auto same =
        std::find_if(into.parts.begin(), into.parts.end(), [&](const IterationPart& p) { return p.name == part.name; });
    if (same == into.parts.end())
      into.parts.push_back(part);
    else
      same->pass += part.pass;
  }
}

}  // namespace

Seconds IterationParts::total() const {
  Seconds sum;
  for (const IterationPart& part : parts) sum += part.pass.time;
  return sum;
}

namespace {

/// @param graph rows of the CUDA graph that the batch is padded to; 0: it has none
IterationParts decode_parts(const ForwardModel& model, const DecodeWork& work, double graph,
                            const IterationMechanisms& mechanisms, Seconds exposed) {
  const EngineConfig& engine = model.setting().engine;
  const DecodeWork own{std::max(1.0, work.requests / engine.plan.pipeline), std::max(1.0, work.kv_tokens)};
  const int depth = engine.speculation.depth_at(work.requests);
  const double tokens = std::max(own.requests, graph) * (1 + depth);
  const int halves = engine.two_micro_batches && own.requests >= 2 ? 2 : 1;
  PassTime core = model.attention(DecodeAttention{own.requests / halves, own.kv_tokens, 1 + depth});
  core = core * halves;
  PassParts parts(model, mechanisms, StepKind::decode, graph > 0);
  parts.layers(tokens, core);
  parts.edges(tokens, tokens);
  parts.drafts(own, work.requests);
  parts.transfers(tokens);
  if (mechanisms.exchange) parts.exchange(exposed);
  parts.host(work.requests, 0);
  return parts.parts();
}

IterationParts prompt_parts(const ForwardModel& model, const PromptWork& piece, const IterationMechanisms& mechanisms,
                            Seconds exposed) {
  const double stages = model.setting().engine.plan.pipeline;
  PassTime core = model.attention(PromptAttention{1, piece.tokens, piece.cached + piece.tokens},
                                  model.setting().engine.two_micro_batches);
  core = of_stage(core, stages);
  core.kernels *= model.setting().engine.two_micro_batches ? 2 : 1;
  PassParts parts(model, mechanisms, StepKind::prompt, false);
  parts.layers(piece.tokens / stages, core);
  parts.edges(1, 1);
  parts.transfers(piece.tokens / stages);
  if (mechanisms.exchange) parts.exchange(exposed);
  parts.host(1, piece.tokens);
  return parts.parts();
}

/// The rest of an iteration's price beside all that is computed; nothing where nothing is exchanged.
Seconds exposed_exchange(const ForwardModel& model, Seconds price, const IterationParts& computed) {
  const bool sent =
      transport_of(model.setting().engine) == ExpertTransport::all_gather || sends_to_experts(model.setting().engine);
  if (!sent || model.moe_layers() == 0) return Seconds(0);
  return std::max(Seconds(0), price - computed.total());
}

/// The setting without two micro-batches where they do not pay for such an iteration.
template <class Work, class Price>
ForwardSetting settled(ForwardSetting setting, const Work& work, Price price) {
  if (!setting.engine.two_micro_batches) return setting;
  ForwardSetting whole = setting;
  whole.engine.two_micro_batches = false;
  // How tokens travel was settled with two micro-batches in mind.
  whole.engine.expert_transport = transport_of(setting.engine);
  IterationPricer either(setting), alone(whole);
  return price(either, work) < price(alone, work) ? setting : whole;
}

/// Batches are whole; a mean one lies between two.
Seconds price_of(IterationPricer& pricer, const DecodeWork& work) {
  const double low = std::max(1.0, std::floor(work.requests));
  const auto at = [&](double requests) {
    return to_seconds(pricer.decode(std::llround(requests)).at(std::llround(requests * work.kv_tokens)));
  };
  return at(low) + (at(low + 1) - at(low)) * (std::max(low, work.requests) - low);
}

Seconds price_of(IterationPricer& pricer, const PromptWork& piece) {
  PromptLoad load;
  load.add(std::llround(piece.tokens), std::llround(piece.cached), true);
  return to_seconds(pricer.prompt(load, 0, 0));
}

constexpr IterationMechanisms kComputed{true, true, false, true, true, true, true};

}  // namespace

IterationParts decode_iteration(const ForwardSetting& setting, const DecodeWork& work,
                                const IterationMechanisms& mechanisms) {
  IterationPricer pricer(settled(reduced(setting, mechanisms), work,
                                 [](IterationPricer& p, const DecodeWork& w) { return price_of(p, w); }));
  const ForwardModel& model = *pricer.forward();
  const double graph = pricer.graph_batch(std::max(1.0, work.requests / setting.engine.plan.pipeline));
  const Seconds exposed =
      exposed_exchange(model, price_of(pricer, work), decode_parts(model, work, graph, kComputed, Seconds(0)));
  return decode_parts(model, work, graph, mechanisms, exposed);
}

IterationParts prompt_iterations(const ForwardSetting& setting, const PromptWork& work,
                                 const IterationMechanisms& mechanisms) {
  const int pieces = static_cast<int>(std::max(1.0, std::ceil(work.tokens / setting.engine.scheduler.token_budget)));
  IterationPricer pricer(settled(reduced(setting, mechanisms), PromptWork{work.tokens / pieces, work.cached},
                                 [](IterationPricer& p, const PromptWork& w) { return price_of(p, w); }));
  const ForwardModel& model = *pricer.forward();
  IterationParts all;
  for (int i = 0; i < pieces; ++i) {
    const PromptWork piece{work.tokens / pieces, work.cached + work.tokens / pieces * i};
    const Seconds exposed =
        exposed_exchange(model, price_of(pricer, piece), prompt_parts(model, piece, kComputed, Seconds(0)));
    merge(all, prompt_parts(model, piece, mechanisms, exposed));
  }
  return all;
}

namespace {

struct Step {
  const char* name;
  bool IterationMechanisms::*mechanism;
};

constexpr Step kSteps[] = {
    {"gaps, launches and the engine", &IterationMechanisms::host},
    {"tensor all-reduces", &IterationMechanisms::all_reduces},
    {"transfers between stages", &IterationMechanisms::transfers},
    {"dispatch and combine of experts", &IterationMechanisms::exchange},
    {"experts not equally busy", &IterationMechanisms::skew},
    {"two micro-batches, side by side", &IterationMechanisms::micro_batches},
    {"drafts, and the tokens they give", &IterationMechanisms::speculation},
};

/// Mechanisms one after the other: each with those before it. `time` of a set of them. What adds nothing is
/// not in force.
template <class Time>
LatencyLadder ladder_of(Time time) {
  IterationMechanisms on{false, false, false, false, false, false, false};
  LatencyLadder out;
  out.bare = out.total = time(on);
  for (const Step& step : kSteps) {
    on.*step.mechanism = true;
    const Seconds now = time(on);
    if (std::abs((now - out.total).value()) > 1e-9) out.adds.emplace_back(step.name, now - out.total);
    out.total = now;
  }
  return out;
}

void add_to(LatencyLadder& ladder, const char* what, Seconds amount) {
  ladder.adds.emplace_back(what, amount);
  ladder.total += amount;
}

ForwardSetting setting_of(const BuiltPool& pool, const PoolReport& report) {
  ForwardSetting setting = pool.pricers.front()->forward()->setting();
  setting.hot_load = std::max(1.0, report.busiest_expert_gpu);
  return setting;
}

double per(double sum, double count) { return count > 0 ? sum / count : 0; }

}  // namespace

ServingExplanation explain_serving(const ServingReport& report) {
  const std::vector<BuiltPool> pools = build_pools(report.scenario);
  const ClassMetrics& all = report.all;
  ServingExplanation out;
  const auto completed = static_cast<double>(all.completed.requests);
  const double input = per(static_cast<double>(all.completed.input_tokens), completed),
               cached = per(static_cast<double>(all.cached_tokens), completed);

  const PromptWork prompt{std::max(1.0, input - cached), cached};
  const ForwardSetting prompts = setting_of(pools[report.serving().prompt_pool_index()], report.prompt_pool());
  out.iterations.push_back({report.prompt_pool().totals.name, "prompt", 1, prompt.tokens, prompt.cached,
                            prompt_iterations(prompts, prompt)});
  LatencyLadder ttft =
      ladder_of([&](const IterationMechanisms& on) { return prompt_iterations(prompts, prompt, on).total(); });
  ttft.figure = "ttft";
  ttft.title = fmt::format("Time to first token: a prompt of {} tokens{}", format_integer(input),
                           cached >= 1 ? fmt::format(", {:.0f} of them cached", cached) : "");
  const Seconds queueing(all.queueing.mean()), mean(all.ttft.mean());
  if (const SessionTotals& totals = report.totals; totals.transfers > 0)
    add_to(ttft, "the cache on its way", totals.transfer_time / static_cast<double>(totals.transfers));
  add_to(ttft,
         report.totals.transfers > 0 ? "other lengths, others in the batch, waiting for a place on a decode replica"
                                     : "other lengths, others in the batch",
         mean - queueing - ttft.total);
  add_to(ttft, "queueing", queueing);
  out.ladders.push_back(std::move(ttft));

  const PoolReport& last = report.answer_pool();
  const BuiltPool& answering = pools[report.serving().answer_pool_index()];
  const int groups = answering.config.replica.groups;
  if (last.totals.counters.decode_requests == 0) return out;
  DecodeWork decode;
  decode.requests = std::max(1.0, last.mean_batch / groups);
  decode.kv_tokens = per(
      last.totals.mean_kv_share * static_cast<double>(last.totals.kv_capacity_tokens) / last.totals.replicas / groups,
      decode.requests);
  const ForwardSetting answers = setting_of(answering, last);
  const int depth = answers.engine.speculation.depth_at(decode.requests);
  out.iterations.push_back({last.totals.name, "decode", decode.requests, decode.requests * (1 + depth),
                            decode.kv_tokens, decode_iteration(answers, decode)});
  LatencyLadder tpot = ladder_of([&](const IterationMechanisms& on) {
    const double yield = on.speculation && depth > 0 ? answers.engine.speculation.tokens_per_iteration() : 1;
    return decode_iteration(answers, decode, on).total() / yield;
  });
  tpot.figure = "tpot";
  tpot.title = fmt::format("Time per output token: {:.1f} requests per attention group, {} tokens cached behind each",
                           decode.requests, format_integer(decode.kv_tokens));
  add_to(tpot, report.pools.size() > 1 ? "batches and lengths that change" : "prompts in between, batches change",
         Seconds(all.tpot.mean()) - tpot.total);
  out.ladders.push_back(std::move(tpot));
  return out;
}

std::string to_text(const ServingExplanation& explanation, const TextStyle& style) {
  std::string out;
  for (const ExplainedIteration& e : explanation.iterations) {
    const Seconds total = e.iteration.total();
    const bool decode = e.what == "decode";
    out += style.bold(decode ? "What a decoding iteration consists of" : "What a prompt consists of") + "\n";
    out += wrap(decode ? fmt::format("{}, per attention group: {:.1f} requests with {:.0f} cached tokens each", e.pool,
                                     e.requests, e.kv_tokens)
                       : fmt::format("{}: {:.0f} tokens to compute behind {:.0f} cached ones", e.pool, e.tokens,
                                     e.kv_tokens),
                style.width(), "") +
           "\n";
    TextTable table({Align::left, Align::right, Align::right, Align::right});
    table.header({"", "time", "share", "kernels"});
    for (const IterationPart& part : e.iteration.parts)
      table.row({part.name, format_time(part.pass.time), format_percent(part.pass.time / total),
                 part.pass.kernels > 0 ? fmt::format("{}", part.pass.kernels) : ""});
    table.row({"together", format_time(total), "", ""});
    out += table.render(style) + "\n";
  }
  for (const LatencyLadder& ladder : explanation.ladders) {
    out += style.bold(wrap(ladder.title, style.width(), "")) + "\n";
    TextTable table({Align::left, Align::right, Align::right});
    table.header({"", "adds", "is then"});
    Seconds at = ladder.bare;
    table.row({"kernels alone", "", format_time(at)});
    for (const auto& [name, adds] : ladder.adds) {
      at += adds;
      table.row({name, fmt::format("{}{}", adds < Seconds(0) ? "-" : "+", format_time(Seconds(std::abs(adds.value())))),
                 format_time(at)});
    }
    out += table.render(style) + "\n";
  }
  return out +
         wrap(
             "Iterations are priced at the mean batch and length of the replay; each mechanism is added to "
             "those above it. The last line of each "
             "ladder is the mean of the replay.",
             style.width(), "") +
         "\n";
}

report::ServingExplanation to_message(const ServingExplanation& explanation) {
  report::ServingExplanation message;
  for (const ExplainedIteration& e : explanation.iterations) {
    report::ExplainedIteration& out = *message.add_iterations();
    out.set_pool(e.pool);
    out.set_what(e.what);
    out.set_requests_per_group(e.requests);
    out.set_tokens(e.tokens);
    out.set_kv_tokens(e.kv_tokens);
    out.set_time_s(e.iteration.total().value());
    for (const IterationPart& part : e.iteration.parts) {
      report::IterationPart& item = *out.add_parts();
      item.set_name(part.name);
      item.set_time_s(part.pass.time.value());
      item.set_kernels(part.pass.kernels);
    }
  }
  for (const LatencyLadder& ladder : explanation.ladders) {
    report::ExplainedLatency& out = *message.add_ladder();
    out.set_figure(ladder.figure);
    out.set_bare_s(ladder.bare.value());
    out.set_time_s(ladder.total.value());
    for (const auto& [name, adds] : ladder.adds) {
      report::AddedMechanism& item = *out.add_mechanisms();
      item.set_name(name);
      item.set_adds_s(adds.value());
    }
  }
  return message;
}

}  // namespace flopcast
