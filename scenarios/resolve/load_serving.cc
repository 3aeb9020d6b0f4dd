#include "scenarios/resolve/load_serving.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "scenarios/proto/serving.pb.h"
#include "scenarios/read/engine_profile.h"
#include "scenarios/read/known_traces.h"
#include "scenarios/read/load_fields.h"
#include "scenarios/read/quantity.h"
#include "workloads/serving/cache/kv_bytes.h"
#include "workloads/serving/router.h"
#include "workloads/serving/traffic/clients.h"

namespace flopcast {

bool ServingScenario::autoscaled() const {
  return std::any_of(pools.begin(), pools.end(), [](const PoolSpec& pool) { return pool.autoscale.on; });
}

int ServingScenario::gpus() const {
  int sum = 0;
  for (const PoolSpec& pool : pools) sum += pool.engine.plan.gpus() * pool.replicas;
  return sum;
}

namespace {

std::string gigabytes(Bytes bytes) { return fmt::format("{:.1f} GB", bytes.value() / 1e9); }

/// All that is stated, on one line, the same in every version of Protobuf.
std::string traffic_text(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintToString(message, &text);
  return text;
}

class ServingLoader {
 public:
  ServingLoader(const proto::Serving& in, const ServingContext& context, Diagnostics& faults)
      : in_(in), context_(context), faults_(faults), out_(std::make_shared<ServingScenario>()) {}

  std::shared_ptr<ServingScenario> load() {
    plain_fields();
    traffic();
    pools();
    if (context_.cluster && !context_.open) gpu_count();
    if (context_.cluster && !context_.open) stated_faults();
    if (!context_.open) sample();
    return out_;
  }

  std::optional<PoolSpec> replicas_alone(const proto::Replicas& replicas, const std::string& path) {
    pool(replicas, path, ReplicaRole::unified);
    if (out_->pools.empty()) return std::nullopt;
    return std::move(out_->pools.front());
  }

 private:
  void fault(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    faults_.push_back(
        context_.places->fault(context_.root + path, std::move(found), std::move(expected), std::move(suggestion)));
  }
  bool sound(const std::string& path) const {
    const std::string full = context_.root + path;
    return std::none_of(faults_.begin(), faults_.end(), [&](const Diagnostic& d) { return d.field.starts_with(full); });
  }

  void plain_fields() {
    load_fields(in_, *out_);
    if (in_.has_failures()) out_->failures = loaded<FailureConfig>(in_.failures());
    out_->failures.seed = out_->seed;
    out_->expert_pace_stated = in_.has_expert_skew();
  }

  /// A name that no row of a table of the program has.
  template <class Row>
  void check_name(const std::string& name, std::span<const Row> rows, const std::string& path) {
    if (find_policy(rows, name)) return;
    std::vector<std::string> names;
    for (const Row& row : rows) names.emplace_back(row.name);
    fault(path, flopcast::quoted(name), fmt::format("one of {}", fmt::join(names, ", ")), nearest_name(name, names));
  }

  // ------------------------------------------------------------------------------------------- traffic

  void traffic() {
    if (!sound("traffic")) return;
    const proto::Traffic& t = in_.traffic();
    TrafficConfig& config = out_->traffic;
    out_->traffic_description = traffic_text(t);
    config.seed = out_->seed;
    if (t.has_duration()) config.duration = seconds(t.duration());
    if (t.has_requests()) config.requests = static_cast<std::uint64_t>(quantity(t.requests(), Dimension::count));
    if (t.stream_size() == 0) fault("traffic.stream", "none", "at least one stream { ... }");
    if (t.stream_size() > static_cast<int>(kMostTrafficClasses))
      fault("traffic.stream", fmt::format("{}", t.stream_size()), fmt::format("at most {}", kMostTrafficClasses));
    bool endless = false;
    for (int i = 0; i < t.stream_size(); ++i) {
      const std::string path = fmt::format("traffic.stream[{}]", i);
      traffic_class(t.stream(i), path);
      const bool trace_times =
          t.stream(i).has_trace() && !t.stream(i).has_requests_per_second() && !t.stream(i).has_users();
      const bool ends = t.stream(i).has_sessions() || (trace_times && !t.stream(i).trace().repeat());
      endless = endless || !ends;
    }
    if (endless && !t.has_duration() && !t.has_requests()) config.requests = asked_by_clients(t);
    if (endless && config.requests == 0 && !t.has_duration() && !t.has_requests())
      fault("traffic", "no end", "duration or requests, since this traffic would go on for ever");
    if (broken_trace_ || !sound("traffic")) return;
    try {
      make_traffic(config);
    } catch (const InputError& error) {
      for (const Diagnostic& d : error.diagnostics()) faults_.push_back(d);
    }
  }

  void traffic_class(const proto::TrafficClass& c, const std::string& path) {
    TrafficClass out;
    out.name = c.name();
    out.stated_cached_share = c.cached_share();
    lengths(c, path, out);
    arrivals(c, path, out);
    if (c.has_conversation()) conversation(c, path, out);
    if (const ClientRow* row = client_of(c)) out_->clients.push_back(fmt::format("{}: {}", c.name(), row->name));
    out_->class_names.push_back(c.name());
    out_->levels.push_back(loaded<ServiceLevel>(c.slo()));
    out_->traffic.classes.push_back(std::move(out));
  }

  const ClientRow* client_of(const proto::TrafficClass& c) const {
    return c.has_client() ? find_policy(benchmark_clients(), c.client()) : nullptr;
  }

  /// What clients of benchmarks ask in all; 0 where a stream has none that knows.
  std::uint64_t asked_by_clients(const proto::Traffic& t) const {
    std::uint64_t sum = 0;
    for (const proto::TrafficClass& c : t.stream()) {
      const ClientRow* row = client_of(c);
      if (row == nullptr) return 0;
      const auto users = static_cast<std::uint64_t>(c.has_users() ? c.users() : c.max_concurrency());
      const std::uint64_t asks = row->requests_per_user > 0 ? static_cast<std::uint64_t>(row->requests_per_user) * users
                                                            : static_cast<std::uint64_t>(row->requests);
      if (asks == 0) return 0;
      sum += asks;
    }
    return sum;
  }

  /// A client draws lengths in its own way: those beside it are plain.
  void check_client(const proto::TrafficClass& c, const std::string& path) {
    if (!c.has_client()) return;
    check_name(c.client(), benchmark_clients(), path + ".client");
    const ClientRow* row = client_of(c);
    if (c.has_trace() || c.has_sessions())
      fault(path + ".client", flopcast::quoted(c.client()), "lengths that are stated: input and output");
    if (!c.has_users() && !c.has_requests_per_second())
      fault(path + ".client", flopcast::quoted(c.client()), "users, or requests_per_second with max_concurrency");
    if (row == nullptr || row->shortest == row->longest) return;
    for (const auto& [field, length] : {std::pair("input", &c.input()), std::pair("output", &c.output())})
      if (length->has_shape() && length->shape() != "fixed")
        fault(fmt::format("{}.{}.shape", path, field), flopcast::quoted(length->shape()),
              fmt::format("nothing: {} draws lengths between {:g} and {:g} of those stated", row->name, row->shortest,
                          row->longest));
  }

  void lengths(const proto::TrafficClass& c, const std::string& path, TrafficClass& out) {
    check_client(c, path);
    if (c.has_sessions()) return recorded_sessions(c, path, out);
    if (c.has_trace() == (c.has_input() || c.has_output()))
      return fault(path, c.has_trace() ? "a trace beside input or output" : "no lengths",
                   "input and output, or a trace that has them");
    if (!c.has_trace()) {
      if (!c.has_input()) fault(path + ".input", "nothing", "the length of prompts");
      if (!c.has_output()) fault(path + ".output", "nothing", "the length of answers");
      const ClientRow* row = client_of(c);
      out.lengths = DrawnLengths{distribution(c.input(), row), distribution(c.output(), row)};
      check_context(c, path);
      return;
    }
    TraceOptions options;
    const proto::TraceFile& trace = c.trace();
    options.path = trace_path(trace.file(), path);
    if (options.path.empty()) return;
    options.format = trace.format();
    options.columns = trace_columns(trace.columns());
    options.rate_scale = trace.rate_scale();
    options.input_scale = trace.input_scale();
    options.output_scale = trace.output_scale();
    options.from = seconds(trace.from());
    if (trace.has_until()) options.until = seconds(trace.until());
    options.seed = out_->seed;
    if (context_.model) options.context = context_.model->max_positions;
    options.drop_beyond_context = trace.drop_too_long();
    try {
      TraceTraffic traffic(options);
      traffic.repeat = trace.repeat();
      out.lengths = std::move(traffic);
    } catch (const InputError& error) {
      faults_.insert(faults_.end(), error.diagnostics().begin(), error.diagnostics().end());
      broken_trace_ = true;
    }
  }

  void recorded_sessions(const proto::TrafficClass& c, const std::string& path, TrafficClass& out) {
    for (const auto& [there, field] :
         {std::pair(c.has_trace(), "trace"), std::pair(c.has_input(), "input"), std::pair(c.has_output(), "output"),
          std::pair(c.has_conversation(), "conversation"),
          std::pair(c.has_requests_per_second(), "requests_per_second"), std::pair(c.has_users(), "users")})
      if (there) fault(fmt::format("{}.{}", path, field), "beside sessions from a file", "one of them");
    const std::string file = file_path(c.sessions().file(), path + ".sessions.file", "recorded sessions");
    if (file.empty()) return;
    try {
      out.lengths = read_session_file(file, context_.model ? context_.model->max_positions : 0);
      out.arrivals = TraceTimes{};
    } catch (const InputError& error) {
      faults_.insert(faults_.end(), error.diagnostics().begin(), error.diagnostics().end());
      broken_trace_ = true;
    }
  }

  static TraceColumns trace_columns(const proto::TraceColumns& columns) {
    return {.time = columns.time(),
            .unit = columns.unit(),
            .input = columns.input(),
            .output = columns.output(),
            .session = columns.session(),
            .delay = columns.delay(),
            .delay_unit = columns.delay_unit(),
            .blocks = columns.blocks(),
            .block_tokens = columns.block_tokens(),
            .turns = columns.turns(),
            .bytes_per_token = columns.bytes_per_token()};
  }

  /// Relative to the scenario file, or to where one stands when it is said on the command line. Empty, with a fault
  /// that tells where the trace is to be had, when there is no such file.
  std::string trace_path(const std::string& file, const std::string& path) {
    return file_path(file, path + ".trace.file", "a request trace");
  }
  std::string file_path(const std::string& file, const std::string& path, const std::string& what) {
    namespace fs = std::filesystem;
    Diagnostic missing = context_.places->fault("serving." + path, "no file " + flopcast::quoted(file), what);
    const bool said_by_option = missing.file == "--set";
    const fs::path full = said_by_option ? fs::path(file) : fs::path(context_.file).parent_path() / file;
    std::error_code ignored;
    if (fs::exists(full, ignored)) return full.string();
    const KnownTrace* known = find_known_trace(file);
    std::string remedy = fmt::format("--set serving.{}=PATH", path);
    if (known) remedy = fmt::format("your own copy, from {}, and {}", known->where, remedy);
    broken_trace_ = true;
    faults_.push_back(with_remedy(std::move(missing), std::move(remedy)));
    return "";
  }

  RandomNumber distribution(const proto::Length& l, const ClientRow* client = nullptr) const {
    const std::string& shape = l.shape();
    const double mean = l.mean(), variation = l.variation();
    if (client != nullptr && client->shortest < client->longest)
      return RandomNumber::uniform(mean * client->shortest, mean * client->longest).clamped(1, mean * client->longest);
    RandomNumber base = shape == "exponential"  ? RandomNumber::exponential(mean)
                        : shape == "log_normal" ? RandomNumber::log_normal(mean, variation)
                        : shape == "gamma"      ? RandomNumber::gamma(mean, variation)
                        : shape == "uniform"    ? RandomNumber::uniform(mean * (1 - variation), mean * (1 + variation))
                        : shape == "up_to"      ? RandomNumber::uniform(mean * (1 - variation), mean)
                                                : RandomNumber::fixed(mean);
    return base.clamped(std::max(1.0, l.least()), std::max(std::max(1.0, l.least()), l.most()));
  }

  void check_context(const proto::TrafficClass& c, const std::string& path) {
    if (c.input().least() > c.input().most()) fault(path + ".input", "least above most", "least at most most");
    if (c.output().least() > c.output().most()) fault(path + ".output", "least above most", "least at most most");
    for (const auto& [field, length] : {std::pair("input", &c.input()), std::pair("output", &c.output())})
      if ((length->shape() == "uniform" || length->shape() == "up_to") && length->variation() > 1)
        fault(path + "." + field + ".variation", fmt::format("{:g}", length->variation()),
              fmt::format("at most 1: {} lengths go down to 0 then", length->shape()));
    if (!context_.model || !c.has_input() || !c.has_output()) return;
    const double mean = c.input().mean() + c.output().mean();
    if (mean > context_.model->max_positions)
      fault(path + ".input", fmt::format("{:g} tokens of prompt and answer", mean),
            fmt::format("at most the {} positions of {}", context_.model->max_positions, context_.model->name));
  }

  void arrivals(const proto::TrafficClass& c, const std::string& path, TrafficClass& out) {
    if (c.has_sessions()) return;
    const int stated = c.has_requests_per_second() + c.has_users();
    if (stated > 1) return fault(path, "requests_per_second and users", "one of them");
    idle_arrival_fields(c, path);
    if (c.has_users()) {
      out.arrivals = ClosedLoop{c.users(), RandomNumber::fixed(seconds(c.think_time()).value()), seconds(c.ramp())};
    } else if (c.has_requests_per_second()) {
      OpenLoop loop;
      const Hertz rate(c.requests_per_second());
      loop.rate = c.daily_swing() > 0 ? RateCurve::daily(rate, c.daily_swing(), seconds(c.daily_peak()))
                                      : RateCurve::constant(rate);
      loop.spacing = c.arrivals() == "even"    ? Spacing::even
                     : c.arrivals() == "gamma" ? Spacing::gamma
                                               : Spacing::exponential;
      loop.cv = c.burstiness();
      loop.max_concurrency = c.max_concurrency();
      out.arrivals = loop;
    } else if (c.has_trace()) {
      out.arrivals = TraceTimes{};
      const auto* trace = std::get_if<TraceTraffic>(&out.lengths);
      if (trace && !trace->summary.has_times())
        fault(path + ".trace", fmt::format("a trace in the format {}, which has no times", trace->summary.format->name),
              "requests_per_second or users beside it");
    } else {
      fault(path, "no arrivals", "requests_per_second, users, or a trace with times");
    }
  }

  /// Fields that say how requests come in another way than the one that is stated: somebody meant something
  /// by them.
  void idle_arrival_fields(const proto::TrafficClass& c, const std::string& path) {
    const auto idle = [&](bool stated, const char* field, const char* expected) {
      if (stated) fault(path + "." + field, "a statement without effect", expected);
    };
    const bool rate = c.has_requests_per_second();
    const char* needs_rate = "requests_per_second beside it, which it shapes";
    idle(!rate && c.has_arrivals(), "arrivals", needs_rate);
    idle(!rate && c.has_burstiness(), "burstiness", needs_rate);
    idle(!rate && c.has_daily_swing(), "daily_swing", needs_rate);
    idle(rate && c.has_burstiness() && c.arrivals() != "gamma", "burstiness", "arrivals: \"gamma\" beside it");
    idle(c.has_daily_peak() && c.daily_swing() <= 0, "daily_peak", "daily_swing beside it");
    idle(!c.has_users() && c.has_think_time(), "think_time", "users, who think");
    idle(!c.has_users() && c.has_ramp(), "ramp", "users, who begin one after the other");
    idle(!rate && c.has_max_concurrency(), "max_concurrency", needs_rate);
    idle(rate && c.has_max_concurrency() && c.has_conversation(), "max_concurrency",
         "requests that stand for themselves, without conversation");
    idle((rate || c.has_users()) && c.trace().has_rate_scale(), "trace.rate_scale",
         "the trace's own times, without requests_per_second or users");
  }

  void conversation(const proto::TrafficClass& c, const std::string& path, TrafficClass& out) {
    if (c.has_trace())
      return fault(path + ".conversation", "beside a trace", "lengths that are drawn: input and output");
    const proto::Conversation& talk = c.conversation();
    Sessions sessions;
    sessions.turns =
        talk.turns() > 1 ? RandomNumber::exponential(talk.turns()).clamped(1, 1000) : RandomNumber::fixed(1);
    sessions.think = RandomNumber::exponential(std::max(1e-3, seconds(talk.think_time()).value()));
    sessions.system_prompt_tokens = talk.system_prompt();
    sessions.system_prompts = talk.system_prompts();
    if (context_.model) sessions.context = context_.model->max_positions;
    sessions.tool_calls = talk.tool_calls();
    sessions.tool_time = RandomNumber::exponential(std::max(1e-3, seconds(talk.tool_time()).value()));
    if (talk.has_tool_result()) sessions.tool_result = distribution(talk.tool_result());
    if (talk.has_tool_call()) sessions.tool_call = distribution(talk.tool_call());
    for (const auto& [stated, field] :
         {std::pair(talk.has_tool_time(), "tool_time"), std::pair(talk.has_tool_result(), "tool_result"),
          std::pair(talk.has_tool_call(), "tool_call")})
      if (stated && talk.tool_calls() <= 0)
        fault(fmt::format("{}.conversation.{}", path, field), "a statement without effect", "tool_calls beside it");
    out.sessions = sessions;
  }

  // ------------------------------------------------------------------------------------------- replicas

  void pools() {
    const bool together = in_.has_replicas(), apart = in_.has_prefill() || in_.has_decode();
    if (together == apart)
      return fault(together ? "replicas" : "", together ? "replicas beside prefill or decode" : "no replicas",
                   "replicas { ... }, or prefill { ... } and decode { ... }");
    if (together) return pool(in_.replicas(), "replicas", ReplicaRole::unified);
    if (!in_.has_prefill()) return fault("prefill", "nothing", "prefill { ... } beside decode { ... }");
    if (!in_.has_decode()) return fault("decode", "nothing", "decode { ... } beside prefill { ... }");
    pool(in_.prefill(), "prefill", ReplicaRole::prefill);
    pool(in_.decode(), "decode", ReplicaRole::decode);
    if (out_->pools.size() == 2) out_->pools.front().next = 1;
    if (in_.prefill().kv_cache() != in_.decode().kv_cache())
      fault("decode.kv_cache", in_.decode().kv_cache(),
            "as prefill.kv_cache, " + in_.prefill().kv_cache() + ": caches move between them");
  }

  void pool(const proto::Replicas& r, const std::string& path, ReplicaRole role) {
    if (!sound(path)) return;
    auto spec = loaded<PoolSpec>(r);
    spec.name = path;
    spec.role = role;
    autoscale(r, path, spec);
    check_name(r.router(), routers(), path + ".router");
    check_name(r.batching(), batching_policies(), path + ".batching");
    check_name(r.preemption(), preemption_policies(), path + ".preemption");
    check_name(r.admission(), admission_policies(), path + ".admission");
    EngineConfig& engine = spec.engine;
    if (context_.model) engine.model = *context_.model;
    if (context_.model && !r.has_weights() && !r.has_weight_format()) take_published(r, engine);
    if (engine.precision.linear != Precision::fp8) engine.precision.scaling = Scaling::none;
    if (!engine.name.empty() && context_.libraries) {
      engine.host = engine_host(engine.name, *context_.libraries);
      engine.calibrated_on = engine_calibrated_on(engine.name, *context_.libraries);
    }
    if (in_.has_speculation()) engine.speculation = loaded<SpeculationConfig>(in_.speculation());
    prefix_cache(spec);
    if (context_.model && !context_.open) check_plan(spec, path);
    if (context_.cluster && !context_.open) check_gpu(spec, path);
    if (context_.model && context_.cluster && !context_.open && sound(path)) check_memory(spec, path);
    out_->pools.push_back(std::move(spec));
  }

  /// Weights as their files have them, as far as the GPU multiplies in that format: FP8 without units for it is no
  /// engine's default.
  void take_published(const proto::Replicas& r, EngineConfig& engine) {
    const PublishedWeights published = engine.model.published_weights;
    if (published == PublishedWeights::bf16 || !context_.cluster) return;
    const GpuSpec& gpu = context_.cluster->node.gpu;
    ServingPrecision& precision = engine.precision;
    const bool fp8 = published == PublishedWeights::fp8_blocks || published == PublishedWeights::fp8;
    if (fp8) {
      if (gpu.fp8_peak <= FlopPerSecond(0)) return;
      precision.linear = Precision::fp8;
      if (!r.has_scaling())
        precision.scaling = published == PublishedWeights::fp8 ? Scaling::per_tensor : Scaling::blocks;
    } else if (published == PublishedWeights::nvfp4 && gpu.fp4_peak > FlopPerSecond(0)) {
      precision.linear = Precision::fp4;
    } else {
      precision.stored = published == PublishedWeights::int4    ? WeightFormat::int4
                         : published == PublishedWeights::mxfp4 ? WeightFormat::mxfp4
                                                                : WeightFormat::nvfp4;
    }
    engine.weights_as_published = true;
  }

  void autoscale(const proto::Replicas& r, const std::string& path, PoolSpec& spec) {
    if (!r.has_autoscale() && !in_.has_autoscale()) return;
    const std::string where = r.has_autoscale() ? path + ".autoscale" : "autoscale";
    if (!sound(where)) return;
    const proto::Autoscale& a = r.has_autoscale() ? r.autoscale() : in_.autoscale();
    spec.autoscale = loaded<AutoscaleConfig>(a);
    spec.autoscale.on = true;
    if (a.minimum() > spec.replicas)
      fault(where + ".minimum", fmt::format("{}", a.minimum()),
            fmt::format("at most the {} replicas there are (count)", spec.replicas));
  }

  void prefix_cache(PoolSpec& spec) {
    if (!sound("prefix_cache")) return;
    const proto::PrefixCache& cache = in_.prefix_cache();
    spec.prefix = loaded<PrefixCacheConfig>(cache);
    if (!cache.on() && spec.role != ReplicaRole::decode)
      for (const auto& [stated, field] :
           {std::pair(cache.has_host_memory(), "host_memory"), std::pair(cache.has_storage(), "storage")})
        if (stated) fault(fmt::format("prefix_cache.{}", field), "a size beside on: false", "no size, or on: true");
    for (const TrafficClass& c : out_->traffic.classes) {
      if (const auto* trace = std::get_if<TraceTraffic>(&c.lengths))
        spec.prefix.block_tokens = std::max(spec.prefix.block_tokens, trace->summary.format->block_tokens);
      if (c.sessions) spec.prefix.block_tokens = std::max(spec.prefix.block_tokens, c.sessions->block_tokens);
      if (const auto* recorded = std::get_if<RecordedSessions>(&c.lengths))
        spec.prefix.block_tokens = std::max(spec.prefix.block_tokens, recorded->block_tokens);
    }
    // Blocks are whole pages.
    if (spec.prefix.on && spec.prefix.block_tokens > 0 && spec.prefix.block_tokens % spec.page_tokens != 0)
      fault(spec.name + ".page_tokens", fmt::format("{}", spec.page_tokens),
            fmt::format("a divisor of the traffic's blocks of {} tokens", spec.prefix.block_tokens));
  }

  void check_plan(const PoolSpec& spec, const std::string& path) {
    const EngineConfig& e = spec.engine;
    const ServingPlan& plan = e.plan;
    const ModelConfig& model = e.model;
    const bool moe = model.moe.experts > 0;
    if (model.attention.heads % plan.tensor != 0)
      fault(path + ".tensor", fmt::format("{}", plan.tensor),
            fmt::format("a divisor of the {} heads of {}", model.attention.heads, model.name));
    if (plan.pipeline > model.layers)
      fault(path + ".pipeline", fmt::format("{}", plan.pipeline),
            fmt::format("at most the {} layers of {}", model.layers, model.name));
    if (plan.expert > 1 && !moe)
      return fault(path + ".expert", fmt::format("{}", plan.expert), fmt::format("1: {} has no experts", model.name));
    const int sharing = plan.tensor * plan.attention_data;
    const ExpertTransport transport = transport_of(e);
    if (plan.expert > 1 && transport == ExpertTransport::all_to_all && plan.expert != sharing)
      fault(path + ".expert", fmt::format("{}", plan.expert),
            fmt::format("tensor x attention_data = {}, or 1, where tokens are sent to their experts", sharing));
    else if (plan.expert > 1 && sharing % plan.expert != 0)
      fault(path + ".expert", fmt::format("{}", plan.expert),
            fmt::format("a divisor of tensor x attention_data = {}", sharing));
    if (transport == ExpertTransport::replicated && plan.attention_data > 1)
      fault(path + ".expert_transport", "replicated",
            fmt::format("all_gather or all_to_all: {} attention groups have tokens of their own", plan.attention_data));
    if (plan.expert == 1 && plan.attention_data > 1 && !(moe && transport == ExpertTransport::all_gather))
      fault(path + ".attention_data", fmt::format("{}", plan.attention_data),
            moe ? "1, or experts spread over all of them (expert = tensor x attention_data)"
                : "1: copies of a dense model are replicas, count");
    if (plan.expert > 1 && (model.moe.experts + e.redundant_experts) % plan.expert != 0)
      fault(path + ".redundant_experts", fmt::format("{}", e.redundant_experts),
            fmt::format("a number that makes {} experts and their copies divide over {} GPUs", model.moe.experts,
                        plan.expert));
    const bool normal_kernels =
        spec.role != ReplicaRole::decode || e.decode_exchange == ExpertExchange::high_throughput;
    if (plan.expert > model.moe.experts && normal_kernels && moe)
      fault(path + ".expert", fmt::format("{}", plan.expert),
            fmt::format("at most the {} experts where prompts are exchanged", model.moe.experts));
    if (e.two_micro_batches && !sends_to_experts(e))
      fault(path + ".two_micro_batches", "true",
            plan.expert == 1 ? "experts spread over GPUs (expert), whose exchange it hides"
                             : "expert_transport: \"all_to_all\", which it hides");
    if (e.speculation.depth > 0 && model.mtp_depth == 0)
      fault("speculation", fmt::format("{} drafts", e.speculation.depth),
            fmt::format("a model with MTP modules, which {} has none of", model.name));
  }

  void check_gpu(const PoolSpec& spec, const std::string& path) {
    const NodeSpec& node = context_.cluster->node;
    const ServingPlan& plan = spec.engine.plan;
    if (spec.engine.precision.linear == Precision::fp8 && node.gpu.fp8_peak <= FlopPerSecond(0))
      fault(path + ".weights", "fp8", fmt::format("bf16: {} has no FP8", node.gpu.name));
    const ServingPrecision& precision = spec.engine.precision;
    const bool fp4 = node.gpu.fp4_peak > FlopPerSecond(0);
    if (precision.linear == Precision::fp4 && !fp4)
      fault(path + ".weights", "fp4",
            fmt::format("bf16 or fp8, with weight_format for four-bit weights that kernels unpack: {} has no FP4",
                        node.gpu.name));
    if (precision.linear == Precision::fp4 && precision.stored == WeightFormat::int4)
      fault(path + ".weight_format", "int4", "mxfp4 or nvfp4, which FP4 units multiply, or weights: \"bf16\"");
    if (precision.scaling == Scaling::mx && !fp4)
      fault(path + ".scaling", "mx",
            fmt::format("blocks or per_tensor: {} does not apply scales of 1x32", node.gpu.name));
    if (plan.tensor > node.gpus && plan.tensor % node.gpus != 0)
      fault(path + ".tensor", fmt::format("{}", plan.tensor),
            fmt::format("up to, or a multiple of, the {} GPUs of a node", node.gpus));
    if (plan.expert > node.gpus && plan.expert % node.gpus != 0)
      fault(path + ".expert", fmt::format("{}", plan.expert),
            fmt::format("up to, or a multiple of, the {} GPUs of a node", node.gpus));
    if (spec.engine.communication_sms >= node.gpu.sms)
      fault(path + ".communication_sms", fmt::format("{}", spec.engine.communication_sms),
            fmt::format("fewer than the {} SMs of {}", node.gpu.sms, node.gpu.name));
  }

  /// The replica of fewest GPUs that holds the weights: copies of tensor and pipeline degrees, experts spread over all
  /// of them where they are now.
  std::optional<ServingPlan> least_plan(EngineConfig engine) const {
    const NodeSpec& node = context_.cluster->node;
    const ServingPlan asked = engine.plan;
    std::optional<ServingPlan> least;
    const auto try_plan = [&](const ServingPlan& plan) {
      if (least && plan.gpus() >= least->gpus()) return;
      engine.plan = plan;
      const ReplicaMemory memory = replica_memory(engine, node.gpu);
      if (memory.table.total() <= memory.usable) least = plan;
    };
    for (int tensor = 1; tensor <= node.gpus && engine.model.attention.heads % tensor == 0; tensor *= 2) {
      for (int more = 1; more <= 64; ++more) {
        ServingPlan plan = asked;
        plan.tensor = tensor;
        if (asked.expert > 1) {
          plan.attention_data = more;
          plan.expert = tensor * more;
          if ((engine.model.moe.experts + engine.redundant_experts) % plan.expert == 0) try_plan(plan);
        } else {
          plan.pipeline = more;
          if (more <= engine.model.layers) try_plan(plan);
        }
      }
    }
    return least;
  }

  /// "at least 24 GPUs in a replica, tensor 8 x pipeline 3": what would hold the weights.
  std::string what_would_hold(const EngineConfig& engine) const {
    const auto said = [](const ServingPlan& plan) {
      std::string degrees = fmt::format("tensor {}", plan.tensor);
      if (plan.pipeline > 1) degrees += fmt::format(" x pipeline {}", plan.pipeline);
      if (plan.attention_data > 1) degrees += fmt::format(" x attention_data {}", plan.attention_data);
      return fmt::format("{} GPUs in a replica ({})", plan.gpus(), degrees);
    };
    std::vector<std::string> ways;
    if (const auto plan = least_plan(engine)) ways.push_back(fmt::format("at least {}", said(*plan)));
    if (engine.precision.linear != Precision::fp8 && context_.cluster->node.gpu.fp8_peak > FlopPerSecond(0)) {
      EngineConfig lighter = engine;
      lighter.precision.linear = Precision::fp8;
      lighter.precision.scaling = Scaling::per_tensor;
      if (const auto plan = least_plan(lighter)) ways.push_back(fmt::format("weights: \"fp8\" and {}", said(*plan)));
    }
    if (ways.empty()) return "a GPU with more memory, or a smaller token_budget";
    return fmt::format("{}", fmt::join(ways, ", or "));
  }

  /// Weights must fit, and beside them the cache of a request of usual length.
  void check_memory(const PoolSpec& spec, const std::string& path) {
    const ReplicaMemory memory = replica_memory(spec.engine, context_.cluster->node.gpu);
    const Bytes weights = memory.table.total();
    if (weights > memory.usable) {
      Diagnostic d = context_.places->fault(
          context_.root + path, fmt::format("{} of weights and workspace per GPU", gigabytes(weights)),
          fmt::format("at most {}, {:.0f} % of the {} of {}", gigabytes(memory.usable), 100 * spec.engine.memory_share,
                      gigabytes(context_.cluster->node.gpu.hbm_usable()), context_.cluster->node.gpu.name));
      faults_.push_back(with_remedy(std::move(d), what_would_hold(spec.engine)));
      return;
    }
    double longest = 0;
    for (const TrafficClass& c : out_->traffic.classes) {
      const auto* drawn = std::get_if<DrawnLengths>(&c.lengths);
      if (drawn) longest = std::max(longest, drawn->input.mean() + drawn->output.mean());
    }
    longest += memory.kv_per_sequence / memory.kv_per_token;
    if (static_cast<double>(memory.kv_tokens) >= std::max<double>(longest, spec.page_tokens)) return;
    Diagnostic d = context_.places->fault(
        context_.root + path,
        fmt::format("room for the cache of {} tokens", std::max<std::int64_t>(0, memory.kv_tokens)),
        fmt::format("room for one request, {:.0f} tokens on average", longest));
    faults_.push_back(with_remedy(std::move(d), "more GPUs per replica, FP8 weights or kv_cache"));
  }

  void gpu_count() {
    if (out_->gpus() <= context_.cluster->gpus()) return;
    fault(in_.has_replicas() ? "replicas.count" : "decode.count", fmt::format("{} GPUs in replicas", out_->gpus()),
          fmt::format("at most the {} GPUs of the cluster", context_.cluster->gpus()));
  }

  /// Nodes as the replicas that stand on them, pools as theirs: replicas take the cluster's GPUs in order.
  void stated_faults() {
    for (int i = 0; i < in_.fault_size(); ++i) {
      const proto::ServingFault& f = in_.fault(i);
      const std::string path = fmt::format("fault[{}]", i);
      if (!sound(path)) continue;
      if (f.has_node() == f.has_restart()) {
        fault(path, f.has_node() ? "both node and restart" : "neither node nor restart",
              "a node that fails, or a pool that restarts");
        continue;
      }
      if (in_.sample() > 1)
        fault(path, "a stated fault beside a sample", "no sample: the replica that stops may not be in it");
      StatedFault out;
      out.at = seconds(f.at());
      out.repair = seconds(f.repair());
      out.one_by_one = f.has_restart();
      const int per_node = context_.cluster->node.gpus;
      int gpu = 0;
      std::size_t number = 0;
      for (const PoolSpec& pool : out_->pools) {
        for (int r = 0; r < pool.replicas; ++r, ++number, gpu += pool.engine.plan.gpus()) {
          const bool on_node = gpu / per_node <= f.node() && (gpu + pool.engine.plan.gpus() - 1) / per_node >= f.node();
          if (f.has_restart() ? pool.name == f.restart() : on_node) out.replicas.push_back(number);
        }
      }
      if (out.replicas.empty())
        fault(path + (f.has_node() ? ".node" : ".restart"),
              f.has_node() ? fmt::format("{}", f.node()) : flopcast::quoted(f.restart()),
              f.has_node() ? fmt::format("a node with replicas, 0 to {}", (gpu - 1) / per_node)
                           : "a pool of this deployment");
      out_->failures.stated.push_back(std::move(out));
    }
    std::stable_sort(out_->failures.stated.begin(), out_->failures.stated.end(),
                     [](const StatedFault& a, const StatedFault& b) { return a.at < b.at; });
    fault_description();
  }

  void fault_description() {
    for (const proto::ServingFault& f : in_.fault()) out_->faults += traffic_text(f) + "; ";
  }

  void sample() {
    if (out_->sample_time) {
      for (std::size_t i = 0; i < out_->traffic.classes.size(); ++i)
        if (out_->sample > 1 && std::holds_alternative<TraceTimes>(out_->traffic.classes[i].arrivals))
          fault(fmt::format("traffic.stream[{}].trace", i), "the times of a trace",
                "requests_per_second or users, where the sample is one of time");
      return;
    }
    for (const PoolSpec& pool : out_->pools)
      if (pool.replicas % out_->sample != 0)
        fault("sample", fmt::format("{}", out_->sample),
              fmt::format("a divisor of the {} replicas of {}, or sample_by: \"time\"", pool.replicas, pool.name));
  }

  const proto::Serving& in_;
  const ServingContext& context_;
  Diagnostics& faults_;
  std::shared_ptr<ServingScenario> out_;
  bool broken_trace_ = false;  // its faults stand in the trace's own file
};

}  // namespace

std::shared_ptr<ServingScenario> load_serving(const proto::Serving& serving, const ServingContext& context,
                                              Diagnostics& faults) {
  return ServingLoader(serving, context, faults).load();
}

std::optional<PoolSpec> load_replicas(const proto::Replicas& replicas, const proto::Speculation* speculation,
                                      const std::string& path, const ServingContext& context, Diagnostics& faults) {
  proto::Serving beside;
  if (speculation) *beside.mutable_speculation() = *speculation;
  return ServingLoader(beside, context, faults).replicas_alone(replicas, path);
}

}  // namespace flopcast
