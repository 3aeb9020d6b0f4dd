// Axes over a library's entries.
#include <functional>
#include <span>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include "analysis/studies/sweep/study/field_values.h"
#include "analysis/studies/sweep/study/sweep_axes.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/libraries/library_entries.h"
#include "workloads/rl/algorithms.h"
#include "workloads/serving/policies.h"
#include "workloads/serving/router.h"

namespace flopcast {
namespace {

template <class Row>
std::vector<std::string> names_of(std::span<const Row> table) {
  std::vector<std::string> out;
  for (const Row& row : table) out.emplace_back(row.name);
  return out;
}

/// Names of what is a table of the program's, not a folder of files.
std::optional<std::vector<std::string>> table_names(const std::string& kind) {
  if (kind == "algorithms") return names_of(algorithms());
  if (kind == "routers") return names_of(routers());
  if (kind == "batching") return names_of(batching_policies());
  if (kind == "admission") return names_of(admission_policies());
  if (kind == "preemption") return names_of(preemption_policies());
  return std::nullopt;
}

/// Fields of one entry; those of the GPU of a node below "gpu.", those of the node of a cluster below "node.".
using EntryLookup = std::function<std::optional<NamedValue>(const std::string& entry, std::string_view name)>;

std::optional<NamedValue> gpu_field(const Libraries& libraries, const std::string& gpu, std::string_view name) {
  const auto entry = load_entry<proto::Gpu>(libraries, gpu);
  // A chip that misses figures is only classified.
  if (name == "runs") return NamedValue{unpublished_figures(entry.message).empty()};
  return message_value(entry.message, name);
}

std::optional<NamedValue> node_field(const Libraries& libraries, const std::string& node, std::string_view name) {
  const auto entry = load_entry<proto::Node>(libraries, node);
  if (name == "runs") return gpu_field(libraries, entry.message.gpu(), name);
  if (name.starts_with("gpu.")) return gpu_field(libraries, entry.message.gpu(), name.substr(4));
  if (name == "nvlink_bandwidth" && !entry.message.has_nvlink_bandwidth())
    return gpu_field(libraries, entry.message.gpu(), name);
  return message_value(entry.message, name);
}

std::optional<NamedValue> entry_field(const Libraries& libraries, const std::string& kind, const std::string& entry,
                                      std::string_view name) {
  if (kind == "gpus") return gpu_field(libraries, entry, name);
  if (kind == "nodes") return node_field(libraries, entry, name);
  if (kind == "fabrics") return message_value(load_entry<proto::Fabric>(libraries, entry).message, name);
  if (kind == "models") return message_value(load_entry<proto::Model>(libraries, entry).message, name);
  if (kind == "software") return message_value(load_entry<proto::Software>(libraries, entry).message, name);
  if (kind == "engines") return message_value(load_entry<proto::EngineProfile>(libraries, entry).message, name);
  if (kind == "frameworks") return message_value(load_entry<proto::RlFramework>(libraries, entry).message, name);
  if (kind == "clusters") {
    const auto cluster = load_entry<proto::Cluster>(libraries, entry);
    return name.starts_with("node.") ? node_field(libraries, cluster.message.node(), name.substr(5))
                                     : message_value(cluster.message, name);
  }
  if (kind == "scenarios") {
    proto::Scenario scenario;
    Places places;
    Diagnostics ignored;  // running it says what is wrong with it
    const std::string path = libraries.find(LibraryKind::scenarios, entry).value_or(entry);
    parse_text(read_text_file(path), path, scenario, places, ignored);
    if (name == "training" || name == "serving" || name == "collective" || name == "cluster_life") {
      const auto* field = proto::Scenario::descriptor()->FindFieldByName(std::string(name));
      return NamedValue{scenario.GetReflection()->HasField(scenario, field)};
    }
    return message_value(scenario, name);
  }
  return name == "name" ? std::optional(NamedValue{entry}) : std::nullopt;
}

std::vector<std::string> property_names(const std::string& kind) {
  const google::protobuf::Descriptor* type = kind == "gpus"         ? proto::Gpu::descriptor()
                                             : kind == "nodes"      ? proto::Node::descriptor()
                                             : kind == "fabrics"    ? proto::Fabric::descriptor()
                                             : kind == "models"     ? proto::Model::descriptor()
                                             : kind == "clusters"   ? proto::Cluster::descriptor()
                                             : kind == "scenarios"  ? proto::Scenario::descriptor()
                                             : kind == "software"   ? proto::Software::descriptor()
                                             : kind == "engines"    ? proto::EngineProfile::descriptor()
                                             : kind == "frameworks" ? proto::RlFramework::descriptor()
                                                                    : nullptr;
  std::vector<std::string> names{"name"};
  for (int i = 0; type && i < type->field_count(); ++i) names.push_back(type->field(i)->name());
  return names;
}

}  // namespace

bool known_entries(const std::string& kind) {
  return kind == "schedules" || table_names(kind) || property_names(kind).size() > 1;
}

std::vector<std::string> entries_where(const proto::AxisEntries& entries, const std::string& path,
                                       const AxisContext& context, Diagnostics& faults) {
  const std::size_t before = faults.size();
  std::vector<MetricExpression> conditions;
  for (int i = 0; i < entries.where_size(); ++i) {
    const std::string at = fmt::format("{}.where[{}]", path, i);
    try {
      conditions.emplace_back(entries.where(i));
      if (!conditions.back().is_condition())
        faults.push_back(context.places.fault(at, quoted(entries.where(i)), "a condition"));
    } catch (const InputError& error) {
      for (const Diagnostic& d : error.diagnostics())
        faults.push_back(context.places.fault(at, d.found, d.expected, d.suggestion));
    }
  }
  std::vector<std::string> names;
  try {
    const auto table = table_names(entries.kind());
    names = table ? *table : context.libraries.names(library_kind(entries.kind()));
  } catch (const InputError& error) {
    for (const Diagnostic& d : error.diagnostics())
      faults.push_back(context.places.fault(path + ".kind", d.found, d.expected, d.suggestion));
  }
  if (faults.size() > before) return {};
  std::vector<std::string> out;
  for (const std::string& name : names) {
    bool holds = true;
    for (std::size_t i = 0; i < conditions.size() && holds; ++i) {
      const std::string at = fmt::format("{}.where[{}]", path, i);
      const auto lookup = [&](std::string_view field) {
        return field == "name" ? std::optional(NamedValue{name})
                               : entry_field(context.libraries, entries.kind(), name, field);
      };
      try {
        const auto unknown = faults_of(conditions[i], lookup, property_names(entries.kind()));
        for (const ExpressionFault& f : unknown)
          faults.push_back(context.places.fault(at, f.found, f.expected, f.suggestion));
        if (faults.size() > before) return {};
        holds = conditions[i].holds(lookup).value_or(false);
      } catch (const InputError& error) {  // the entry's own file
        faults.insert(faults.end(), error.diagnostics().begin(), error.diagnostics().end());
        return {};
      }
    }
    if (holds) out.push_back(name);
  }
  if (out.empty())
    faults.push_back(context.places.fault(
        path, fmt::format("conditions that none of the {} {} fulfils", names.size(), entries.kind()),
        "at least one entry"));
  return out;
}

}  // namespace flopcast
