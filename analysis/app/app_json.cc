#include "analysis/app/app_json.h"

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/escape.h"
#include "analysis/render/text/json.h"
#include "analysis/runs/metric_output.h"
#include "analysis/runs/metrics.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

/// Elements in brackets, commas between them.
template <class Range, class Write>
std::string array_json(const Range& range, Write write) {
  std::string out = "[";
  for (const auto& one : range) {
    if (out.size() > 1) out += ',';
    out += write(one);
  }
  return out + "]";
}

std::string number_json(const std::optional<double>& value) { return value ? shortest(*value) : "null"; }

std::string figure_json(const Metric& metric) {
  return fmt::format("{{\"name\":{},\"title\":{},\"unit\":{},\"meaning\":{},\"shown\":{},\"value\":{}}}",
                     script_quoted(metric.name), script_quoted(metric.title), script_quoted(metric.unit),
                     script_quoted(metric.meaning), script_quoted(metric.shown()), number_json(metric.number()));
}

/// The value as tables for people have it.
std::string shown_value(const Metric& figure, const std::optional<double>& value) {
  return !value ? "" : figure.text != nullptr ? figure.text(*value) : fmt::format("{:.4g}", *value);
}

std::string kind_name(AppRun::Kind kind) {
  constexpr std::array kNames = {"run", "comparison", "sweep", "plan"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string state_name(AppRun::State state) {
  constexpr std::array kNames = {"running", "done", "failed", "cancelled"};
  return kNames[static_cast<std::size_t>(state)];
}

/// Adds a message's fields that have a value, those of messages within it too.
void add_stated(const google::protobuf::Message& message, const std::string& path, std::string& out) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    const std::string name = (path.empty() ? "" : path + ".") + field->name();
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const std::string at = field->is_repeated() ? fmt::format("{}[{}]", name, i) : name;
      if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
        add_stated(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                        : reflection.GetMessage(message, field),
                   at, out);
        continue;
      }
      std::string value;
      if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING)
        value = field->is_repeated() ? reflection.GetRepeatedString(message, field, i)
                                     : reflection.GetString(message, field);
      else
        google::protobuf::TextFormat::PrintFieldValueToString(message, field, field->is_repeated() ? i : -1, &value);
      out += fmt::format("{}{}:{}", out.size() > 1 ? "," : "", script_quoted(at), script_quoted(value));
    }
  }
}

/// When each pass ran, and the order that says so: what the schedule editor moves.
std::string pipeline_json(const StepShown& shown) {
  const PipelineTimes& times = shown.pipeline;
  constexpr std::array kKinds = {"F", "B", "I", "W", "O"};
  const auto block = [&](const PipelineTimes::Block& b) {
    const int stage = times.stage_of[b.row][b.pass.chunk];
    return fmt::format("[{},\"{}\",{},{},{:.6g},{:.6g}]", b.row, kKinds[static_cast<std::size_t>(b.pass.kind)], stage,
                       b.pass.micro_batch, std::min(b.start, b.end).value(), b.end.value());
  };
  return fmt::format("{{\"rows\":{},\"end\":{:.6g},\"order\":{},\"blocks\":{},\"endings\":{}}}", times.rows,
                     times.end.value(), script_quoted(shown.order), array_json(times.blocks, block),
                     array_json(times.endings, [](const PipelineTimes::Ending& e) {
                       return fmt::format("[{},{:.6g},{:.6g}]", e.row, e.start.value(), e.end.value());
                     }));
}

std::string points_csv(const AppRun& run) {
  std::string out = "settings,priced_by,fault";
  for (const Metric& figure : run.figures) out += "," + csv_cell(figure.name);
  out += "\n";
  for (const AppPoint& point : run.points) {
    out += csv_cell(fmt::format("{}", fmt::join(point.sets, " "))) + (point.replayed ? ",replay," : ",closed form,") +
           csv_cell(point.fault);
    for (const auto& value : point.values) out += "," + (value ? shortest(*value) : "");
    out += "\n";
  }
  return out;
}

}  // namespace

HttpAnswer json_answer(std::string body) { return {200, "application/json; charset=utf-8", std::move(body)}; }

HttpAnswer refused(int status, const std::string& why) {
  HttpAnswer answer = json_answer(fmt::format("{{\"error\":{}}}", script_quoted(why)));
  answer.status = status;
  return answer;
}

std::string strings_json(const std::vector<std::string>& texts) {
  return array_json(texts, [](const std::string& text) { return script_quoted(text); });
}

std::string stated_json(const std::string& text) {
  proto::Scenario scenario;
  Places places;
  Diagnostics faults;  // reported by the resolver
  parse_text(text, "", scenario, places, faults);
  std::string out = "{";
  add_stated(scenario, "", out);
  return out + "}";
}

std::string library_json(std::span<const LibraryRow> rows) {
  return array_json(rows, [](const LibraryRow& row) {
    return fmt::format("{{\"name\":{},\"title\":{},\"figures\":{},\"group\":{}}}", script_quoted(row.name),
                       script_quoted(row.title), script_quoted(row.figures), script_quoted(row.group));
  });
}

std::string faults_json(const std::vector<Diagnostic>& faults) {
  return array_json(faults, [](Diagnostic d) {
    d.file.clear();  // the text is in sight
    return fmt::format("{{\"line\":{},\"column\":{},\"field\":{},\"text\":{}}}", d.line, d.column,
                       script_quoted(d.field), script_quoted(to_string(d)));
  });
}

std::string run_json(const AppRun& run, std::size_t id) {
  const std::lock_guard lock(run.mutex);
  return fmt::format("{{\"id\":{},\"kind\":\"{}\",\"label\":{},\"state\":\"{}\",\"figures\":{},\"passes\":{}}}", id,
                     kind_name(run.kind), script_quoted(run.label), state_name(run.state),
                     run.report ? "true" : "false", run.shown.pipeline.rows > 1 ? "true" : "false");
}

std::string state_json(const AppRun& run) {
  return fmt::format(
      "{{\"state\":\"{}\",\"kind\":\"{}\",\"name\":{},\"stage\":{},\"unit\":{},\"done\":{},\"all\":{},\"points\":{},"
      "\"faults\":{}}}",
      state_name(run.state), kind_name(run.kind), script_quoted(run.name), script_quoted(run.stage),
      script_quoted(run.unit), run.done, run.all, run.points.size(), faults_json(run.faults));
}

std::string inputs_json(const AppRun& run) {
  return fmt::format("{{\"name\":{},\"text\":{},\"sets\":{},\"schedule\":{}}}", script_quoted(run.name),
                     script_quoted(run.text), strings_json(run.sets), script_quoted(run.schedule));
}

std::string points_json(const AppRun& run) {
  const auto point = [&](const AppPoint& p) {
    std::string shown = "[";
    for (std::size_t i = 0; i < p.values.size(); ++i)
      shown += (i > 0 ? "," : "") + script_quoted(shown_value(run.figures[i], p.values[i]));
    return fmt::format("{{\"sets\":{},\"name\":{},\"fault\":{},\"replayed\":{},\"values\":{},\"shown\":{}]}}",
                       strings_json(p.sets), script_quoted(p.name), script_quoted(p.fault), p.replayed,
                       array_json(p.values, number_json), shown);
  };
  return fmt::format("{{\"figures\":{},\"points\":{}}}", array_json(run.figures, figure_json),
                     array_json(run.points, point));
}

HttpAnswer result_of(const AppRun& run, const std::string& what, const std::string& file, bool save) {
  if (what == "page") {
    if (run.page.empty()) return refused(409, "there is no result yet");
    return {200, "text/html; charset=utf-8", run.page, save ? file + ".html" : ""};
  }
  if (what == "csv" && !run.points.empty())
    return {200, "text/csv; charset=utf-8", points_csv(run), file + "-" + kind_name(run.kind) + ".csv"};
  if (!run.report) return refused(409, "there is no result yet");
  if (what == "json") return {200, "application/json; charset=utf-8", run.report->json(), file + ".json"};
  if (what == "csv") return {200, "text/csv; charset=utf-8", to_csv(metrics(*run.report)), file + ".csv"};
  if (what == "figures") return json_answer(array_json(metrics(*run.report), figure_json));
  if (run.shown.pipeline.rows == 0) return refused(404, "only a training step has a pipeline");
  if (what == "pipeline") return json_answer(pipeline_json(run.shown));
  return {200, "image/svg+xml", picture_svg(run.shown.pipeline), file + ".svg"};
}

std::string difference_json(std::span<const Metric> before, std::span<const Metric> now) {
  std::string out = "[";
  for (const Metric& metric : before) {
    const Metric* const other = find_metric(now, metric.name);
    if (other == nullptr) continue;
    const auto was = metric.number(), is = other->number();
    if (!was || !is || *was == *is) continue;
    out += fmt::format("{}{{\"name\":{},\"title\":{},\"meaning\":{},\"was\":{},\"is\":{},\"change\":{}}}",
                       out.size() > 1 ? "," : "", script_quoted(metric.name), script_quoted(metric.title),
                       script_quoted(metric.meaning), script_quoted(metric.shown()), script_quoted(other->shown()),
                       *was != 0 ? shortest(*is / *was - 1) : "null");
  }
  return out + "]";
}

}  // namespace flopcast
