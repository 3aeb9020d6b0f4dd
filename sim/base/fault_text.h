// One line of what is wrong, where there is no room for more: in a table, a note, a list of what was left out.
#pragma once
#include <string>

#include "flopcast/errors.h"

namespace flopcast {

/// "field: found X, expected Y", without its place; parts that are empty are left out.
std::string brief(const Diagnostic& diagnostic);

/// The first of several. @pre there is one: an InputError never comes without. @{
std::string brief(const InputError& error);
/// With its place, as to_string() has it.
std::string first_of(const InputError& error);
/// @}

}  // namespace flopcast
