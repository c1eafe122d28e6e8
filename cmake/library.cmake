# The library for programs without Python: libfastopt, fastopt.h and the package fastopt::fastopt.
include(CMakePackageConfigHelpers)

add_library(fastopt SHARED)
add_library(fastopt::fastopt ALIAS fastopt)
fastopt_sources(fastopt)
target_compile_definitions(fastopt PRIVATE FO_BUILD)
target_include_directories(fastopt PUBLIC
  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/csrc>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(fastopt PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}  # agrees with SameMinorVersion below
  PUBLIC_HEADER csrc/fastopt.h)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/fastopt)
install(TARGETS fastopt EXPORT fastopt-targets)
install(EXPORT fastopt-targets NAMESPACE fastopt:: DESTINATION ${package})
configure_package_config_file(cmake/fastopt-config.cmake.in fastopt-config.cmake INSTALL_DESTINATION ${package})
file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/fastopt.pc.in fastopt.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/fastopt.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
write_basic_package_version_file(fastopt-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/fastopt-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/fastopt-config-version.cmake
  DESTINATION ${package})
