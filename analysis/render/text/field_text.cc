#include "analysis/render/text/field_text.h"

#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "scenarios/proto/field_list.pb.h"

namespace flopcast {
namespace {

std::string bounds(const FieldReference& f) {
  if (!f.least.empty() && !f.most.empty()) return fmt::format("from {} to {}", f.least, f.most);
  if (!f.least.empty()) return "at least " + f.least;
  return f.most.empty() ? "" : "at most " + f.most;
}

/// What may stand there: "a time such as "3.7 us" from 0 s to 1 d".
std::string values(const FieldReference& f) {
  std::string out = f.type == "quantity" ? f.unit
                    : f.type == "switch" ? "true or false"
                    : !f.library.empty() ? fmt::format("a name from `flopcast list {}`", f.library)
                    : !f.allowed.empty() ? fmt::format("one of {}", fmt::join(f.allowed, ", "))
                                         : f.type;
  if (f.section())
    out = f.list ? "any number of them, { ... }" : "{ ... }";
  else if (f.list)
    out = "list of values: " + out;
  if (const std::string range = bounds(f); !range.empty()) out += ", " + range;
  if (f.type == "quantity" && !f.allowed.empty()) out += fmt::format(", or {}", fmt::join(f.allowed, ", "));
  return out;
}

std::string block(const std::string& text, std::size_t indent, const TextStyle& style) {
  if (text.empty()) return "";
  const std::string margin(indent, ' ');
  return margin + wrap(text, style.width() - indent, margin) + "\n";
}

std::string facts(const FieldReference& f) {
  std::string out = values(f);
  if (!f.default_value.empty()) out += "; default " + f.default_value;
  if (f.required) out += "; required";
  return out;
}

std::string without_lists(std::string path) {
  for (auto at = path.find("[]"); at != std::string::npos; at = path.find("[]")) path.erase(at, 2);
  return path;
}

std::string one_field(const FieldReference& f, const TextStyle& style) {
  TextTable table({Align::left, Align::left});
  table.row({"values", values(f)});
  table.row({"default", f.default_value.empty() ? f.required ? "none, it is required" : "none" : f.default_value});
  return style.bold(f.path) + "\n" + block(f.meaning, 2, style) + table.render(style);
}

/// Pipes would end a cell.
std::string cell(std::string text) {
  for (auto at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) text.insert(at, "\\");
  return text;
}

}  // namespace

std::string to_text(const FieldsAt& at, const TextStyle& style) {
  if (!at.is_section) return one_field(at.section.fields.front(), style);
  const std::string& place = at.section.places.front();
  std::string out = style.bold(place.empty() ? "a scenario" : place) + "\n" + block(at.section.meaning, 2, style);
  for (const FieldReference& f : at.section.fields)
    out += "\n" + style.accent(f.section() ? f.name + " { ... }" : f.name) + "\n" + block(f.meaning, 4, style) +
           (f.section() && !f.required && !f.list ? "" : style.dim(block(facts(f), 4, style)));
  const std::string example =
      place.empty() ? "training.plan" : without_lists(place) + "." + at.section.fields.front().name;
  out += "\n" + style.dim(block(fmt::format("More of one: flopcast fields {}.{}", example,
                                            place.empty() ? " Of library files: flopcast fields gpus (nodes, fabrics, "
                                                            "clusters, models)."
                                                          : ""),
                                0, style));
  return out;
}

report::FieldList to_message(const std::vector<FieldReference>& fields, const std::string& program) {
  report::FieldList message;
  message.set_program(program);
  for (const FieldReference& f : fields) {
    report::FieldEntry& entry = *message.add_fields();
    entry.set_path(f.path);
    entry.set_type(f.type);
    entry.set_unit(f.unit);
    entry.set_default_(f.default_value);
    entry.set_min(f.least);
    entry.set_max(f.most);
    for (const std::string& value : f.allowed) entry.add_allowed(value);
    entry.set_library(f.library);
    entry.set_required(f.required);
    entry.set_list(f.list);
    entry.set_meaning(f.meaning);
  }
  return message;
}

std::string to_markdown(const std::vector<FieldSection>& sections) {
  std::string out = R"(# Every field of a scenario and of the library's files

Made by `flopcast fields --markdown` from the schema (`scenarios/proto/`); a test keeps it up to date. In a terminal:
`flopcast fields training.plan`. A section is written `name { ... }`; one with `[]` may be there several times. Fields
that are not stated take their default, and every report lists the defaults it used.
)";
  for (const FieldSection& s : sections) {
    const std::string& first = s.places.front();
    out += fmt::format("\n## {}\n\n{}\n", first.empty() ? "A scenario" : "`" + first + "`", s.meaning);
    if (s.places.size() > 1) {
      out += "\nThe same at";
      for (std::size_t i = 1; i < s.places.size(); ++i) out += fmt::format("{} `{}`", i > 1 ? "," : "", s.places[i]);
      out += ".\n";
    }
    out += "\n| field | values | default | meaning |\n|---|---|---|---|\n";
    for (const FieldReference& f : s.fields)
      out += fmt::format("| `{}`{} | {} | {} | {} |\n", f.name, f.list ? " []" : "", cell(values(f)),
                         f.default_value.empty() ? f.required ? "required" : "" : "`" + f.default_value + "`",
                         cell(f.meaning));
  }
  return out;
}

}  // namespace flopcast
