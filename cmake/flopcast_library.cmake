if(FLOPCAST_TIDY)
  find_program(CLANG_TIDY NAMES clang-tidy-14 clang-tidy REQUIRED)
endif()

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
    # clang-tidy reads the compiler's own command line, warnings that only GCC knows included.
    set_target_properties(${target} PROPERTIES CXX_CLANG_TIDY "${CLANG_TIDY};--extra-arg=-Wno-unknown-warning-option")
  endif()
endfunction()

# Most of what a compiler does for one of our files is to read headers and to instantiate templates that its neighbours
# need too: files of one room are compiled several at a time. Names in anonymous namespaces have to differ within a
# room; the dev preset, which compiles each file alone, finds includes that are missing.
option(FLOPCAST_UNITY "Compile the files of a room several at a time" ON)
# Files at a time: more would leave cores without work, and changing one file would take long. Of rooms that include the
# generated headers, whose reading takes as long as compiling what is in ten files, more; of tests fewer, which are changed
# one at a time. Whoever changes few files often turns FLOPCAST_UNITY off.
set(flopcast_unity_batch 12)
set(flopcast_unity_batch_of_readers 30)
set(flopcast_unity_batch_of_tests 8)

# Cuts the .cc files of a target below `base` into batches, rooms (folders of the first level) apart.
function(flopcast_unity target base)
  if(NOT FLOPCAST_UNITY)
    return()
  endif()
  set(rooms)
  foreach(file ${ARGN})
    cmake_path(RELATIVE_PATH file BASE_DIRECTORY ${base} OUTPUT_VARIABLE room)
    string(REGEX REPLACE "/.*|[^/]*\\.cc$" "" room ${room})
    list(APPEND rooms "room_${room}")
    list(APPEND "room_${room}" ${file})
  endforeach()
  list(REMOVE_DUPLICATES rooms)
  foreach(room ${rooms})
    # As many batches as are needed, of equal size.
    list(LENGTH ${room} files)
    set(most ${flopcast_unity_batch})
    if(base MATCHES "/(scenarios|analysis)$")
      set(most ${flopcast_unity_batch_of_readers})
    endif()
    if(base MATCHES "/tests/")
      set(most ${flopcast_unity_batch_of_tests})
    endif()
    math(EXPR batches "(${files} + ${most} - 1) / ${most}")
    set(index 0)
    foreach(file ${${room}})
      math(EXPR batch "${index} * ${batches} / ${files}")
      set_source_files_properties(${file} PROPERTIES UNITY_GROUP "${room}${batch}")
      math(EXPR index "${index} + 1")
    endforeach()
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  # GCC looks for what it no longer needs each time its heap has grown, from 128 MB on: a tenth of the time of a batch.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE "SHELL:--param ggc-min-heapsize=400000")
  endif()
endfunction()

# What runs once for a file or a table is compiled for less: -O1 takes a quarter less time than -O3. The flags of a target
# come after those of the build type, so that this one holds.
function(flopcast_hardly_optimised target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
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
  target_include_directories(flopcast_${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(flopcast_${name} PUBLIC ${ARG_LINK})
  flopcast_warnings(flopcast_${name})
  flopcast_unity(flopcast_${name} ${CMAKE_CURRENT_SOURCE_DIR} ${sources})
endfunction()
