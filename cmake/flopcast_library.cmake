# One static library per folder, made of every .cc in it (tests and benchmarks live in tests/).
function(flopcast_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
    $<$<BOOL:${FLOPCAST_WERROR}>:-Werror>)
  if(FLOPCAST_ASSERTIONS)
    target_compile_options(${target} PRIVATE -UNDEBUG)
  endif()
endfunction()

function(flopcast_library name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/cli/")
  add_library(flopcast_${name} STATIC ${sources})
  target_include_directories(flopcast_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(flopcast_${name} PUBLIC ${ARG_LINK})
  flopcast_warnings(flopcast_${name})
endfunction()
