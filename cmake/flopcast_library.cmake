# What holds for code of our own and not for generated code.
function(flopcast_warnings target)
  # Designated initialisers leave a member at its default on purpose, so that warning says nothing here.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
    -Wno-missing-field-initializers $<$<BOOL:${FLOPCAST_WERROR}>:-Werror>)
  # GCC 12 sees an overlap in "text" + std::string() that is not there (GCC bug 105651, mended in 13).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  if(FLOPCAST_ASSERTIONS)
    target_compile_options(${target} PRIVATE -UNDEBUG)
  endif()
  if(FLOPCAST_TIDY)
    set_target_properties(${target} PROPERTIES CXX_CLANG_TIDY clang-tidy)
  endif()
endfunction()

# One static library per folder, made of every .cc in it (tests and benchmarks live in tests/) but those whose path has EXCLUDE.
function(flopcast_library name)
  cmake_parse_arguments(ARG "" "EXCLUDE" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/cli/")
  if(ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${ARG_EXCLUDE}")
  endif()
  add_library(flopcast_${name} STATIC ${sources})
  target_include_directories(flopcast_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(flopcast_${name} PUBLIC ${ARG_LINK})
  flopcast_warnings(flopcast_${name})
endfunction()
