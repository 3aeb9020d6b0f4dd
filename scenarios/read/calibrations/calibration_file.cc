#include "scenarios/read/calibrations/calibration_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "scenarios/proto/calibration.pb.h"
#include "scenarios/read/calibrations/fitted_constants.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {

// The shipped file and what it says as a message (scenarios/CMakeLists.txt).
std::string_view shipped_kernel_calibration_text();
std::string_view shipped_kernel_calibration_message();

namespace {

// writing

/// Six significant digits: more than a fit knows, and stable when read and written again.
std::string number(double value) { return fmt::format("{:.6g}", value == 0 ? 0.0 : value); }

std::string text(const std::string& value) {
  std::string escaped = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c == '\n' ? ' ' : c;
  }
  return escaped + "\"";
}

std::string origin(const Source& source) {
  return fmt::format("source: {} date: {}{}", text(source.text), text(source.date),
                     source.confirmed ? "" : " confirmed: false");
}

std::string calibrated(std::string_view name, const Fitted& value) {
  return fmt::format("{} {{ value: {} {} }}\n", name, number(value.value), origin(value.source));
}

std::string held_back(const char* field, const HeldBackError& error) {
  const std::string chip = error.gpu.empty() ? "" : fmt::format(" gpu: {}", text(error.gpu));
  return fmt::format(
      "{} {{ table: {}{} fitted: {} held_back: {} median_error: {} percentile_90_error: {} bias: {} }}\n", field,
      text(error.table), chip, error.fitted, error.held_back, number(error.median), number(error.percentile_90),
      number(error.bias));
}

std::string residual(const KernelResidual& residual) {
  if (residual.empty()) return "";
  std::string out = "  residual {\n    radius: [";
  const std::size_t dims = residual.radius().size();
  for (std::size_t d = 0; d < dims; ++d) out += (d ? ", " : "") + number(residual.radius()[d]);
  out += "]\n";
  for (std::size_t i = 0; i < residual.size(); ++i) {
    out += "    point: \"";
    for (std::size_t d = 0; d < dims; ++d) out += number(residual.centres()[i * dims + d]) + " ";
    out += ": " + number(residual.weights()[i].chip) + " " + number(residual.weights()[i].memory) + "\"\n";
  }
  return out + "  }\n";
}

std::string power_text(const PowerFigures& power) {
  return fmt::format(
      "power {{\n  die: {} idle_w: {} board_w: {} board_bf16_tflops: {}\n  bf16_pj_per_flop: {} fp8_pj_per_flop: {} "
      "attention_pj_per_flop: {} pj_per_byte: {} voltage_exponent: {} clock_exponent: {} lowest_clock: {}\n  {}\n}}\n",
      text(power.die), number(power.idle.value()), number(power.board.value()),
      number(power.board_bf16_peak.value() / 1e12), number(power.bf16_pj_per_flop), number(power.fp8_pj_per_flop),
      number(power.attention_pj_per_flop), number(power.pj_per_byte), number(power.voltage_exponent),
      number(power.clock_exponent), number(power.lowest_clock), origin(power.source));
}

std::string fit_text(const FamilyFit& fit) {
  std::string out = fmt::format(
      "\nfit {{\n  family: {} die: {} architecture: {} clock_mhz: {} bf16_peak_gflops_per_sm: {} "
      "fp8_peak_gflops_per_sm: {} sms: {}\n",
      text(std::string(name(fit.family))), text(fit.die.name), text(fit.die.architecture),
      number(fit.die.clock.value() / 1e6), number(fit.die.bf16_peak_per_sm.value() / 1e9),
      number(fit.die.fp8_peak_per_sm.value() / 1e9), fit.die.sms);
  out += "  " + origin(fit.source) + "\n";
  if (!fit.variant.empty()) out += fmt::format("  variant: {}\n", text(fit.variant));
  const auto infos = parameters_of(fit.family);
  const std::vector<double> values = values_of(fit.parameters);
  for (std::size_t i = 0; i < infos.size(); ++i)
    out += fmt::format("  parameter {{ name: \"{}\" value: {} }}\n", infos[i].name, number(values[i]));
  for (const HeldBackError& error : fit.errors) out += held_back("  held_back", error);
  return out + residual(fit.residual) + "}\n";
}

// reading

/// Turns messages into values and collects what is wrong with them.
class Reader {
 public:
  Reader(const Places& places, Diagnostics& faults) : places_(places), faults_(faults) {}

  void fault(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    faults_.push_back(places_.fault(path, std::move(found), std::move(expected), std::move(suggestion)));
  }

  double positive(double value, const std::string& path) {
    if (!(value > 0) || !std::isfinite(value)) fault(path, number(value), "a positive number");
    return value;
  }

  Fitted calibrated(const proto::Calibrated& message, const std::string& path) {
    if (!message.has_value()) fault(path, "nothing", "a calibrated number");
    return {message.value(), {message.source(), message.date(), message.confirmed()}};
  }

  PowerFigures power(const proto::Power& message) {
    PowerFigures out;
    const auto figure = [&](double value, const char* field) { return positive(value, std::string("power.") + field); };
    out.die = message.die();
    out.idle = Watts(figure(message.idle_w(), "idle_w"));
    out.board = Watts(figure(message.board_w(), "board_w"));
    out.board_bf16_peak = FlopPerSecond(figure(message.board_bf16_tflops(), "board_bf16_tflops") * 1e12);
    out.bf16_pj_per_flop = figure(message.bf16_pj_per_flop(), "bf16_pj_per_flop");
    out.fp8_pj_per_flop = figure(message.fp8_pj_per_flop(), "fp8_pj_per_flop");
    out.attention_pj_per_flop = figure(message.attention_pj_per_flop(), "attention_pj_per_flop");
    out.pj_per_byte = figure(message.pj_per_byte(), "pj_per_byte");
    out.voltage_exponent = figure(message.voltage_exponent(), "voltage_exponent");
    out.clock_exponent = figure(message.clock_exponent(), "clock_exponent");
    out.lowest_clock = figure(message.lowest_clock(), "lowest_clock");
    out.source = {message.source(), message.date(), message.confirmed()};
    return out;
  }

  FamilyFit fit(const proto::KernelFit& message, const std::string& path) {
    FamilyFit fit;
    const auto family = find_family(message.family());
    if (!family) {
      fault(path + ".family", quoted(message.family()), "a family of kernels",
            nearest_name(message.family(), family_names()));
      return fit;
    }
    fit.family = *family;
    fit.variant = message.variant();
    fit.die.name = message.die();
    if (fit.die.name.empty()) fault(path + ".die", "nothing", "the die that was measured");
    fit.die.architecture = message.architecture();
    fit.die.clock = Hertz(positive(message.clock_mhz(), path + ".clock_mhz") * 1e6);
    fit.die.bf16_peak_per_sm =
        FlopPerSecond(positive(message.bf16_peak_gflops_per_sm(), path + ".bf16_peak_gflops_per_sm") * 1e9);
    fit.die.sms = static_cast<int>(positive(message.sms(), path + ".sms"));
    fit.die.fp8_peak_per_sm = FlopPerSecond(message.fp8_peak_gflops_per_sm() * 1e9);
    fit.source = {message.source(), message.date(), true};
    fit.parameters = with_values(*family, parameters(message, *family, path));
    for (const proto::HeldBack& error : message.held_back()) fit.errors.push_back(held_back(error));
    if (message.has_residual()) fit.residual = residual(message.residual(), *family, path + ".residual");
    return fit;
  }

  static HeldBackError held_back(const proto::HeldBack& error) {
    return {error.table(), error.fitted(), error.held_back(), error.median_error(), error.percentile_90_error(),
            error.bias(),  error.gpu()};
  }

  MemoryClassFit memory_class(const proto::MemoryClass& message, const std::string& path) {
    MemoryClassFit fit;
    std::vector<std::string> names;
    for (int i = 0; i < kMemoryKernels; ++i) names.emplace_back(name(static_cast<MemoryKernel>(i)));
    const auto found = std::find(names.begin(), names.end(), message.kernel());
    if (found == names.end()) {
      fault(path + ".kernel", quoted(message.kernel()), "a class of memory-bound kernels",
            nearest_name(message.kernel(), names));
      return fit;
    }
    fit.kernel = static_cast<MemoryKernel>(found - names.begin());
    fit.hbm_fraction = positive(message.hbm_fraction(), path + ".hbm_fraction");
    fit.alone_fraction =
        message.has_alone_fraction() ? positive(message.alone_fraction(), path + ".alone_fraction") : fit.hbm_fraction;
    if (message.has_sm_bytes_per_cycle())
      fit.sm_bytes_per_cycle = positive(message.sm_bytes_per_cycle(), path + ".sm_bytes_per_cycle");
    fit.minimum = Seconds(positive(message.minimum_us(), path + ".minimum_us") * 1e-6);
    fit.engine_minimum = message.has_engine_minimum_us()
                             ? Seconds(positive(message.engine_minimum_us(), path + ".engine_minimum_us") * 1e-6)
                             : fit.minimum;
    fit.launches = message.launches();
    fit.median_error = message.median_error();
    fit.source = {message.source(), message.date(), message.confirmed()};
    return fit;
  }

 private:
  static std::vector<std::string> family_names() {
    std::vector<std::string> names;
    for (int i = 0; i < kKernelFamilies; ++i) names.emplace_back(name(static_cast<KernelFamily>(i)));
    return names;
  }

  std::vector<double> parameters(const proto::KernelFit& message, KernelFamily family, const std::string& path) {
    std::vector<double> values;
    for (const ParameterInfo& info : parameters_of(family)) {
      double value = 0;
      for (const proto::Parameter& parameter : message.parameter())
        if (parameter.name() == info.name) value = parameter.value();
      if (!(value > 0))
        fault(path, fmt::format("no positive `{}`", info.name), fmt::format("every parameter of {}", name(family)));
      values.push_back(value);
    }
    return values;
  }

  KernelResidual residual(const proto::Residual& message, KernelFamily family, const std::string& path) {
    const auto dims = static_cast<std::size_t>(coordinate_count(family));
    if (static_cast<std::size_t>(message.radius_size()) != dims) {
      fault(path + ".radius", fmt::format("{} numbers", message.radius_size()),
            fmt::format("{} positive numbers", dims));
      return {};
    }
    std::vector<double> radius, centres, row;
    std::vector<PartCorrection> weights;
    centres.reserve(dims * static_cast<std::size_t>(message.point_size()));
    weights.reserve(static_cast<std::size_t>(message.point_size()));
    for (const double r : message.radius()) radius.push_back(positive(r, path + ".radius"));
    for (int i = 0; i < message.point_size(); ++i) {
      if (!read_point(message.point(i), row) || row.size() != dims + 2) {
        fault(fmt::format("{}.point[{}]", path, i), quoted(message.point(i)),
              fmt::format("{} coordinates, a colon and two weights", dims));
        return {};
      }
      centres.insert(centres.end(), row.begin(), row.end() - 2);
      weights.push_back({row[dims], row[dims + 1]});
    }
    return {std::move(radius), std::move(centres), std::move(weights)};
  }

  /// "1 2.5 : -0.1 0" -> {1, 2.5, -0.1, 0}; false when malformed. Thousands at each start: the list is the caller's.
  static bool read_point(const std::string& text, std::vector<double>& values) {
    values.clear();
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at != end) {
      if (*at == ' ' || *at == ':') {
        ++at;
        continue;
      }
      double value = 0;
      const auto [next, error] = std::from_chars(at, end, value);
      if (error != std::errc() || !std::isfinite(value)) return false;
      values.push_back(value);
      at = next;
    }
    return true;
  }

  const Places& places_;
  Diagnostics& faults_;
};

template <class Message>
Places parse(const std::string& text, const std::string& file, Message& message) {
  Places places(file);
  Diagnostics faults;
  parse_text(text, file, message, places, faults);
  if (!faults.empty()) throw InputError(std::move(faults));
  return places;
}

}  // namespace

std::string to_text(const KernelCalibration& calibration) {
  std::string out =
      "# Written by `flopcast calibrate`: change the fit, not the numbers. Formulas: "
      "hwmodels/kernels/kernel_formulas.cc.\n"
      "# proto-message: flopcast.proto.KernelCalibration\n\n";
  out += fmt::format("date: {} seed: {}\n", text(calibration.date), calibration.seed);
  out += fmt::format("memory_architecture: {}\n", text(calibration.memory_architecture));
  out += calibrated("kernel_gap_us", calibration.kernel_gap_us);
  out += calibrated("sustained_clock", calibration.sustained_clock);
  out += calibrated("attention_clock_loss", calibration.attention_clock_loss);
  out += calibrated("communication_hbm_share", calibration.communication_hbm_share);
  if (calibration.power) out += power_text(*calibration.power);
  out += "\n";
  for (const MemoryClassFit& fit : calibration.memory_classes)
    out += fmt::format(
        "memory_class {{ kernel: \"{}\" hbm_fraction: {} alone_fraction: {}{} minimum_us: {} engine_minimum_us: {} "
        "launches: {} median_error: {}\n  {} }}\n",
        name(fit.kernel), number(fit.hbm_fraction), number(fit.alone_fraction),
        fit.sm_bytes_per_cycle > 0 ? fmt::format(" sm_bytes_per_cycle: {}", number(fit.sm_bytes_per_cycle)) : "",
        number(fit.minimum.value() * 1e6), number(fit.engine_minimum.value() * 1e6), fit.launches,
        number(fit.median_error), origin(fit.source));
  out += "\n";
  for (const HeldBackError& error : calibration.pooled) out += held_back("pooled", error);
  for (const FamilyFit& fit : calibration.fits) out += fit_text(fit);
  return out;
}

namespace {

/// The message of the shipped file, which was read when the program was built. False: this is another text.
bool take_shipped(const std::string& text, proto::KernelCalibration& message) {
  const std::string_view bytes = shipped_kernel_calibration_message();
  return text == shipped_kernel_calibration_text() &&
         message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

KernelCalibration parse_kernel_calibration(const std::string& text, const std::string& file) {
  proto::KernelCalibration message;
  const Places places = take_shipped(text, message) ? Places(file) : parse(text, file, message);
  Diagnostics faults;
  Reader reader(places, faults);
  KernelCalibration calibration;
  calibration.date = message.date();
  calibration.seed = message.seed();
  calibration.memory_architecture = message.memory_architecture();
  calibration.kernel_gap_us = reader.calibrated(message.kernel_gap_us(), "kernel_gap_us");
  calibration.sustained_clock = reader.calibrated(message.sustained_clock(), "sustained_clock");
  calibration.attention_clock_loss = reader.calibrated(message.attention_clock_loss(), "attention_clock_loss");
  if (message.has_power()) calibration.power = reader.power(message.power());
  calibration.communication_hbm_share = reader.calibrated(message.communication_hbm_share(), "communication_hbm_share");
  for (int i = 0; i < message.memory_class_size(); ++i)
    calibration.memory_classes.push_back(
        reader.memory_class(message.memory_class(i), fmt::format("memory_class[{}]", i)));
  for (int i = 0; i < message.fit_size(); ++i)
    calibration.fits.push_back(reader.fit(message.fit(i), fmt::format("fit[{}]", i)));
  for (const proto::HeldBack& error : message.pooled()) calibration.pooled.push_back(Reader::held_back(error));
  if (!faults.empty()) throw InputError(std::move(faults));
  return calibration;
}

KernelCalibration read_kernel_calibration(const std::string& file) {
  return parse_kernel_calibration(read_text_file(file), file);
}

std::string to_text(const LinkCalibration& calibration) {
  std::string out =
      "# Written by `flopcast calibrate`: change the fit, not the numbers. Formulas: "
      "hwmodels/fabric/link_calibration.h.\n"
      "# proto-message: flopcast.proto.LinkCalibration\n\n";
  for (const LinkConstantRow& row : link_constants()) {
    const Fitted& constant = calibration.*row.field;
    out +=
        fmt::format("# {}{}{}\nconstant {{ name: \"{}\" value: {}\n  {} }}\n", row.meaning,
                    row.unit.empty() ? "" : ", ", row.unit, row.name, number(constant.value), origin(constant.source));
  }
  out += "\n# of the GPUs whose links were measured\n";
  for (const std::string& architecture : calibration.architectures)
    out += fmt::format("architecture: {}\n", text(architecture));
  if (!calibration.held_back.empty()) out += "\n# how the fit predicts rows of NCCL's tables that it did not see\n";
  for (const HeldBackError& error : calibration.held_back) out += held_back("held_back", error);
  return out;
}

LinkCalibration parse_link_calibration(const std::string& text, const std::string& file) {
  proto::LinkCalibration message;
  const Places places = parse(text, file, message);
  Diagnostics faults;
  LinkCalibration calibration;
  take_constants(link_constants(), message.constant(), "constant", "constant", "hwmodels/fabric/link_calibration.h",
                 places, faults, [&](const LinkConstantRow& row, const auto& c) {
                   calibration.*row.field = {c.value(), {c.source(), c.date(), c.confirmed()}};
                 });
  calibration.architectures.assign(message.architecture().begin(), message.architecture().end());
  for (const proto::HeldBack& error : message.held_back()) calibration.held_back.push_back(Reader::held_back(error));
  if (!faults.empty()) throw InputError(std::move(faults));
  return calibration;
}

LinkCalibration read_link_calibration(const std::string& file) {
  return parse_link_calibration(read_text_file(file), file);
}

namespace {

/// Overheads by name. `field` is where they stand in the message.
template <class Constants>
TrainingOverheads overheads_of(const Constants& constants, const std::string& field,
                               std::map<std::string, Source>& sources, const Places& places, Diagnostics& faults) {
  TrainingOverheads out;
  take_constants(overhead_rows(), constants, field, "overhead", "workloads/training/training_overheads.cc", places,
                 faults, [&](const OverheadRow& row, const auto& c) {
                   row.set(out, c.value());
                   if (c.has_source()) sources[std::string(row.name)] = {c.source(), c.date(), c.confirmed()};
                 });
  return out;
}

}  // namespace

std::string to_text(const TrainingCalibration& calibration) {
  std::string out =
      "# Written by `flopcast calibrate`: change the fit, not the numbers. Meaning: workloads/training/training.h, "
      "TrainingOverheads.\n"
      "# proto-message: flopcast.proto.TrainingCalibration\n\n";
  for (const OverheadRow& row : overhead_rows()) {
    out += fmt::format("# {}{}{}\nconstant {{ name: \"{}\" value: {}\n  {} }}\n", row.meaning,
                       row.unit.empty() ? "" : ", ", row.unit, row.name, number(row.get(calibration.overheads)),
                       origin(calibration.sources.at(std::string(row.name))));
  }
  if (!calibration.left_out.empty()) out += "\n# Fitted without the runs of one model; for `flopcast validate` only.\n";
  for (const TrainingCalibration::LeftOut& fit : calibration.left_out) {
    out += fmt::format("without {{\n  model: {}\n", text(fit.model));
    for (const OverheadRow& row : overhead_rows()) {
      out += fmt::format("  constant {{ name: \"{}\" value: {} }}\n", row.name, number(row.get(fit.overheads)));
    }
    out += "}\n";
  }
  return out;
}

TrainingCalibration parse_training_calibration(const std::string& text, const std::string& file) {
  proto::TrainingCalibration message;
  const Places places = parse(text, file, message);
  Diagnostics faults;
  TrainingCalibration calibration;
  calibration.overheads = overheads_of(message.constant(), "constant", calibration.sources, places, faults);
  for (int i = 0; i < message.without_size(); ++i) {
    std::map<std::string, Source> unused;
    const auto& without = message.without(i);
    calibration.left_out.push_back(
        {without.model(),
         overheads_of(without.constant(), fmt::format("without[{}].constant", i), unused, places, faults)});
  }
  if (!faults.empty()) throw InputError(std::move(faults));
  return calibration;
}

TrainingCalibration read_training_calibration(const std::string& file) {
  return parse_training_calibration(read_text_file(file), file);
}

}  // namespace flopcast
