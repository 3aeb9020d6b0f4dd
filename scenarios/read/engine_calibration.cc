#include "scenarios/read/engine_calibration.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "scenarios/proto/calibration.pb.h"
#include "scenarios/read/text_file.h"

namespace flopcast {

std::string to_text(const EngineConstants& constants) {
  std::string out =
      "# Written by `flopcast calibrate`: change the fit, not the numbers. Formulas: "
      "workloads/serving/pricing/engine_constants.h.\n"
      "# proto-message: flopcast.proto.LinkCalibration\n\n";
  for (const EngineConstantRow& row : engine_constants()) {
    const EngineConstant& constant = constants.*row.field;
    out += fmt::format("# {}\nconstant {{ name: \"{}\" value: {:.6g}\n  source: \"{}\" date: \"{}\"{} }}\n",
                       row.meaning, row.name, constant.value, constant.source.text, constant.source.date,
                       constant.source.confirmed ? "" : " confirmed: false");
  }
  return out;
}

EngineConstants read_engine_calibration(const std::string& file) {
  proto::LinkCalibration message;
  Places places(file);
  Diagnostics faults;
  parse_text(read_text_file(file), file, message, places, faults);
  EngineConstants constants;
  std::vector<std::string> names;
  for (const EngineConstantRow& row : engine_constants()) {
    names.emplace_back(row.name);
    const auto found = std::find_if(message.constant().begin(), message.constant().end(),
                                    [&](const auto& c) { return c.name() == row.name; });
    if (found == message.constant().end()) {
      faults.push_back(places.fault("constant", fmt::format("no `{}`", row.name),
                                    "every constant of workloads/serving/pricing/engine_constants.h"));
      continue;
    }
    constants.*row.field = {found->value(), {found->source(), found->date(), found->confirmed()}};
  }
  for (int i = 0; i < message.constant_size(); ++i) {
    const std::string& name = message.constant(i).name();
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    faults.push_back(places.fault(fmt::format("constant[{}].name", i), quoted(name),
                                  "a constant of workloads/serving/pricing/engine_constants.h",
                                  nearest_name(name, names)));
  }
  if (!faults.empty()) throw InputError(std::move(faults));
  return constants;
}

}  // namespace flopcast
