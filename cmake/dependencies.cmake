# Everything comes from the distribution: Debian 12, Debian 13 and Ubuntu 24.04 package all of it.
find_package(PkgConfig REQUIRED)
pkg_check_modules(SIMGRID REQUIRED IMPORTED_TARGET simgrid)
find_package(Boost CONFIG REQUIRED)  # Boost's own package: CMake's module for it is on its way out
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)
find_package(SQLite3 REQUIRED)  # results of sweeps
find_package(ZLIB REQUIRED)  # packed traces
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
# Newer Protobuf ships a CMake package that pulls in Abseil; older ones are found by CMake's own module.
find_package(Protobuf CONFIG QUIET)
if(NOT Protobuf_FOUND)
  find_package(Protobuf REQUIRED)
endif()
find_package(MPI QUIET COMPONENTS CXX)  # sweeps over many machines; optional (libopenmpi-dev)
if(FLOPCAST_TESTS)
  find_package(Catch2 REQUIRED)  # 2.13 on Debian 12, 3.x elsewhere: tests include tests/catch.h
endif()
if(FLOPCAST_BENCHMARKS)
  find_package(benchmark QUIET)
endif()
