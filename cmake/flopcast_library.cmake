# What holds for code of our own and not for generated code.
function(flopcast_warnings target)
  # Designated initialisers leave a member at its default on purpose, so that warning says nothing here.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
    -Wno-missing-field-initializers $<$<BOOL:${FLOPCAST_WERROR}>:-Werror>)
  # GCC 12 sees overlaps and overflows in "text" + std::string() that are not there (GCC bug 105651, mended in 13).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow)
  endif()
  if(FLOPCAST_ASSERTIONS)
    target_compile_options(${target} PRIVATE -UNDEBUG)
  endif()
  if(FLOPCAST_TIDY)
    set_target_properties(${target} PROPERTIES CXX_CLANG_TIDY clang-tidy)
  endif()
endfunction()

# The headers that nearly every unit includes are parsed once. They hide no missing include for long: the tidy preset
# builds without them.
option(FLOPCAST_PRECOMPILED_HEADERS "Parse common headers once" ON)
set(flopcast_common_headers <algorithm> <array> <cmath> <cstdint> <functional> <map> <memory> <optional>
  <span> <string> <string_view> <utility> <vector> <fmt/format.h>)

# One static library per folder, made of every .cc in it (tests and benchmarks live in tests/) but those whose path has EXCLUDE.
function(flopcast_library name)
  cmake_parse_arguments(ARG "" "EXCLUDE" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/cli/")
  if(ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${ARG_EXCLUDE}")
  endif()
  add_library(flopcast_${name} STATIC ${sources})
  target_include_directories(flopcast_${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(flopcast_${name} PUBLIC ${ARG_LINK})
  flopcast_warnings(flopcast_${name})
  if(FLOPCAST_PRECOMPILED_HEADERS)
    if(TARGET flopcast_sim AND NOT name STREQUAL "sim")
      target_precompile_headers(flopcast_${name} REUSE_FROM flopcast_sim)
    else()
      target_precompile_headers(flopcast_${name} PRIVATE ${flopcast_common_headers})
    endif()
  endif()
endfunction()
