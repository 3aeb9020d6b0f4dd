# `cpack --config build/release/CPackConfig.cmake` makes a Debian package of all that install.cmake lists: what is
# installed is packaged, so a new kind of file is named there only.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME flopcast)
set(CPACK_PACKAGE_VENDOR "Flopcast")
# Whoever hands the package on says who answers for it; the default is an address that reaches nobody.
set(FLOPCAST_PACKAGE_CONTACT "Flopcast maintainers <maintainers@flopcast.invalid>" CACHE STRING
  "Who answers for the Debian package")
set(CPACK_PACKAGE_CONTACT "${FLOPCAST_PACKAGE_CONTACT}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)  # flopcast_VERSION_ARCHITECTURE.deb
set(CPACK_DEBIAN_PACKAGE_SECTION science)
# The Python module is made for one version of Python.
if(TARGET flopcast_python_package)
  math(EXPR next_minor "${Python_VERSION_MINOR} + 1")
  set(CPACK_DEBIAN_PACKAGE_DEPENDS "python3 (>= 3.${Python_VERSION_MINOR}~), python3 (<< 3.${next_minor})")
  set(CPACK_DEBIAN_PACKAGE_RECOMMENDS python3-numpy)
  set(CPACK_DEBIAN_PACKAGE_SUGGESTS python3-pandas)
endif()
# Which versions of which packages hold the shared libraries is asked of the system it is built on; that takes `file`
# and `dpkg-shlibdeps` (package dpkg-dev), which ./flopcast package installs.
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
if(DPKG_SHLIBDEPS)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  # Packages of programs that link libflopcast.so find this one by its soname, and ldconfig hears of it.
  set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
else()
  message(STATUS "dpkg-shlibdeps (package dpkg-dev) not found: a Debian package would name no dependencies")
endif()
include(CPack)
