# All that is installed, and built for it: tests are not. The Python module only where it can be built.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
add_custom_target(flopcast_installed DEPENDS flopcast flopcast_shared flopcast_simgrid)
if(TARGET flopcast_python_package)
  add_dependencies(flopcast_installed flopcast_python_package)
endif()
install(TARGETS flopcast RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS flopcast_simgrid LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/flopcast)
if(TARGET flopcast_mpi)
  add_dependencies(flopcast_installed flopcast_mpi)
  install(TARGETS flopcast_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/flopcast)
endif()
# Manual pages and completions are the program's own texts.
set(texts ${PROJECT_BINARY_DIR}/texts)
install(CODE "
  file(MAKE_DIRECTORY \"${texts}/man1\")
  execute_process(COMMAND \"$<TARGET_FILE:flopcast>\" help --man \"${texts}/man1\" COMMAND_ERROR_IS_FATAL ANY)
  foreach(shell bash zsh fish)
    execute_process(COMMAND \"$<TARGET_FILE:flopcast>\" completion \${shell} OUTPUT_FILE \"${texts}/\${shell}\"
      COMMAND_ERROR_IS_FATAL ANY)
  endforeach()")
install(DIRECTORY ${texts}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${texts}/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME flopcast)
install(FILES ${texts}/zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _flopcast)
install(FILES ${texts}/fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME flopcast.fish)
install(FILES LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})
# The data libraries keep the layout of the source tree, so that the program looks for one set of paths in both.
foreach(folder hwmodels/data workloads/data scenarios/library scenarios/data scenarios/studies analysis/data)
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_DATADIR}/flopcast/${folder} OPTIONAL
    REGEX "\\.(cc|h)$" EXCLUDE)
endforeach()

# The library for other programs: by find_package(flopcast) or by pkg-config, under whatever prefix it lies.
install(TARGETS flopcast_shared EXPORT flopcast LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/flopcast TYPE INCLUDE)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/flopcast)
install(EXPORT flopcast NAMESPACE flopcast:: FILE flopcast-config.cmake DESTINATION ${package_folder})
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/flopcast-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/flopcast-config-version.cmake DESTINATION ${package_folder})
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)  # from the file to its prefix
configure_file(cmake/flopcast.pc.in ${PROJECT_BINARY_DIR}/flopcast.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/flopcast.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
