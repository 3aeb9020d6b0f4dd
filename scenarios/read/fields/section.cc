#include "scenarios/read/fields/section.h"

#include <algorithm>

namespace flopcast {

bool is_sound(const Diagnostics& faults, std::string path) {
  if (path.ends_with('.')) path.pop_back();
  const std::string bare = without_indices(path);
  return std::none_of(faults.begin(), faults.end(), [&](const Diagnostic& d) {
    return d.field == path || d.field.starts_with(path + ".") || d.field.starts_with(path + "[") || d.field == bare ||
           (d.field.find('[') == std::string::npos && d.field.starts_with(bare + "."));
  });
}

}  // namespace flopcast
