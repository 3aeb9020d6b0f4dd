// From a checked message to the struct that describes the same fields (sim/base/fields.h), name by name: quantities
// from texts with units, enums from words, lists, optionals, structs within structs.
#pragma once
#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "scenarios/read/text/date.h"
#include "sim/base/fields.h"
#include "sim/base/units.h"

namespace google::protobuf {
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace flopcast {

/// One field of a message, or one entry of a list.
class FieldValue {
 public:
  /// The field of that name. @pre the schema has it.
  FieldValue(const google::protobuf::Message& message, std::string_view name);

  bool stated() const;  ///< it stands in the file
  int size() const;     ///< entries of a list
  FieldValue entry(int index) const;

  bool truth() const;
  std::int64_t whole() const;
  /// A number, or a quantity in SI base units; failure rates are per GPU-hour. Nothing where the text is none.
  std::optional<double> number() const;
  std::string text() const;
  const google::protobuf::Message& message() const;

 private:
  const google::protobuf::Message* message_;
  const google::protobuf::FieldDescriptor* field_;
  int index_ = -1;
};

template <Described T>
void load_fields(const google::protobuf::Message& in, T& out);

namespace detail {

template <class T>
constexpr bool kIsQuantity = false;
template <int T, int B, int F, int J, int U>
constexpr bool kIsQuantity<Quantity<T, B, F, J, U>> = true;
template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
constexpr bool kIsList = false;
template <class T>
constexpr bool kIsList<std::vector<T>> = true;

/// What the file states where that is sound; else `out` stays as it is.
template <class T>
void load_value(const FieldValue& in, T& out, const FieldTraits& traits) {
  if constexpr (Described<T>) {
    load_fields(in.message(), out);
  } else if constexpr (kIsOptional<T>) {
    out.reset();
    if (!in.stated()) return;
    typename T::value_type value{};
    load_value(in, value, traits);
    out = std::move(value);
  } else if constexpr (kIsList<T>) {
    out.resize(static_cast<std::size_t>(in.size()));
    for (int i = 0; i < in.size(); ++i) load_value(in.entry(i), out[static_cast<std::size_t>(i)], traits);
  } else if constexpr (std::is_same_v<T, bool>) {
    out = traits.on.empty() ? in.truth() : in.text() == traits.on;
  } else if constexpr (requires { enum_names(T{}); }) {
    constexpr auto kNames = enum_names(T{});
    const auto found = std::find(kNames.begin(), kNames.end(), in.text());
    if (found != kNames.end()) out = static_cast<T>(found - kNames.begin());
  } else if constexpr (std::is_integral_v<T>) {
    out = static_cast<T>(in.whole());
  } else if constexpr (std::is_same_v<T, double> || kIsQuantity<T>) {
    if (const auto number = in.number()) out = T(*number);
  } else if constexpr (std::is_same_v<T, Date>) {
    if (const auto day = parse_date(in.text())) out = *day;
  } else if constexpr (requires { rows_of(T{}); }) {
    // A row of one of the program's tables, by its name.
    for (const auto& row : rows_of(T{})) {
      if (row.name == in.text()) out = &row;
    }
  } else if constexpr (requires { out = in.text(); }) {
    out = in.text();
  } else {
    assert(false && "a field of a type that no file holds");
  }
}

}  // namespace detail

/// Fills in every field but those that are resolved otherwise. Faulty quantities and words leave their field as it is:
/// they have been found already (field_rules.h).
/// @pre the message's schema has a field of the name of each.
template <Described T>
void load_fields(const google::protobuf::Message& in, T& out) {
  for_each_field<T>([&](const auto& field) {
    if (field.traits.resolved) return;
    auto& member = out.*field.member;
    using Member = std::remove_cvref_t<decltype(member)>;
    if constexpr (Described<Member>) {
      if (field.name.empty()) return load_fields(in, member);
    }
    detail::load_value(FieldValue(in, field.name), member, field.traits);
  });
}

template <Described T>
T loaded(const google::protobuf::Message& in) {
  T out;
  load_fields(in, out);
  return out;
}

}  // namespace flopcast
