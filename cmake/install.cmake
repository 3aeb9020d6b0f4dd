# All that is installed, and built for it: tests are not.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
add_custom_target(flopcast_installed DEPENDS flopcast flopcast_simgrid)
install(TARGETS flopcast RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS flopcast_simgrid LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/flopcast)
install(FILES LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})
# The data libraries keep the layout of the source tree, so that the program looks for one set of paths in both.
foreach(folder hwmodels/data workloads/data scenarios/library scenarios/data scenarios/studies analysis/data)
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_DATADIR}/flopcast/${folder} OPTIONAL)
endforeach()
