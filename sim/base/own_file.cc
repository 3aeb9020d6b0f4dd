#include "sim/base/own_file.h"

#include <dlfcn.h>
#include <link.h>

#include <system_error>

namespace flopcast {

std::filesystem::path own_file() {
  Dl_info info;
  link_map* map = nullptr;
  const bool known =
      ::dladdr1(reinterpret_cast<const void*>(&own_file), &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) != 0;
  // Of the program itself the loader gives no name.
  const bool library = known && map != nullptr && map->l_name != nullptr && *map->l_name != '\0';
  std::error_code error;
  const std::filesystem::path path = std::filesystem::canonical(library ? map->l_name : "/proc/self/exe", error);
  return error ? std::filesystem::path() : path;
}

}  // namespace flopcast
