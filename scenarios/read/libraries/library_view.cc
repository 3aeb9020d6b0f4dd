// What `flopcast list` and `flopcast show` print of the libraries.
#include <algorithm>

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/read/text/quantity.h"
#include "sim/base/fault_text.h"
#include "workloads/collectives/collectives.h"
#include "workloads/schedules/schedule.h"

namespace flopcast {
namespace {

std::string gbps(BytesPerSecond rate) { return fmt::format("{:g} GB/s", rate.value() / 1e9); }

/// The source that stands behind most of an entry: the one of its first figure.
std::string main_source(const std::map<std::string, Source>& sources, const std::string& field) {
  const auto found = sources.find(field);
  if (found == sources.end()) return "";
  const Source& s = found->second;
  return fmt::format("{}{}{}", s.text, s.date.empty() ? "" : ", " + s.date, s.confirmed ? "" : " (unconfirmed)");
}

/// The same for a variant: the source of what it says itself, not its base's.
std::string main_source(const Entry<proto::Model>& entry, const std::string& field) {
  for (const std::string& own : entry.changed) {
    if (own != "title" && entry.sources.contains(own)) return main_source(entry.sources, own);
  }
  const bool is_variant = !entry.changed.empty();
  return main_source(entry.sources, is_variant ? "title" : field);
}

/// What makes a variant another machine: figures, not names and prices.
std::vector<std::string> changed_figures(std::vector<std::string> changed) {
  std::erase_if(changed,
                [](const std::string& f) { return f == "title" || f == "launch_date" || f == "price" || f == "tpp"; });
  return changed;
}

std::vector<std::string> unconfirmed(const std::map<std::string, Source>& sources) {
  std::vector<std::string> fields;
  for (const auto& [field, source] : sources) {
    if (!source.confirmed && field != "title" && field != "price") fields.push_back(field);
  }
  return fields;
}

/// One figure in the unit that people compare it in; "?" where nobody has published it.
std::string figure(const std::string& text, Dimension dimension, double size, const char* unit) {
  return text.empty() ? "?" : fmt::format("{:g}{}", quantity(text, dimension) / size, unit);
}

LibraryRow gpu_row(const Libraries& libraries, const std::string& name) {
  const auto entry = load_entry<proto::Gpu>(libraries, name);
  const proto::Gpu& g = entry.message;
  const bool no_fp8 = !g.has_fp8_peak();
  const bool link_unknown = std::find(g.unknown().begin(), g.unknown().end(), "nvlink_bandwidth") != g.unknown().end();
  std::string figures = fmt::format(
      "BF16/FP8 {}/{} TFLOPS, {} at {}, {} {} per direction, {}",
      figure(g.bf16_peak(), Dimension::compute_rate, 1e12, ""),
      no_fp8 ? "-" : figure(g.fp8_peak(), Dimension::compute_rate, 1e12, ""),
      figure(g.hbm_capacity(), Dimension::data, 1e9, " GB"),
      figure(g.hbm_bandwidth(), Dimension::data_rate, 1e9, " GB/s"), g.vendor() == "NVIDIA" ? "NVLink" : "links",
      link_unknown ? "?" : figure(g.nvlink_bandwidth(), Dimension::link_rate, 1e9, " GB/s"),
      figure(g.tdp(), Dimension::power, 1, " W"));
  if (g.has_base())
    figures += fmt::format("; {} but for {}", g.base(), fmt::join(changed_figures(entry.changed), ", "));
  if (const auto unknown = unpublished_figures(g); !unknown.empty())
    figures += fmt::format("; not published: {}", fmt::join(unknown, ", "));
  if (const auto doubtful = unconfirmed(entry.sources); !doubtful.empty())
    figures += fmt::format("; unconfirmed: {}", fmt::join(doubtful, ", "));
  return {name, g.title(), figures,
          main_source(entry.sources, entry.sources.contains("bf16_peak") ? "bf16_peak" : "title")};
}

LibraryRow node_row(const Libraries& libraries, const std::string& name) {
  const NodeSpec n = libraries.node(name);
  return {name, n.title,
          fmt::format("{} x {}, {:g} NIC of {} per direction and GPU", n.gpus, n.gpu.name, n.nics_per_gpu,
                      gbps(n.nic_bandwidth)),
          main_source(n.sources, "gpu")};
}

LibraryRow fabric_row(const Libraries& libraries, const std::string& name) {
  const FabricSpec f = libraries.fabric(name);
  return {name, f.title,
          fmt::format("{} ports of {} per direction, oversubscription {:g}", f.switch_ports, gbps(f.port_bandwidth),
                      f.oversubscription),
          main_source(f.sources, "kind")};
}

LibraryRow cluster_row(const Libraries& libraries, const std::string& name) {
  const ClusterSpec c = libraries.cluster(name);
  const auto entry = load_entry<proto::Cluster>(libraries, name);
  return {name, c.title, fmt::format("{} GPUs: {} x {} on {}", c.gpus(), c.nodes, c.node.name, c.fabric.name),
          main_source(entry.sources, "nodes")};
}

LibraryRow model_row(const Libraries& libraries, const std::string& name) {
  const ModelConfig m = libraries.model(name);
  const ParameterCount p = count_parameters(m);
  return {name, m.title,
          fmt::format("{} layers, hidden {}, {:.1f} B parameters, {:.1f} B active", m.layers, m.hidden, p.total / 1e9,
                      p.active / 1e9),
          main_source(load_entry<proto::Model>(libraries, name), "layers")};
}

LibraryRow software_row(const Libraries& libraries, const std::string& name) {
  const SoftwareProfile s = libraries.software(name);
  return {name, s.title, fmt::format("of {}; {}", s.released, to_text(s)), main_source(s.sources, "loss_bytes")};
}

LibraryRow scenario_row(const Libraries& libraries, const std::string& name) {
  const std::string path = libraries.find(LibraryKind::scenarios, name).value();
  proto::Scenario s;
  Places places;
  Diagnostics faults;
  parse_text(read_text_file(path), path, s, places, faults);
  if (!faults.empty()) throw InputError(faults);
  const std::string nodes = s.cluster().has_base() ? s.cluster().base()
                                                   : fmt::format("{} x {} on {}", s.cluster().nodes(),
                                                                 s.cluster().node(), s.cluster().fabric());
  const auto row = [&](const std::string& work, const std::string& group) {
    return LibraryRow{name, s.title(), fmt::format("{}; {}", work, nodes), path, group};
  };
  if (s.has_rl()) return row(fmt::format("{} of {}", s.rl().algorithm(), s.model()), "Reinforcement learning");
  if (s.has_training()) return row(fmt::format("{}, {}", s.model(), s.training().schedule()), "Training");
  if (s.has_serving()) return row(fmt::format("serving {}", s.model()), "Serving");
  if (s.has_cluster_life()) return row("failures and goodput", "Failures and goodput");
  if (s.has_given_service()) return row("a service by its published figures", "Published figures");
  if (s.run().phase_size() > 0) return row("a run by its published GPU-hours", "Published figures");
  return row(s.collective().operation(), "Collectives");
}

LibraryRow engine_row(const Libraries& libraries, const std::string& name) {
  const auto entry = load_entry<proto::EngineProfile>(libraries, name);
  const proto::Replicas& habits = entry.message.habits();
  const std::string host = entry.message.host().has_sequence()
                               ? fmt::format(", {} per request and iteration", entry.message.host().sequence())
                               : "";
  return {name, entry.message.title(),
          fmt::format("{}, {}: {}, {} tokens, admits when the {} fits{}{}", entry.message.title(), entry.message.date(),
                      habits.batching(), habits.token_budget(), habits.admission(),
                      habits.overlap_scheduling() ? ", host overlapped" : "", host),
          main_source(entry.sources, "habits")};
}

LibraryRow framework_row(const Libraries& libraries, const std::string& name) {
  const auto entry = load_entry<proto::RlFramework>(libraries, name);
  const proto::RlFramework& f = entry.message;
  std::string habits = f.habits().rollout().has_engine() ? "writes with " + f.habits().rollout().engine() : "";
  if (f.has_software()) habits += fmt::format("{}trains with {}", habits.empty() ? "" : ", ", f.software());
  if (f.in_turn().rollout().has_memory_share())
    habits += fmt::format(", {:g} of HBM for the engine in turn", f.in_turn().rollout().memory_share());
  return {name, f.title(), fmt::format("{}, {}: {}", f.title(), f.date(), habits),
          main_source(entry.sources, "habits")};
}

LibraryRow row(LibraryKind kind, const Libraries& libraries, const std::string& name) {
  switch (kind) {
    case LibraryKind::gpus:
      return gpu_row(libraries, name);
    case LibraryKind::nodes:
      return node_row(libraries, name);
    case LibraryKind::fabrics:
      return fabric_row(libraries, name);
    case LibraryKind::clusters:
      return cluster_row(libraries, name);
    case LibraryKind::models:
      return model_row(libraries, name);
    case LibraryKind::software:
      return software_row(libraries, name);
    case LibraryKind::scenarios:
      return scenario_row(libraries, name);
    case LibraryKind::engines:
      return engine_row(libraries, name);
    case LibraryKind::frameworks:
      return framework_row(libraries, name);
    case LibraryKind::schedules: {
      const ScheduleRow* s = find_schedule(name);
      return {name, std::string(s->title), fmt::format("bubble {}", s->bubble), std::string(s->source)};
    }
    case LibraryKind::attention_kinds:
      return {name, "", fmt::format("needs {}", fmt::join(find_attention_kind(name)->needs, ", ")), ""};
    case LibraryKind::collectives: {
      const CollectiveRow* c = find_collective(name);
      return {name, std::string(c->title), std::string(c->closed_form), ""};
    }
  }
  return {};
}

constexpr LibraryKind kKinds[] = {LibraryKind::gpus,        LibraryKind::nodes,      LibraryKind::fabrics,
                                  LibraryKind::clusters,    LibraryKind::models,     LibraryKind::schedules,
                                  LibraryKind::collectives, LibraryKind::scenarios,  LibraryKind::software,
                                  LibraryKind::engines,     LibraryKind::frameworks, LibraryKind::attention_kinds};

/// The entry with its bases filled in; nothing where it has none.
template <class Message>
std::string in_full(const Libraries& libraries, const std::string& name) {
  Entry<Message> entry = load_entry<Message>(libraries, name);
  if (!entry.message.has_base()) return "";
  entry.message.clear_base();
  entry.message.clear_sources();
  std::string text;
  google::protobuf::TextFormat::PrintToString(entry.message, &text);
  return "\n# With its base filled in:\n" + text;
}

std::string in_full(LibraryKind kind, const Libraries& libraries, const std::string& name) {
  switch (kind) {
    case LibraryKind::gpus:
      return in_full<proto::Gpu>(libraries, name);
    case LibraryKind::nodes:
      return in_full<proto::Node>(libraries, name);
    case LibraryKind::fabrics:
      return in_full<proto::Fabric>(libraries, name);
    case LibraryKind::clusters:
      return in_full<proto::Cluster>(libraries, name);
    case LibraryKind::models:
      return in_full<proto::Model>(libraries, name);
    case LibraryKind::software:
      return in_full<proto::Software>(libraries, name);
    case LibraryKind::engines:
      return in_full<proto::EngineProfile>(libraries, name);
    case LibraryKind::frameworks:
      return in_full<proto::RlFramework>(libraries, name);
    default:
      return "";
  }
}

}  // namespace

std::vector<LibraryRow> list_library(LibraryKind kind, const Libraries& libraries) {
  std::vector<LibraryRow> rows;
  for (const std::string& name : libraries.names(kind)) {
    try {
      rows.push_back(row(kind, libraries, name));
    } catch (const InputError& error) {
      // One broken file of the user's own must not hide the rest of the library.
      rows.push_back({name, "cannot be read", first_of(error), ""});
    }
  }
  return rows;
}

std::string to_text(const std::string& name, const Libraries& libraries) {
  std::string out;
  std::vector<std::string> all;
  for (const LibraryKind kind : kKinds) {
    const auto names = libraries.names(kind);
    all.insert(all.end(), names.begin(), names.end());
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    if (const auto path = libraries.find(kind, name)) {
      out += fmt::format("# {}\n{}{}", *path, read_text_file(*path), in_full(kind, libraries, name));
    } else {
      const LibraryRow r = row(kind, libraries, name);
      out += fmt::format("# {}: {}\n# {}\n{}", r.name, r.title, r.figures,
                         r.source.empty() ? "" : "# Source: " + r.source + "\n");
    }
  }
  if (!out.empty()) return out;
  throw InputError(
      Diagnostic{"", 0, 0, "", quoted(name), "a name of some library (see `flopcast list`)", nearest_name(name, all)});
}

}  // namespace flopcast
