#include "analysis/runs/parts/text_parts.h"

#include <fmt/format.h>

#include <map>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/metric_paths.h"

namespace flopcast {

std::string fact(const std::string& text, const TextStyle& style) {
  return "  " + wrap(text, style.width() - 4, "    ") + "\n";
}

std::string published_text(const std::vector<Comparison>& comparisons, std::span<const Metric> metrics,
                           const TextStyle& style) {
  if (comparisons.empty()) return {};
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::left});
  table.header({"", "predicted", "published", "error", "source"});
  for (const Comparison& comparison : comparisons) {
    const FigureLabel figure = find_label(metrics, comparison.field);
    table.row({figure.name, figure.text(comparison.predicted), figure.text(comparison.published), comparison.verdict(),
               comparison.source});
  }
  return style.bold("Predicted beside published") + "\n" + table.render(style);
}

std::string bullets(const std::vector<std::string>& items, const TextStyle& style) {
  std::string out;
  for (const std::string& item : items) out += "  - " + wrap(item, style.width() - 4, "    ") + "\n";
  return out;
}

std::string default_facts(const std::vector<std::string>& settings, const TextStyle& style) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<std::string>> by_message;
  for (const std::string& setting : settings) {
    const std::size_t dot = setting.rfind('.', setting.find(" = "));
    const std::string message = dot == std::string::npos ? "" : setting.substr(0, dot);
    if (!by_message.contains(message)) order.push_back(message);
    by_message[message].push_back(dot == std::string::npos ? setting : setting.substr(dot + 1));
  }
  std::string out;
  for (const std::string& message : order)
    out +=
        fact(fmt::format("{}{}{}", message, message.empty() ? "" : ": ", fmt::join(by_message[message], ", ")), style);
  return out;
}

}  // namespace flopcast
