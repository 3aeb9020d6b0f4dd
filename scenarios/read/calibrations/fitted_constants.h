// Lists of fitted numbers in calibration files, each with its name, value and source:
//   constant { name: "..." value: 1.5 source: "..." date: "..." }
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// Constants of a file by name: every row of a table must be there, and nothing else.
/// @param field where they stand in the message. @param noun "constant", "overhead". @param table file of the rows.
/// @param take called with a row and its constant.
template <class Rows, class Constants, class Take>
void take_constants(const Rows& rows, const Constants& constants, const std::string& field, const std::string& noun,
                    const std::string& table, const Places& places, Diagnostics& faults, Take take) {
  std::vector<std::string> names;
  for (const auto& row : rows) {
    names.emplace_back(row.name);
    const auto found =
        std::find_if(constants.begin(), constants.end(), [&](const auto& c) { return c.name() == row.name; });
    if (found == constants.end())
      faults.push_back(
          places.fault(field, fmt::format("no `{}`", row.name), fmt::format("every {} of {}", noun, table)));
    else
      take(row, *found);
  }
  const char* article = noun.starts_with('o') ? "an" : "a";
  for (int i = 0; i < constants.size(); ++i) {
    const std::string& name = constants[i].name();
    if (std::find(names.begin(), names.end(), name) == names.end())
      faults.push_back(places.fault(fmt::format("{}[{}].name", field, i), quoted(name),
                                    fmt::format("{} {} of {}", article, noun, table), nearest_name(name, names)));
  }
}

}  // namespace flopcast
