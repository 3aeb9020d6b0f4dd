// What nearly every test reads of others' headers, read once (tests/CMakeLists.txt). Tests name what they use all the
// same: with other compilers, and in the dev preset, nothing is read beforehand.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/message.h>

#include "tests/catch.h"
