#include "sim/base/module_file.h"

#include <system_error>

#include "sim/base/own_file.h"

namespace flopcast {

std::filesystem::path module_file(const std::string& name) {
  namespace fs = std::filesystem;
  const fs::path own = own_file().parent_path();
  for (const fs::path& folder :
       {own, own.parent_path(), own / "flopcast", own.parent_path() / FLOPCAST_LIBDIR / "flopcast"}) {
    std::error_code error;
    if (fs::exists(folder / name, error)) return folder / name;
  }
  return {};
}

}  // namespace flopcast
