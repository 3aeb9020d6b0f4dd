// What export rules look at in a chip: a few figures, derived from its data sheet. Some may be unknown.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hwmodels/chips/gpu.h"
#include "scenarios/read/libraries/libraries.h"
#include "sim/base/units.h"

namespace flopcast {

struct ChipFigures {
  std::string name;  ///< in the library, or of the user's file
  std::string title;
  std::string vendor;
  std::string launch_date;  ///< empty: unknown, or never launched
  /// Total processing performance (3A090, technical note 2): bits x dense TOPS, the largest over number
  /// formats.
  std::optional<double> tpp;
  std::string tpp_format;              ///< that sets it: "fp8"
  std::optional<double> die_area_mm2;  ///< of all compute dies
  std::optional<double> density;       ///< performance density: TPP over die area
  std::optional<BytesPerSecond> io;    ///< everything but memory, both directions together
  std::optional<BytesPerSecond> memory_bandwidth;
  std::optional<double> memory_density;  ///< GB/s per mm2 of memory stacks
  std::optional<double> transistors;
  bool datacenter_marketed = true;
  bool hbm = false;
  std::vector<std::string> unconfirmed;  ///< fields behind these figures that sources contest
  std::vector<std::string> notes;        ///< how figures came about that nobody stated

  std::optional<BytesPerSecond> memory_plus_io() const {
    if (!memory_bandwidth || !io) return std::nullopt;
    return *memory_bandwidth + *io;
  }
};

/// A chip of the library (also by its name in capitals, with underscores or by an alias: "H100_SXM"), a
/// memory stack of the library ("hbm3"), or the file of a chip of the user's own.
/// @throws InputError with the nearest name, or with everything wrong in the file.
ChipFigures load_chip(const Libraries& libraries, const std::string& name_or_file);

/// The same with some fields of its file set: "hbm_bandwidth=2 TB/s", "scale[0].field=bf16_peak".
/// @throws InputError as above; memory stacks have no fields to set.
ChipFigures load_chip(const Libraries& libraries, const std::string& name_or_file, std::span<const std::string> sets);

/// Every chip of the library, by name.
std::vector<ChipFigures> all_chips(const Libraries& libraries);

}  // namespace flopcast
