// Quantities as people write them: "400 GB/s", "64 MiB", "14.8T", "2 USD/h". The unit is mandatory, bits and
// bytes are kept apart, and the rate of a link says whether it counts one direction or both.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "sim/base/units.h"

namespace flopcast {

enum class Dimension {
  count,         ///< pure number: "14.8T", "469B" (10^9), "3072"
  data,          ///< B
  data_rate,     ///< B/s; bits are converted
  link_rate,     ///< B/s per direction; "both directions" is halved
  compute_rate,  ///< FLOP/s
  frequency,     ///< Hz
  time,          ///< s
  power,         ///< W
  money,         ///< USD
  money_rate,    ///< USD/s
  area,          ///< m^2
  failure_rate,  ///< 1/s, of one GPU
};

/// Why a text is no quantity of the wanted dimension, in the words of a Diagnostic.
struct QuantityFault {
  std::string found;
  std::string expected;
  std::string suggestion;
  std::string remedy = {};
};

/// The value in SI base units (s, B, FLOP, W, USD and their products), or what is wrong with the text.
std::variant<double, QuantityFault> parse_quantity(std::string_view text, Dimension dimension);

/// The value of a text already known to be sound. Asserts that it is.
double quantity(std::string_view text, Dimension dimension);

/// The same of a time.
inline Seconds seconds(std::string_view text) { return Seconds(quantity(text, Dimension::time)); }

/// A value in SI base units as such a text, in the shortest form that reads back as the same value.
std::string quantity_text(double value, Dimension dimension);

/// What the dimension is called and an example of it: `a data rate such as "3.35 TB/s"`.
std::string describe(Dimension dimension);

}  // namespace flopcast
