#include "scenarios/read/calibrations/engine_calibration.h"

#include <fmt/format.h>

#include "scenarios/proto/calibration.pb.h"
#include "scenarios/read/calibrations/fitted_constants.h"

namespace flopcast {
namespace {

/// As text files have it, quotation marks within it escaped.
std::string quoted_text(const std::string& value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

std::string to_text(const EngineConstants& constants) {
  std::string out =
      "# Written by `flopcast calibrate`: change the fit, not the numbers. Formulas: "
      "workloads/serving/pricing/engine_constants.h.\n"
      "# proto-message: flopcast.proto.EngineCalibration\n\n";
  for (const EngineConstantRow& row : engine_constants()) {
    const Fitted& constant = constants.*row.field;
    out += fmt::format("# {}\nconstant {{ name: \"{}\" value: {:.6g}\n  source: {} date: \"{}\"{} }}\n", row.meaning,
                       row.name, constant.value, quoted_text(constant.source.text), constant.source.date,
                       constant.source.confirmed ? "" : " confirmed: false");
  }
  return out;
}

EngineConstants read_engine_calibration(const std::string& file) {
  proto::EngineCalibration message;
  Places places(file);
  Diagnostics faults;
  parse_text(read_text_file(file), file, message, places, faults);
  EngineConstants constants;
  take_constants(engine_constants(), message.constant(), "constant", "constant",
                 "workloads/serving/pricing/engine_constants.h", places, faults,
                 [&](const EngineConstantRow& row, const auto& c) {
                   constants.*row.field = {c.value(), {c.source(), c.date(), c.confirmed()}};
                 });
  if (!faults.empty()) throw InputError(std::move(faults));
  return constants;
}

}  // namespace flopcast
