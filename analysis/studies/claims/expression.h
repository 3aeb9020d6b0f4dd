// Arithmetic in data files: "2788e3 * 2 / 1e6", "gpu(h800-sxm, memory_gb_s) / gpu(h100-sxm, memory_gb_s)".
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace flopcast {

/// Calls a function by its name; arguments are texts, stripped of space, or quoted 'so (or) so'.
using CallFunction = std::function<double(const std::string& name, const std::vector<std::string>& arguments)>;

/// Numbers, + - * /, parentheses, and calls NAME(ARGUMENT, ...). @throws InputError that says where it goes
/// wrong.
double evaluate(const std::string& expression, const CallFunction& call);

/// Reads it without computing anything; `look` sees every call. @throws InputError as above, and what `look` throws.
void read_expression(const std::string& expression,
                     const std::function<void(const std::string& name, std::size_t arguments)>& look);

}  // namespace flopcast
