// One include for both Catch2 generations: 2.13 (Debian 12) and 3.x (Debian 13, Ubuntu 24.04).
#pragma once
#ifdef FLOPCAST_CATCH2_V3
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
namespace Catch::Matchers {
inline auto ContainsSubstring(const std::string& text) { return Contains(text); }
}  // namespace Catch::Matchers
#endif
