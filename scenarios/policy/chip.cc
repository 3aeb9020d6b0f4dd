#include "scenarios/policy/chip.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

#include "scenarios/proto/policy.pb.h"
#include "scenarios/read/fields/set_field.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/read/text/path_or_name.h"
#include "scenarios/read/text/quantity.h"

namespace flopcast {
namespace {

constexpr const char* kStackFile = "hwmodels/data/memory_stacks.textproto";

/// A number format that counts towards TPP.
struct Format {
  const char* name;
  int bits;
  const char* field;
};
// TF32 multiplies numbers of 19 bits (1 sign, 8 exponent, 10 mantissa), whatever they are stored in.
constexpr std::array<Format, 8> kFormats{{{"bf16", 16, "bf16_peak"},
                                          {"fp8", 8, "fp8_peak"},
                                          {"int8", 8, "int8_peak"},
                                          {"fp4", 4, "fp4_peak"},
                                          {"fp6", 6, "fp6_peak"},
                                          {"tf32", 19, "tf32_peak"},
                                          {"fp64", 64, "fp64_peak"},
                                          {"fp32", 32, "fp32_peak"}}};

std::string stated(const proto::Gpu& gpu, const char* field) {
  const auto* f = proto::Gpu::descriptor()->FindFieldByName(field);
  return gpu.GetReflection()->HasField(gpu, f) ? gpu.GetReflection()->GetString(gpu, f) : "";
}

void set_tpp(const proto::Gpu& gpu, ChipFigures& chip) {
  double tpp = 0;
  for (const Format& format : kFormats) {
    const std::string rate = stated(gpu, format.field);
    // Vector units are no reason to call a chip without matrix units known.
    if (rate.empty() || (tpp == 0 && format.bits > 16)) continue;
    const double of_format = quantity(rate, Dimension::compute_rate) / 1e12 * format.bits;
    if (of_format <= tpp) continue;
    tpp = of_format;
    chip.tpp_format = format.name;
  }
  if (tpp > 0) {
    chip.tpp = tpp;
  } else if (gpu.has_tpp()) {
    chip.tpp = gpu.tpp();
    chip.tpp_format = "as published";
  }
}

bool is_unknown(const proto::Gpu& gpu, const std::string& field) {
  return std::find(gpu.unknown().begin(), gpu.unknown().end(), field) != gpu.unknown().end();
}

void set_io(const proto::Gpu& gpu, ChipFigures& chip) {
  const bool silent = !gpu.has_nvlink_bandwidth() && !gpu.has_pcie_bandwidth();
  if (silent || is_unknown(gpu, "nvlink_bandwidth")) return;
  double both_directions = 0;
  for (const char* field : {"nvlink_bandwidth", "pcie_bandwidth"}) {
    if (const std::string rate = stated(gpu, field); !rate.empty())
      both_directions += 2 * quantity(rate, Dimension::link_rate);
  }
  chip.io = BytesPerSecond(both_directions);
  if (is_unknown(gpu, "pcie_bandwidth")) chip.notes.emplace_back("its host link is not published and not counted");
}

void set_memory(const proto::Gpu& gpu, ChipFigures& chip) {
  if (gpu.has_hbm_bandwidth())
    chip.memory_bandwidth = BytesPerSecond(quantity(gpu.hbm_bandwidth(), Dimension::data_rate));
  chip.hbm = gpu.memory_type().starts_with("HBM");
  if (chip.memory_bandwidth && gpu.has_memory_area()) {
    const double mm2 = quantity(gpu.memory_area(), Dimension::area) * 1e6;
    chip.memory_density = chip.memory_bandwidth->value() / 1e9 / mm2;
  }
}

ChipFigures figures_of(const Entry<proto::Gpu>& entry) {
  const proto::Gpu& gpu = entry.message;
  ChipFigures chip;
  chip.name = entry.name;
  chip.title = gpu.has_title() ? gpu.title() : entry.name;
  chip.vendor = gpu.vendor();
  chip.launch_date = gpu.launch_date();
  set_tpp(gpu, chip);
  if (gpu.has_die_area()) chip.die_area_mm2 = quantity(gpu.die_area(), Dimension::area) * 1e6;
  if (chip.tpp && chip.die_area_mm2) chip.density = *chip.tpp / *chip.die_area_mm2;
  set_io(gpu, chip);
  set_memory(gpu, chip);
  if (gpu.has_transistors()) chip.transistors = quantity(gpu.transistors(), Dimension::count);
  chip.datacenter_marketed = !gpu.has_datacenter_marketed() || gpu.datacenter_marketed();
  if (!gpu.has_datacenter_marketed()) chip.notes.emplace_back("taken to be marketed for data centres");
  for (const char* field : {"bf16_peak", "fp8_peak", "fp4_peak", "int8_peak", "die_area", "nvlink_bandwidth",
                            "pcie_bandwidth", "hbm_bandwidth", "datacenter_marketed"}) {
    const auto source = entry.sources.find(field);
    if (source != entry.sources.end() && !source->second.confirmed) chip.unconfirmed.emplace_back(field);
  }
  return chip;
}

/// "H100_SXM" and "h100-sxm" are one name.
std::string canonical(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (c != '-' && c != '_' && c != ' ') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

bool goes_by(const Libraries& libraries, const std::string& entry, const std::string& wanted) {
  if (canonical(entry) == wanted) return true;
  // Read alone: an alias of the base is not the variant's.
  proto::Gpu gpu;
  Places places;
  Diagnostics faults;
  const std::string path = libraries.find(LibraryKind::gpus, entry).value();
  parse_text(read_text_file(path), path, gpu, places, faults);
  return std::any_of(gpu.alias().begin(), gpu.alias().end(),
                     [&](const std::string& alias) { return canonical(alias) == wanted; });
}

std::vector<ChipFigures> memory_stacks(const Libraries& libraries) {
  std::vector<ChipFigures> out;
  const auto path = libraries.find_file(kStackFile);
  if (!path) return out;
  proto::MemoryStacks stacks;
  Places places;
  Diagnostics faults;
  parse_text(read_text_file(*path), *path, stacks, places, faults);
  check_fields(stacks, "", places, names_of(libraries), true, faults);
  if (!faults.empty()) throw InputError(faults);
  for (const proto::MemoryStack& stack : stacks.stack()) {
    ChipFigures figures;
    figures.name = stack.name();
    figures.title = stack.title();
    figures.hbm = true;
    figures.memory_bandwidth = BytesPerSecond(quantity(stack.bandwidth(), Dimension::data_rate));
    figures.memory_density = figures.memory_bandwidth->value() / 1e9 / (quantity(stack.area(), Dimension::area) * 1e6);
    for (const proto::Source& source : stack.sources()) {
      if (!source.confirmed()) figures.unconfirmed = {"bandwidth", "area"};
    }
    out.push_back(std::move(figures));
  }
  return out;
}

}  // namespace

namespace {

/// The library's entry that a name or alias means, or the file that it is; nothing when there is none.
std::optional<std::string> entry_of(const Libraries& libraries, const std::string& name_or_file) {
  if (looks_like_path(name_or_file)) return name_or_file;
  const auto names = libraries.names(LibraryKind::gpus);
  if (std::find(names.begin(), names.end(), name_or_file) != names.end()) return name_or_file;
  const std::string wanted = canonical(name_or_file);
  const auto alias =
      std::find_if(names.begin(), names.end(), [&](const auto& name) { return goes_by(libraries, name, wanted); });
  return alias == names.end() ? std::nullopt : std::optional(*alias);
}

[[noreturn]] void no_such_chip(const Libraries& libraries, const std::string& name) {
  throw InputError(Diagnostic{"", 0, 0, "", quoted(name),
                              "a chip (see `flopcast list gpus`), a memory stack such as hbm3, or the file of a chip",
                              nearest_name(name, libraries.names(LibraryKind::gpus))});
}

}  // namespace

ChipFigures load_chip(const Libraries& libraries, const std::string& name_or_file) {
  if (const auto entry = entry_of(libraries, name_or_file))
    return figures_of(load_entry<proto::Gpu>(libraries, *entry, Completeness::partial));
  for (ChipFigures& stack : memory_stacks(libraries)) {
    if (canonical(stack.name) == canonical(name_or_file)) return std::move(stack);
  }
  no_such_chip(libraries, name_or_file);
}

ChipFigures load_chip(const Libraries& libraries, const std::string& name_or_file, std::span<const std::string> sets) {
  if (sets.empty()) return load_chip(libraries, name_or_file);
  const auto name = entry_of(libraries, name_or_file);
  if (!name) no_such_chip(libraries, name_or_file);
  Entry<proto::Gpu> entry = load_entry<proto::Gpu>(libraries, *name, Completeness::partial);
  proto::Gpu own;
  Places places;
  Diagnostics faults;
  for (const std::string& set : sets) set_field(set, own, places, faults);
  check_fields(own, "", places, names_of(libraries), false, faults);
  if (!faults.empty()) throw InputError(faults);
  lay_over(entry, own, places, "");
  apply_scales(entry, own, places, "", faults);
  if (faults.empty()) check_overridden(entry, "", libraries, Completeness::partial, faults);
  if (!faults.empty()) throw InputError(faults);
  ChipFigures chip = figures_of(entry);
  chip.name += " changed";  // a rule that names the chip does not mean this one
  for (const std::string& set : sets) chip.notes.push_back("with " + set);
  return chip;
}

std::vector<ChipFigures> all_chips(const Libraries& libraries) {
  std::vector<ChipFigures> out;
  for (const std::string& name : libraries.names(LibraryKind::gpus))
    out.push_back(figures_of(load_entry<proto::Gpu>(libraries, name, Completeness::partial)));
  return out;
}

}  // namespace flopcast
