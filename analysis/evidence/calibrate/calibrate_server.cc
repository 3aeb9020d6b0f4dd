#include "analysis/evidence/calibrate/calibrate_server.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>

#include <fmt/format.h>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/text_table.h"
#include "analysis/runs/serving/serving_run.h"
#include "scenarios/read/text/json_file.h"
#include "scenarios/resolve/change_work.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

constexpr int kFewestLoads = 5;
constexpr double kOfNoUse = 0.5;  ///< median error of TPOT: something else than host times differs

[[noreturn]] void refuse(const std::string& file, std::string field, std::string found, std::string expected) {
  throw InputError(Diagnostic{file, 0, 0, std::move(field), std::move(found), std::move(expected), ""});
}

// Files.

/// What is missing, and what is there in another unit: figures of that would be off by a thousand.
std::vector<Diagnostic> column_faults(const CsvTable& table, const std::string& file) {
  std::vector<Diagnostic> faults;
  for (const std::string name : {"users", "input_tokens", "output_tokens", "tpot_ms", "ttft_ms"}) {
    if (table.has(name)) continue;
    const auto other = std::ranges::find_if(table.columns(), [&](const std::string& column) {
      return name.ends_with("_ms") && column.starts_with(name.substr(0, name.find('_')));
    });
    if (other != table.columns().end())
      faults.push_back({file, 0, 0, *other, "a column in another unit", fmt::format("{}, in milliseconds", name), ""});
    else if (name != "ttft_ms")
      faults.push_back({file, 0, 0, name, "no such column",
                        "the columns users, input_tokens, output_tokens, tpot_ms and, if measured, ttft_ms", ""});
  }
  return faults;
}

constexpr double kMostUsers = 1e6, kMostTokensOfLoad = 1e8;

/// What is wrong with a load; places are the caller's.
std::vector<Diagnostic> load_faults(double users, const ServerMeasurement& load, bool has_ttft) {
  std::vector<Diagnostic> faults;
  const auto need = [&](bool holds, const char* field, double found, const char* expected) {
    if (!holds) faults.push_back({"", 0, 0, field, fmt::format("{:g}", found), expected, ""});
  };
  need(users >= 1 && users <= kMostUsers && users == std::floor(users), "users", users,
       "a whole number of at least one");
  need(load.input >= 1 && load.input <= kMostTokensOfLoad, "input_tokens", load.input, "at least one token of prompt");
  need(load.output >= 2 && load.output <= kMostTokensOfLoad, "output_tokens", load.output,
       "at least two tokens of answer");
  need(load.tpot_ms > 0, "tpot_ms", load.tpot_ms, "milliseconds above zero");
  need(!has_ttft || load.ttft_ms > 0, "ttft_ms", load.ttft_ms, "milliseconds above zero, or nothing");
  return faults;
}

std::vector<ServerMeasurement> read_table(const std::string& text, const std::string& file) {
  const CsvTable table = parse_csv(text, file);
  table.check_columns_differ();
  std::vector<Diagnostic> faults = column_faults(table, file);
  if (!faults.empty()) throw InputError(std::move(faults));
  std::vector<ServerMeasurement> out;
  for (std::size_t i = 0; i < table.size(); ++i) {
    ServerMeasurement load;
    bool read = true;
    const auto number = [&](const char* column) {
      try {
        return table.number(i, column);
      } catch (const InputError& error) {
        faults.insert(faults.end(), error.diagnostics().begin(), error.diagnostics().end());
        read = false;
        return 0.0;
      }
    };
    const bool has_ttft = table.has("ttft_ms") && !table.text(i, "ttft_ms").empty();
    const double users = number("users");
    load.input = number("input_tokens");
    load.output = number("output_tokens");
    load.tpot_ms = number("tpot_ms");
    if (has_ttft) load.ttft_ms = number("ttft_ms");
    if (!read) continue;
    for (Diagnostic& fault : load_faults(users, load, has_ttft)) {
      fault.file = file;
      fault.line = table.line(i);
      faults.push_back(std::move(fault));
    }
    load.users = static_cast<int>(std::clamp(users, 1.0, kMostUsers));
    out.push_back(load);
  }
  if (!faults.empty()) throw InputError(std::move(faults));
  return out;
}

using JsonFields = std::map<std::string, google::protobuf::Value>;

std::optional<double> number_at(const JsonFields& fields, const std::string& name) {
  const auto found = fields.find(name);
  if (found == fields.end() || !found->second.has_number_value()) return std::nullopt;
  return found->second.number_value();
}

/// "avg" of a metric of GenAI-Perf and AIPerf, in milliseconds where it has a unit.
std::optional<double> average_at(const JsonFields& fields, const std::string& name, const std::string& file) {
  const auto found = fields.find(name);
  if (found == fields.end() || !found->second.has_struct_value()) return std::nullopt;
  const auto& members = found->second.struct_value().fields();
  const auto average = members.find("avg");
  if (average == members.end() || !average->second.has_number_value()) return std::nullopt;
  const auto unit = members.find("unit");
  const std::string word = unit == members.end() ? "" : unit->second.string_value();
  if (name.starts_with("time_") || name.starts_with("inter_")) {
    if (word == "s" || word == "seconds") return 1e3 * average->second.number_value();
    if (word != "ms" && word != "milliseconds")
      refuse(file, name + ".unit", word.empty() ? "nothing" : word, "ms or s");
  }
  return average->second.number_value();
}

std::optional<double> concurrency_of(const JsonFields& fields) {
  if (const auto users = number_at(fields, "max_concurrency")) return users;
  const auto input = fields.find("input_config");
  if (input == fields.end() || !input->second.has_struct_value()) return std::nullopt;
  for (const char* section : {"perf_analyzer", "loadgen"}) {
    const auto part = input->second.struct_value().fields().find(section);
    if (part == input->second.struct_value().fields().end()) continue;
    const auto& members = part->second.struct_value().fields();
    if (const auto c = members.find("concurrency"); c != members.end() && c->second.has_number_value())
      return c->second.number_value();
    const auto stimulus = members.find("stimulus");
    if (stimulus == members.end()) continue;
    const auto& inner = stimulus->second.struct_value().fields();
    if (const auto c = inner.find("concurrency"); c != inner.end()) return c->second.number_value();
  }
  return std::nullopt;
}

/// The load, once it is known that it is one.
std::vector<ServerMeasurement> checked_load(ServerMeasurement load, double users, const std::string& file) {
  std::vector<Diagnostic> faults = load_faults(users, load, load.ttft_ms != 0);
  for (Diagnostic& fault : faults) fault.file = file;
  if (!faults.empty()) throw InputError(std::move(faults));
  load.users = static_cast<int>(users);
  return {load};
}

std::vector<ServerMeasurement> read_json(const std::string& text, const std::string& file) {
  const JsonObject object = parse_json_object(text, file);
  const JsonFields& fields = object.fields;
  ServerMeasurement load;
  const auto users = concurrency_of(fields);
  if (!users) refuse(file, "max_concurrency", "nothing", "the number of users who ask at once (--max-concurrency)");
  if (const auto tpot = number_at(fields, "mean_tpot_ms")) {  // vLLM
    const auto completed = number_at(fields, "completed"), input = number_at(fields, "total_input_tokens"),
               output = number_at(fields, "total_output_tokens");
    if (!completed || *completed < 1 || !input || !output)
      refuse(file, "completed, total_input_tokens, total_output_tokens", "nothing", "what `vllm bench serve` saves");
    constexpr double kFewFail = 0.02;  // a slip of a connection; more is another load than the one that is named
    if (const double failed = number_at(fields, "failed").value_or(0); failed > kFewFail * (*completed + failed))
      refuse(file, "failed", fmt::format("{:.0f} of {:.0f} requests", failed, *completed + failed),
             fmt::format("at most {:.0f} %: the server did not get the load that the file names", 100 * kFewFail));
    load.tpot_ms = *tpot;
    load.ttft_ms = number_at(fields, "mean_ttft_ms").value_or(0);
    load.input = *input / *completed;
    load.output = *output / *completed;
    return checked_load(load, *users, file);
  }
  const auto tpot = average_at(fields, "inter_token_latency", file),
             input = average_at(fields, "input_sequence_length", file),
             output = average_at(fields, "output_sequence_length", file);
  if (!tpot || !input || !output)
    refuse(file, "inter_token_latency, input_sequence_length, output_sequence_length", "nothing",
           "a result of `vllm bench serve`, GenAI-Perf or AIPerf");
  load.tpot_ms = *tpot;
  load.input = *input;
  load.output = *output;
  load.ttft_ms = average_at(fields, "time_to_first_token", file).value_or(0);
  return checked_load(load, *users, file);
}

// Fit.

struct HostParameter {
  const char* name;
  std::optional<Seconds> EngineHost::*field;
  double start, least, most;  ///< microseconds
};
constexpr HostParameter kHostParameters[] = {{"iteration", &EngineHost::iteration, 100, 1, 20000},
                                             {"sequence", &EngineHost::sequence, 15, 0.1, 1000},
                                             {"launch", &EngineHost::launch, 30, 1, 1000},
                                             {"request", &EngineHost::request, 10000, 10, 2e6}};

struct Predicted {
  double ttft_ms = 0, tpot_ms = 0;
};

class Server {
 public:
  explicit Server(const Scenario& scenario) : scenario_(scenario) {}

  Predicted predict(const ServerMeasurement& load, const EngineHost& host) const {
    constexpr double kSpread = 0.1;
    const auto length = [](double mean) {
      return RandomNumber::uniform(mean * (1 - kSpread), mean * (1 + kSpread)).clamped(1, 1e8);
    };
    TrafficClass traffic;
    traffic.arrivals = ClosedLoop{load.users, RandomNumber::fixed(0)};
    traffic.lengths = DrawnLengths{length(load.input), length(load.output)};
    Scenario one = scenario_;
    change_serving(one, [&](ServingScenario& serving) {
      serving.traffic.classes = {traffic};
      serving.traffic.duration = kNever;
      serving.traffic.requests = static_cast<std::uint64_t>(std::clamp(load.users * 10, 40, 4000));
      serving.class_names = {"users"};
      serving.levels = {ServiceLevel{}};
      serving.sample = 1;
      for (PoolSpec& pool : serving.pools) pool.engine.host = host;
    });
    one.published.clear();
    const ServingReport report = run_serving(one, {});
    return {report.all.ttft.mean() * 1e3, report.all.tpot.mean() * 1e3};
  }

 private:
  const Scenario& scenario_;
};

struct Errors {
  std::vector<double> ttft, tpot;  ///< |ln(predicted / measured)|
  double sum() const {
    double all = 0;
    for (const double e : tpot) all += e;
    for (const double e : ttft) all += 0.5 * e;
    return all;
  }
};

Errors errors_of(const Server& server, const std::vector<ServerMeasurement>& loads, const EngineHost& host) {
  Errors out;
  for (const ServerMeasurement& load : loads) {
    const Predicted p = server.predict(load, host);
    if (p.tpot_ms > 0) out.tpot.push_back(std::abs(std::log(p.tpot_ms / load.tpot_ms)));
    if (load.ttft_ms > 0) out.ttft.push_back(std::abs(std::log(p.ttft_ms / load.ttft_ms)));
  }
  return out;
}

/// A figure of every load, measured and predicted.
struct Compared {
  const char* field;
  std::vector<double> measured, predicted;
};

/// Times that no engine can have: each of them a hundred times what is predicted, or less than a hundredth of it.
/// Somebody's seconds or microseconds were read as milliseconds.
void check_units(const Server& server, const std::vector<ServerMeasurement>& loads, const EngineHost& host,
                 const std::string& file) {
  constexpr double kImpossible = 100;
  Compared ttft{"ttft_ms", {}, {}}, tpot{"tpot_ms", {}, {}};
  for (const ServerMeasurement& load : loads) {
    const Predicted p = server.predict(load, host);
    if (load.ttft_ms > 0) ttft.measured.push_back(load.ttft_ms), ttft.predicted.push_back(p.ttft_ms);
    tpot.measured.push_back(load.tpot_ms), tpot.predicted.push_back(p.tpot_ms);
  }
  std::vector<Diagnostic> faults;
  for (const Compared& one : {ttft, tpot}) {
    bool short_of = !one.measured.empty(), beyond = short_of;
    for (std::size_t i = 0; i < one.measured.size(); ++i) {
      short_of = short_of && one.measured[i] * kImpossible < one.predicted[i];
      beyond = beyond && one.measured[i] > one.predicted[i] * kImpossible;
    }
    if (!short_of && !beyond) continue;
    const auto [least, most] = std::ranges::minmax(one.measured);
    const auto [low, high] = std::ranges::minmax(one.predicted);
    faults.push_back({file, 0, 0, one.field, fmt::format("{:.4g} to {:.4g}", least, most),
                      fmt::format("milliseconds: {:.4g} to {:.4g} are predicted for these loads", low, high), "",
                      short_of ? "the values times 1000, should they be seconds"
                               : "the values over 1000, should they be microseconds"});
  }
  if (!faults.empty()) throw InputError(std::move(faults));
}

double median_error_of(std::vector<double> errors) {
  if (errors.empty()) return 0;
  std::sort(errors.begin(), errors.end());
  return std::expm1(errors[errors.size() / 2]);
}

std::string median_percent(const std::vector<double>& errors) {
  return errors.empty() ? "-" : fmt::format("{:.1f} %", 100 * median_error_of(errors));
}

/// What a profile of these times would hide from whoever names it.
std::vector<std::string> warnings_of(const EngineHost& host, const Errors& was, const Errors& is) {
  constexpr double kLarge = 0.25, kWorse = 1.05, kNear = 1.01;
  std::vector<std::string> out;
  for (const auto& [name, before, after] :
       {std::tuple("TPOT", &was.tpot, &is.tpot), std::tuple("TTFT", &was.ttft, &is.ttft)}) {
    if (median_error_of(*after) > kLarge)
      out.push_back(
          fmt::format("{} is still off by {} after the fit: something else than host times differs, such as the "
                      "model's format, the plan, clients or other work on the GPUs",
                      name, median_percent(*after)));
    if (median_error_of(*after) > kWorse * median_error_of(*before) && median_error_of(*after) > 0.05)
      out.push_back(fmt::format("{} got worse, from {} to {}, for the other's sake", name, median_percent(*before),
                                median_percent(*after)));
  }
  for (const HostParameter& p : kHostParameters) {
    const double us = (host.*p.field)->value() * 1e6;
    if (us <= p.least * kNear || us >= p.most / kNear)
      out.push_back(fmt::format("{} ends at its bound, {:.4g} us: the loads do not determine it", p.name, us));
  }
  return out;
}

/// Loads that contradict each other, or that no engine can have had: more tokens than the model has positions, answers
/// faster than its kernels run with a host that takes no time.
void check_loads(const Server& server, const std::vector<ServerMeasurement>& loads, const Scenario& scenario,
                 const std::string& file) {
  constexpr double kContradiction = 1.5;  // runs of one load lie within a tenth of each other
  constexpr double kTooFast = 0.5;        // kernels are known far better
  const int positions = scenario.serving->model().max_positions;
  EngineHost none;
  for (const HostParameter& p : kHostParameters) none.*p.field = Seconds(p.least * 1e-6);
  std::vector<Diagnostic> faults;
  const auto fault = [&](std::size_t load, const char* field, std::string found, std::string expected) {
    faults.push_back(
        {file, 0, 0, fmt::format("load {}: {}", load + 1, field), std::move(found), std::move(expected), ""});
  };
  for (std::size_t i = 0; i < loads.size(); ++i) {
    const ServerMeasurement& load = loads[i];
    if (positions > 0 && load.input + load.output > positions) {
      fault(i, "input_tokens", fmt::format("{:g} tokens with the answer", load.input + load.output),
            fmt::format("at most the {} positions of the model", positions));
      continue;
    }
    for (std::size_t other = 0; other < i; ++other) {
      const ServerMeasurement& o = loads[other];
      if (std::tie(o.users, o.input, o.output) != std::tie(load.users, load.input, load.output)) continue;
      if (std::max(o.tpot_ms, load.tpot_ms) > kContradiction * std::min(o.tpot_ms, load.tpot_ms))
        fault(
            i, "tpot_ms",
            fmt::format("{:g} where load {} of the same users and tokens has {:g}", load.tpot_ms, other + 1, o.tpot_ms),
            "figures of one load that agree");
    }
    const double fastest = server.predict(load, none).tpot_ms;
    if (load.tpot_ms < kTooFast * fastest)
      fault(i, "tpot_ms", fmt::format("{:g}", load.tpot_ms),
            fmt::format("some {:.3g} at least: its kernels alone, with a host that takes no time", fastest));
  }
  if (!faults.empty()) throw InputError(std::move(faults));
}

/// Doubles and halves one time after the other while that brings the loads nearer; steps shrink where nothing does.
EngineHost searched(const Server& server, const std::vector<ServerMeasurement>& loads, EngineHost host) {
  constexpr int kRounds = 6;
  double best = errors_of(server, loads, host).sum();
  double steps[std::size(kHostParameters)];
  std::fill(std::begin(steps), std::end(steps), 2.0);
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < std::size(kHostParameters); ++i) {
      const HostParameter& parameter = kHostParameters[i];
      bool better = false;
      for (const double by : {steps[i], 1 / steps[i]}) {
        EngineHost tried = host;
        const double us = std::clamp((host.*parameter.field)->value() * 1e6 * by, parameter.least, parameter.most);
        tried.*parameter.field = Seconds(us * 1e-6);
        const double sum = errors_of(server, loads, tried).sum();
        if (sum >= best) continue;
        best = sum;
        host = tried;
        better = true;
        break;
      }
      if (!better) steps[i] = std::sqrt(steps[i]);
    }
  }
  return host;
}

}  // namespace

std::vector<ServerMeasurement> read_server_measurements(const std::string& text, const std::string& file) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string::npos && text[first] == '{';
  return json ? read_json(text, file) : read_table(text, file);
}

ServerFit fit_server(const std::vector<ServerMeasurement>& loads, const Scenario& scenario, const std::string& file) {
  if (!scenario.serving)
    refuse(scenario.file, "serving", "nothing", "the deployment that was measured, serving { ... }");
  const std::string& engine = scenario.serving->answer_pool().engine.name;
  if (engine.empty())
    refuse(scenario.file, "serving.replicas.engine", "nothing",
           "the engine that was measured (`flopcast list engines`)");
  if (static_cast<int>(loads.size()) < kFewestLoads)
    refuse(file, "loads", fmt::format("{}", loads.size()), fmt::format("at least {}", kFewestLoads));
  std::vector<ServerMeasurement> fitted, kept;
  for (std::size_t i = 0; i < loads.size(); ++i) (i % 5 == 4 ? kept : fitted).push_back(loads[i]);

  const Server server(scenario);
  ServerFit out;
  EngineHost before = scenario.serving->answer_pool().engine.host;
  for (const HostParameter& p : kHostParameters)
    if (!(before.*p.field)) before.*p.field = Seconds(p.start * 1e-6);
  check_units(server, loads, before, file);
  check_loads(server, loads, scenario, file);
  out.host = searched(server, fitted, before);

  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"loads", "number", "TPOT before", "after", "TTFT before", "after"});
  for (const auto& [name, part] : {std::pair("fitted", &fitted), std::pair("kept back", &kept)}) {
    const Errors was = errors_of(server, *part, before), is = errors_of(server, *part, out.host);
    table.row({name, fmt::format("{}", part->size()), median_percent(was.tpot), median_percent(is.tpot),
               median_percent(was.ttft), median_percent(is.ttft)});
    out.worse = out.worse || median_error_of(is.tpot) > kOfNoUse || (part == &kept && is.sum() > was.sum());
    if (part == &fitted) out.warnings = warnings_of(out.host, was, is);
  }
  out.summary = fmt::format("{} on {}: median errors\n", engine, file) + table.render(TextStyle(false, 100));
  out.profile =
      fmt::format("# proto-message: flopcast.proto.EngineProfile\n\nbase: \"{}\"\ntitle: \"{}, calibrated\"\nhost {{ ",
                  engine, engine);
  std::string doubts;
  for (const std::string& warning : out.warnings) doubts += "# Warning: " + warning + ".\n";
  out.profile = doubts + out.profile;
  for (const HostParameter& p : kHostParameters) {
    const std::string value = fmt::format("{:.4g} us", (out.host.*p.field)->value() * 1e6);
    out.summary += fmt::format("  {:<10} {}\n", p.name, value);
    out.profile += fmt::format("{}: \"{}\" ", p.name, value);
  }
  out.profile += fmt::format("}}\ncalibrated: \"{} loads of {}{}\"\n", loads.size(), file,
                             out.warnings.empty() ? "" : ", with warnings: see its file");
  return out;
}

}  // namespace flopcast
