// `flopcast fields`: what a file may say, field by field.
#include <fmt/format.h>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/output.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/render/text/field_text.h"
#include "analysis/render/text/json.h"
#include "flopcast/environment.h"
#include "scenarios/proto/field_list.pb.h"

namespace flopcast {
namespace {

struct FieldsArguments {
  std::string path;
  std::string json;
  bool markdown = false;
};

void print_fields(const FieldsArguments& arguments) {
  check_writable(arguments.json, "--json");
  if (arguments.markdown) return put(to_markdown(all_sections()));
  const FieldsAt fields = fields_at(arguments.path);
  if (arguments.json != "-") put(to_text(fields, terminal_style(stdout)));
  if (!arguments.json.empty()) write_text(arguments.json, to_json(to_message(fields_below(arguments.path), version())));
}

}  // namespace

void add_fields_command(Command& program) {
  program.add_command<FieldsArguments>(
      "fields", "Explain what a scenario or a library file may say: values, default, meaning",
      [](Command& command, FieldsArguments& arguments) {
        command.option("PATH", arguments.path, "A section or field, e.g. training.plan; absent: a scenario")
            .values(Values::fields);
        command
            .option("--json", arguments.json,
                    "Write every field at and below PATH as JSON (`-`: to stdout, instead of the text)")
            .value_name("FILE");
        command.flag("--markdown", arguments.markdown, "Print the reference of all fields, docs/fields.md");
      },
      print_fields);
}

}  // namespace flopcast
