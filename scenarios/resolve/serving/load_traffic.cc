// Who asks what, and when: `serving { traffic { ... } }`.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "scenarios/read/fields/load_fields.h"
#include "scenarios/read/libraries/known_traces.h"
#include "scenarios/read/text/file_rule.h"
#include "scenarios/read/text/quantity.h"
#include "scenarios/resolve/serving/serving_part.h"
#include "workloads/serving/traffic/clients.h"

namespace flopcast {

std::string stated_text(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintToString(message, &text);
  return text;
}

namespace {

class TrafficLoader : private ServingPart {
 public:
  explicit TrafficLoader(const ServingPart& serving) : ServingPart(serving) {}

  void load() {
    if (!sound("traffic")) return;
    const proto::Traffic& t = in_.traffic();
    TrafficConfig& config = out_->traffic;
    out_->traffic_description = stated_text(t);
    config.seed = out_->seed;
    if (t.has_duration()) config.duration = seconds(t.duration());
    if (t.has_duration() && out_->warm_up >= config.duration)
      fault("warm_up", in_.warm_up(),
            fmt::format("less than the traffic's duration, {}: nothing is left to measure", t.duration()));
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

 private:
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
    class_rule(c, path);
    out_->traffic.classes.push_back(std::move(out));
  }

  void class_rule(const proto::TrafficClass& c, const std::string& path) {
    ClassRule rule;
    rule.priority = c.priority();
    rule.weight = c.weight();
    out_->classes.weights_stated = out_->classes.weights_stated || c.has_weight();
    if (c.has_deadline()) rule.deadline = to_ticks(seconds(c.deadline()));
    if (c.has_first_token_deadline()) rule.first_token_deadline = to_ticks(seconds(c.first_token_deadline()));
    if (c.has_deadline() && c.has_first_token_deadline() && rule.first_token_deadline >= rule.deadline)
      fault(path + ".first_token_deadline", c.first_token_deadline(), "less than the deadline, " + c.deadline());
    out_->classes.of.push_back(rule);
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
    if (row != nullptr && row->lengths != nullptr) {
      for (const auto& [field, stated] : {std::pair("input", c.has_input()), std::pair("output", c.has_output())})
        if (stated)
          fault(fmt::format("{}.{}", path, field), "lengths beside client " + flopcast::quoted(c.client()),
                fmt::format("nothing: {} draws from a data set", row->name));
      return;
    }
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
    if (const ClientRow* row = client_of(c); row != nullptr && row->lengths != nullptr && !c.has_trace()) {
      const ClientLengths& of = *row->lengths;
      out.lengths = DrawnLengths{RandomNumber::log_normal(of.input, of.variation).clamped(of.least, of.most_input),
                                 RandomNumber::log_normal(of.output, of.variation).clamped(of.least, of.most_output)};
      return;
    }
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
  /// that says where to get the trace, when there is no such file.
  std::string trace_path(const std::string& file, const std::string& path) {
    return file_path(file, path + ".trace.file", "a request trace");
  }
  std::string file_path(const std::string& file, const std::string& path, const std::string& what) {
    namespace fs = std::filesystem;
    Diagnostic missing = context_.places->fault("serving." + path, "no file " + flopcast::quoted(file), what);
    const bool said_by_option = missing.file == "--set";
    const fs::path full = said_by_option ? fs::path(file) : fs::path(context_.file).parent_path() / file;
    try {
      if (context_.files != nullptr) context_.files->check(full.string(), missing);
    } catch (const InputError& error) {
      broken_trace_ = true;
      faults_.insert(faults_.end(), error.diagnostics().begin(), error.diagnostics().end());
      return "";
    }
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
    const bool drawn_by_client = !c.client().empty();
    for (const auto& [field, length] : {std::pair("input", &c.input()), std::pair("output", &c.output())})
      if (length->has_variation() && length->variation() > 0 && length->shape() == "fixed" && !drawn_by_client)
        fault(path + "." + field + ".variation", "a statement without effect",
              "shape: \"log_normal\", \"gamma\" or \"uniform\" beside it: lengths are fixed");
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
    const int stated = c.has_requests_per_second() + c.has_users();
    if (stated > 1) return fault(path, "requests_per_second and users", "one of them");
    idle_arrival_fields(c, path);
    if (c.has_sessions()) return;
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
    const char* own_times = "no recorded sessions, which have times of their own";
    const char* needs_rate = c.has_sessions() ? own_times : "requests_per_second beside it, which it shapes";
    idle(!rate && c.has_arrivals(), "arrivals", needs_rate);
    idle(!rate && c.has_burstiness(), "burstiness", needs_rate);
    idle(!rate && c.has_daily_swing(), "daily_swing", needs_rate);
    idle(rate && c.has_burstiness() && c.arrivals() != "gamma", "burstiness", "arrivals: \"gamma\" beside it");
    idle(c.has_daily_peak() && c.daily_swing() <= 0, "daily_peak", "daily_swing beside it");
    idle(!c.has_users() && c.has_think_time(), "think_time", c.has_sessions() ? own_times : "users, who think");
    idle(!c.has_users() && c.has_ramp(), "ramp", c.has_sessions() ? own_times : "users, who begin one after the other");
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

  bool broken_trace_ = false;  // its faults stand in the trace's own file
};

}  // namespace

void load_traffic(const ServingPart& serving) { TrafficLoader(serving).load(); }

}  // namespace flopcast
