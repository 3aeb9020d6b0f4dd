// Where the source tree and the program under test are. Functions of one unit: a tree in another folder then
// recompiles that unit alone.
#pragma once
#include <string>

namespace flopcast::testing {

std::string source_dir();
std::string program();  ///< the command line's executable

}  // namespace flopcast::testing
