#include "scenarios/resolve/fingerprint.h"

#include <bit>
#include <map>
#include <string_view>

#include <fmt/format.h>

#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/fnv.h"

namespace flopcast {
namespace {

/// FNV-1a. Texts and lists go in with their length, so that "ab", "c" is not "a", "bc".
class Hash {
 public:
  void add(std::uint64_t number) {
    for (int byte = 0; byte < 8; ++byte) value_ = fnv1a(value_, static_cast<unsigned char>(number >> (8 * byte)));
  }
  void add(std::string_view text) {
    add(text.size());
    value_ = fnv1a(text, value_);
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = kFnvStart;
};

template <class T>
void add(Hash& hash, const T& value);

template <class First, class Second>
void add(Hash& hash, const std::pair<const First, Second>& item) {
  add(hash, item.first);
  add(hash, item.second);
}

template <class T>
void add(Hash& hash, const T& value) {
  if constexpr (Described<T>) {
    for_each_field<T>([&](const auto& row) {
      if (row.traits.cause == kLabel) return;
      hash.add(row.name);
      add(hash, value.*row.member);
    });
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    hash.add(std::string_view(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    hash.add(std::bit_cast<std::uint64_t>(static_cast<double>(value) + 0.0));  // -0 is 0
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    hash.add(static_cast<std::uint64_t>(value));
  } else if constexpr (std::is_same_v<T, Date>) {
    hash.add(to_string(value));
  } else if constexpr (requires { rows_of(value); }) {
    hash.add(value->name);
  } else if constexpr (requires { value.begin(); }) {
    hash.add(value.size());
    for (const auto& item : value) add(hash, item);
  } else if constexpr (requires { *value; }) {  // optional, shared
    hash.add(static_cast<std::uint64_t>(static_cast<bool>(value)));
    if (value) add(hash, *value);
  } else {
    add(hash, value.value());  // quantities
  }
}

}  // namespace

std::uint64_t fingerprint(const Scenario& scenario) {
  Hash hash;
  add(hash, scenario);
  return hash.value();
}

std::string fingerprint_text(const Scenario& scenario) { return fmt::format("{:016x}", fingerprint(scenario)); }

}  // namespace flopcast
