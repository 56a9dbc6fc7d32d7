# cmake --install: the libraries with their headers and package file, the program, the shipped data,
# the Python module (src/python). Each component is a Debian package, too (Package.cmake).
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/convopt)
set(data_dir ${CMAKE_INSTALL_DATADIR}/convopt)

# Two exports: a program on the runtime alone needs nothing of what the whole is built on.
install(TARGETS convopt_runtime EXPORT convoptRuntimeTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT convoptRuntimeTargets NAMESPACE convopt:: DESTINATION ${package_dir}
        COMPONENT development)
install(TARGETS convopt_convopt EXPORT convoptTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT convoptTargets NAMESPACE convopt:: DESTINATION ${package_dir} COMPONENT development)
install(TARGETS convopt RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
# Man pages and completions.
install(DIRECTORY ${PROJECT_BINARY_DIR}/manual/ DESTINATION ${CMAKE_INSTALL_DATADIR} COMPONENT program)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/convopt DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/data/models ${PROJECT_SOURCE_DIR}/data/networks
        DESTINATION ${data_dir} COMPONENT program FILES_MATCHING PATTERN *.ubj PATTERN *.json)
configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/convoptConfig.cmake.in ${PROJECT_BINARY_DIR}/convoptConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS data_dir)
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/convoptConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/convoptConfig.cmake
              ${PROJECT_BINARY_DIR}/convoptConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/Findonnx_proto.cmake
              ${PROJECT_SOURCE_DIR}/cmake/Findxgboost.cmake
        DESTINATION ${package_dir} COMPONENT development)
