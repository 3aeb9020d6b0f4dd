// One description per struct. A configuration struct lists its members once, beside them:
//
//   struct BatchConfig {
//     std::int64_t sequences = 1;
//     int micro_batch_sequences = 1;
//     template <class Visitor>
//     static constexpr void describe(Visitor& field) {
//       field("sequences", &BatchConfig::sequences, {"batch"});
//       field("micro_batch_sequences", &BatchConfig::micro_batch_sequences, {"batch"});
//     }
//   };
//
// From it follow equality, the loader (scenarios/read/fields/load_fields.h), the causes of a comparison and
// fingerprints. Unit, default, bounds and meaning of a field stand in the schema (scenarios/proto/), under the same
// name. A struct that forgets one of its members does not compile where it is walked over.
#pragma once
#include <optional>
#include <string_view>
#include <type_traits>
#include <variant>

namespace flopcast {

/// The group of what says something to people and changes nothing: titles, sources.
inline constexpr std::string_view kLabel = "label";

/// What is said of a field beside its name.
struct FieldTraits {
  std::string_view cause = {};  ///< group of causes that a comparison files it under; a struct's fields have their own
  std::string_view shown = {};  ///< what people read instead of the name
  std::string_view on = {};     ///< of a bool: the word in files that stands for true
  std::string_view absent =
      {};                 ///< of an optional without a value, or a number whose 0 stands for it: what people read
  bool resolved = false;  ///< worked out from other fields or looked up, not read from the field of this name
};

template <class Struct, class Member>
struct FieldRow {
  std::string_view name;  ///< in files; empty: the fields of this struct stand where those of the struct round it do
  Member Struct::*member;
  FieldTraits traits;
  constexpr std::string_view shown() const { return traits.shown.empty() ? name : traits.shown; }
};

/// What describe() is called with.
template <class Body>
struct FieldVisitor {
  Body& body;
  template <class Struct, class Member>
  constexpr void operator()(std::string_view name, Member Struct::*member, FieldTraits traits = {}) {
    body(FieldRow<Struct, Member>{name, member, traits});
  }
  /// A member that is no field, because another says the same; `where` says which.
  template <class Struct, class Member>
  constexpr void aside(Member Struct::*member, std::string_view where) {
    if constexpr (requires { body.aside(member, where); }) body.aside(member, where);
  }
};

namespace detail {

struct CountMembers {
  int count = 0;
  constexpr void operator()(const auto&) { ++count; }
  constexpr void aside(const auto&, std::string_view) { ++count; }
};

// What a member may be initialised from, to find out how many an aggregate has. Those that take anything themselves
// would be initialised in two ways by the first.
struct AnyValue {
  template <class T>
  operator T() const;
};
struct AnyOptional {
  template <class T>
  operator std::optional<T>() const;
};
struct AnyVariant {
  template <class... T>
  operator std::variant<T...>() const;
};

}  // namespace detail

template <class T>
concept Described = requires(FieldVisitor<detail::CountMembers> field) {
  T::describe(field);
};

template <Described T>
constexpr int described_members() {
  detail::CountMembers counted;
  FieldVisitor<detail::CountMembers> field{counted};
  T::describe(field);
  return counted.count;
}

/// How many members an aggregate without arrays has.
template <class T, class... Sofar>
constexpr int member_count() {
  if constexpr (requires { T{Sofar{}..., detail::AnyValue{}}; })
    return member_count<T, Sofar..., detail::AnyValue>();
  else if constexpr (requires { T{Sofar{}..., detail::AnyOptional{}}; })
    return member_count<T, Sofar..., detail::AnyOptional>();
  else if constexpr (requires { T{Sofar{}..., detail::AnyVariant{}}; })
    return member_count<T, Sofar..., detail::AnyVariant>();
  else
    return sizeof...(Sofar);
}

template <Described T>
constexpr bool describes_every_member() {
  return described_members<T>() == member_count<T>();
}

/// Calls `body` with the FieldRow of each member, in the order of the description.
template <Described T, class Body>
constexpr void for_each_field(Body&& body) {
  static_assert(describes_every_member<T>(), "a member that describe() does not name");
  FieldVisitor<std::remove_reference_t<Body>> field{body};
  T::describe(field);
}

/// All fields alike; shared parts by what they hold.
template <Described T>
constexpr bool operator==(const T& a, const T& b) {
  bool same = true;
  for_each_field<T>([&](const auto& field) {
    const auto &x = a.*field.member, &y = b.*field.member;
    if constexpr (requires { requires Described<typename std::remove_cvref_t<decltype(x)>::element_type>; })
      same = same && (x && y ? *x == *y : !x && !y);
    else
      same = same && x == y;
  });
  return same;
}

}  // namespace flopcast
