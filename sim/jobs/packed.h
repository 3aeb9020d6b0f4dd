// Values as bytes, for processes that this one is a copy of: numbers, enumerations, typed quantities, texts, optionals,
// vectors, arrays, variants, and structs that describe their fields (sim/base/fields.h).
#pragma once
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "flopcast/errors.h"
#include "sim/base/fields.h"
#include "sim/base/units.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace detail {

template <class T>
struct IsQuantity : std::false_type {};
template <int T, int D, int W, int E, int M>
struct IsQuantity<Quantity<T, D, W, E, M>> : std::true_type {};

template <class T>
struct IsList : std::false_type {};
template <class T>
struct IsList<std::vector<T>> : std::true_type {};

template <class T>
struct IsArray : std::false_type {};
template <class T, std::size_t N>
struct IsArray<std::array<T, N>> : std::true_type {};

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
struct IsVariant : std::false_type {};
template <class... T>
struct IsVariant<std::variant<T...>> : std::true_type {};

/// The fields of a diagnostic, which belongs to the public face and describes nothing.
template <class D, class Body>
void for_each_text(D& d, Body body) {
  static_assert(member_count<Diagnostic>() == 9, "a member that is not named here");
  body(d.file), body(d.line), body(d.column), body(d.field), body(d.found), body(d.expected), body(d.suggestion),
      body(d.remedy), body(d.beyond_memory);
}

class Packer {
 public:
  template <class T>
  void put(const T& value) {
    if constexpr (IsQuantity<T>::value) {
      put(value.value());
    } else if constexpr (std::is_enum_v<T>) {
      assert(static_cast<std::uint64_t>(value) < 256);
      put(static_cast<unsigned char>(value));
    } else if constexpr (std::is_arithmetic_v<T>) {
      bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      put(static_cast<std::uint64_t>(value.size()));
      bytes_ += value;
    } else if constexpr (IsOptional<T>::value) {
      put(value.has_value());
      if (value) put(*value);
    } else if constexpr (IsList<T>::value) {
      put(static_cast<std::uint64_t>(value.size()));
      for (const auto& one : value) put(one);
    } else if constexpr (IsArray<T>::value) {
      for (const auto& one : value) put(one);
    } else if constexpr (IsVariant<T>::value) {
      put(static_cast<unsigned char>(value.index()));
      std::visit([this](const auto& one) { put(one); }, value);
    } else if constexpr (std::is_same_v<T, Diagnostic>) {
      for_each_text(value, [this](const auto& one) { put(one); });
    } else if constexpr (!std::is_same_v<T, std::monostate>) {
      for_each_field<T>([&](const auto& field) { put(value.*field.member); });
    }
  }
  std::string bytes() && { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }

  template <class T>
  void take(T& value) {
    if constexpr (IsQuantity<T>::value) {
      value = T(taken<double>());
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(taken<unsigned char>());
    } else if constexpr (std::is_arithmetic_v<T>) {
      std::memcpy(&value, piece(sizeof value).data(), sizeof value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = piece(taken<std::uint64_t>());
    } else if constexpr (IsOptional<T>::value) {
      if (taken<bool>()) take(value.emplace());
    } else if constexpr (IsList<T>::value) {
      for (auto left = taken<std::uint64_t>(); left > 0; --left) take(value.emplace_back());
    } else if constexpr (IsArray<T>::value) {
      for (auto& one : value) take(one);
    } else if constexpr (IsVariant<T>::value) {
      take_alternative(value, taken<unsigned char>());
    } else if constexpr (std::is_same_v<T, Diagnostic>) {
      for_each_text(value, [this](auto& one) { take(one); });
    } else if constexpr (!std::is_same_v<T, std::monostate>) {
      for_each_field<T>([&](const auto& field) { take(value.*field.member); });
    }
  }

 private:
  template <class T>
  T taken() {
    T value{};
    take(value);
    return value;
  }
  template <std::size_t I = 0, class... T>
  void take_alternative(std::variant<T...>& value, std::size_t index) {
    if constexpr (I < sizeof...(T)) {
      if (index == I) return take(value.template emplace<I>());
      take_alternative<I + 1>(value, index);
    } else {
      throw std::runtime_error("a result of another kind");
    }
  }
  std::string_view piece(std::uint64_t size) {
    if (size > rest_.size()) throw std::runtime_error("a result that was cut short");
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  std::string_view rest_;
};

}  // namespace detail

template <class T>
std::string packed(const T& value) {
  detail::Packer packer;
  packer.put(value);
  return std::move(packer).bytes();
}

/// @throws std::runtime_error when the bytes are not those of such a value.
template <class T>
T unpacked(std::string_view bytes) {
  T value{};
  detail::Unpacker unpacker(bytes);
  unpacker.take(value);
  if (!unpacker.done()) throw std::runtime_error("a result that goes on");
  return value;
}

/// parallel_map() (sim/jobs/process.h) of jobs that return values: `parallel_map<double>(jobs, workers, job)`.
template <class T, class Job>
std::vector<T> parallel_map(std::size_t jobs, int workers, const Job& job) {
  const std::function<std::string(std::size_t)> bytes_of = [&job](std::size_t i) { return packed<T>(job(i)); };
  std::vector<T> out;
  out.reserve(jobs);
  for (const std::string& bytes : parallel_map(jobs, workers, bytes_of)) out.push_back(unpacked<T>(bytes));
  return out;
}

}  // namespace flopcast
