// Where this code lies on disk: the data and the modules that come with it are looked for from there.
#pragma once
#include <filesystem>

namespace flopcast {

/// The shared library or the program that this function is part of, absolute, links followed. Empty when the system
/// does not say.
std::filesystem::path own_file();

}  // namespace flopcast
