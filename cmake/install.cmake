include(GNUInstallDirs)
install(TARGETS flopcast RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# The libraries of GPUs, nodes, fabrics, models and scenarios, as the program looks for them.
install(DIRECTORY hwmodels/data/ DESTINATION ${CMAKE_INSTALL_DATADIR}/flopcast/hwmodels/data)
install(DIRECTORY workloads/data/ DESTINATION ${CMAKE_INSTALL_DATADIR}/flopcast/workloads/data)
install(DIRECTORY scenarios/library/ DESTINATION ${CMAKE_INSTALL_DATADIR}/flopcast/scenarios/library)
install(DIRECTORY analysis/data/ DESTINATION ${CMAKE_INSTALL_DATADIR}/flopcast/analysis/data)
