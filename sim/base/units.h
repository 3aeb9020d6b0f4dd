// Typed quantities. A bare double never crosses a function boundary: 400 GB/s and 400 Gb/s, a time and a
// bandwidth cannot be mixed up. Values are held in SI base units (s, B, FLOP, J, USD).
#pragma once
#include <cmath>
#include <compare>

namespace flopcast {

/// A physical quantity with integer exponents of time, data, work, energy and money.
template <int TimeExp, int DataExp, int WorkExp, int EnergyExp, int MoneyExp>
class Quantity {
 public:
  constexpr Quantity() = default;
  /// `value` in SI base units (seconds, bytes, FLOP, joules, US dollars and their products).
  constexpr explicit Quantity(double value) : value_(value) {}
  constexpr double value() const { return value_; }

  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity operator-() const { return Quantity(-value_); }
  constexpr Quantity& operator+=(Quantity o) {
    value_ += o.value_;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity o) {
    value_ -= o.value_;
    return *this;
  }
  constexpr Quantity& operator*=(double f) {
    value_ *= f;
    return *this;
  }
  constexpr Quantity& operator/=(double f) {
    value_ /= f;
    return *this;
  }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.value_ + b.value_); }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return Quantity(a.value_ - b.value_); }
  friend constexpr Quantity operator*(Quantity a, double f) { return Quantity(a.value_ * f); }
  friend constexpr Quantity operator*(double f, Quantity a) { return Quantity(a.value_ * f); }
  friend constexpr Quantity operator/(Quantity a, double f) { return Quantity(a.value_ / f); }

 private:
  double value_ = 0.0;
};

namespace detail {
template <int T, int B, int F, int J, int U>
struct QuantityOrNumber {
  using type = Quantity<T, B, F, J, U>;
};
template <>
struct QuantityOrNumber<0, 0, 0, 0, 0> {
  using type = double;
};  // a pure ratio is a number
template <int T, int B, int F, int J, int U>
using QuantityOrNumberT = typename QuantityOrNumber<T, B, F, J, U>::type;
}  // namespace detail

template <int T, int B, int F, int J, int U, int T2, int B2, int F2, int J2, int U2>
constexpr auto operator*(Quantity<T, B, F, J, U> a, Quantity<T2, B2, F2, J2, U2> b) {
  return detail::QuantityOrNumberT<T + T2, B + B2, F + F2, J + J2, U + U2>(a.value() * b.value());
}
template <int T, int B, int F, int J, int U, int T2, int B2, int F2, int J2, int U2>
constexpr auto operator/(Quantity<T, B, F, J, U> a, Quantity<T2, B2, F2, J2, U2> b) {
  return detail::QuantityOrNumberT<T - T2, B - B2, F - F2, J - J2, U - U2>(a.value() / b.value());
}
template <int T, int B, int F, int J, int U>
constexpr auto operator/(double a, Quantity<T, B, F, J, U> b) {
  return detail::QuantityOrNumberT<-T, -B, -F, -J, -U>(a / b.value());
}

template <int T, int B, int F, int J, int U>
inline bool is_finite(Quantity<T, B, F, J, U> q) {
  return std::isfinite(q.value());
}

using Seconds = Quantity<1, 0, 0, 0, 0>;
using Bytes = Quantity<0, 1, 0, 0, 0>;
using Flop = Quantity<0, 0, 1, 0, 0>;
using Joules = Quantity<0, 0, 0, 1, 0>;
using Usd = Quantity<0, 0, 0, 0, 1>;
using Hertz = Quantity<-1, 0, 0, 0, 0>;
using BytesPerSecond = Quantity<-1, 1, 0, 0, 0>;
using FlopPerSecond = Quantity<-1, 0, 1, 0, 0>;
using Watts = Quantity<-1, 0, 0, 1, 0>;
using UsdPerSecond = Quantity<-1, 0, 0, 0, 1>;
using UsdPerJoule = Quantity<0, 0, 0, -1, 1>;

constexpr Seconds hours(double h) { return Seconds(h * 3600.0); }
constexpr double in_hours(Seconds s) { return s.value() / 3600.0; }
constexpr double in_days(Seconds s) { return s.value() / 86400.0; }
constexpr UsdPerSecond usd_per_hour(double usd) { return UsdPerSecond(usd / 3600.0); }

inline namespace literals {
constexpr Seconds operator""_s(long double v) { return Seconds(static_cast<double>(v)); }
constexpr Seconds operator""_s(unsigned long long v) { return Seconds(static_cast<double>(v)); }
constexpr Seconds operator""_ms(long double v) { return Seconds(static_cast<double>(v) * 1e-3); }
constexpr Seconds operator""_ms(unsigned long long v) { return Seconds(static_cast<double>(v) * 1e-3); }
constexpr Seconds operator""_us(long double v) { return Seconds(static_cast<double>(v) * 1e-6); }
constexpr Seconds operator""_us(unsigned long long v) { return Seconds(static_cast<double>(v) * 1e-6); }
constexpr Bytes operator""_B(unsigned long long v) { return Bytes(static_cast<double>(v)); }
constexpr Bytes operator""_MB(unsigned long long v) { return Bytes(static_cast<double>(v) * 1e6); }
constexpr Bytes operator""_GB(unsigned long long v) { return Bytes(static_cast<double>(v) * 1e9); }
constexpr Bytes operator""_MiB(unsigned long long v) { return Bytes(static_cast<double>(v) * 1048576.0); }
constexpr Bytes operator""_GiB(unsigned long long v) { return Bytes(static_cast<double>(v) * 1073741824.0); }
constexpr BytesPerSecond operator""_GBps(long double v) { return BytesPerSecond(static_cast<double>(v) * 1e9); }
constexpr BytesPerSecond operator""_GBps(unsigned long long v) { return BytesPerSecond(static_cast<double>(v) * 1e9); }
constexpr FlopPerSecond operator""_TFLOPS(long double v) { return FlopPerSecond(static_cast<double>(v) * 1e12); }
constexpr FlopPerSecond operator""_TFLOPS(unsigned long long v) { return FlopPerSecond(static_cast<double>(v) * 1e12); }
}  // namespace literals

}  // namespace flopcast
