// Where the modules lie that are loaded when they are first needed: SimGrid's and MPI's.
#pragma once
#include <filesystem>
#include <string>

namespace flopcast {

/// The module beside this program or library (of the tests: one folder up), or where an installed one has it: in
/// lib/flopcast, seen from bin or lib, whatever prefix that is part of. Empty: in none of them.
std::filesystem::path module_file(const std::string& name);

}  // namespace flopcast
