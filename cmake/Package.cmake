# Debian packages, one for each component of `cmake --install`:
#   cmake --build build/release --target debian
# makes convopt, libconvopt-dev and python3-convopt in build/release/packages. The libraries in them are
# static, so a shared build makes none.
if(BUILD_SHARED_LIBS OR CONVOPT_SANITIZE)
  return()
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME convopt)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has one of its own
set(CPACK_PACKAGE_CONTACT "convopt developers <convopt@users.noreply.invalid>" CACHE STRING
    "Maintainer of the Debian packages")
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_COMPONENTS_ALL program development)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
# What every package of an own version needs of the others.
set(same "convopt (= ${PROJECT_VERSION})")

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME convopt)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_DESCRIPTION
"fast convolutional networks on CPUs
convopt chooses the fastest convolution primitive for every layer of a network
on the CPU at hand, together with the layouts of the tensors between them, and
runs the network by that plan. It reads ONNX models.

This package has the program, its cost model, and networks to try it on.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libconvopt-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# What convoptConfig.cmake looks for; the package file of oneDNN looks for OpenCL, which its package only
# recommends. Timing is done by the program, and the model is in its package.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${same}, libdnnl-dev, libonnx-dev, \
libprotobuf-dev, libxgboost-dev, ocl-icd-opencl-dev, zlib1g-dev")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS cmake)
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION
"fast convolutional networks on CPUs (development files)
convopt chooses the fastest convolution primitive for every layer of a network
on the CPU at hand.

This package has the static libraries convopt::runtime, which runs networks,
and convopt::convopt, which also plans them, with headers for C++20 and C, the
package file for CMake, and examples.")

set(packages convopt convopt_convopt)
if(TARGET convopt_python)
  list(APPEND packages convopt_python)
  list(APPEND CPACK_COMPONENTS_ALL python)
  math(EXPR next_minor "${Python_VERSION_MINOR} + 1")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-convopt)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SHLIBDEPS ON)
  # The extension is for one version of Python.
  set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS
      "${same}, python3 (>= ${Python_VERSION_MAJOR}.${Python_VERSION_MINOR}~), \
python3 (<< ${Python_VERSION_MAJOR}.${next_minor}), python3-numpy")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SUGGESTS "python3-matplotlib, python3-pandas")
  # They make and remove the compiled files of the module.
  set(CPACK_DEBIAN_PYTHON_PACKAGE_CONTROL_EXTRA
      ${PROJECT_SOURCE_DIR}/cmake/debian/postinst ${PROJECT_SOURCE_DIR}/cmake/debian/prerm)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_CONTROL_STRICT_PERMISSION ON)
  set(CPACK_DEBIAN_PYTHON_DESCRIPTION
"fast convolutional networks on CPUs (Python module)
convopt chooses the fastest convolution primitive for every layer of a network
on the CPU at hand.

This package has the module convopt for Python 3. It runs ONNX models with the
interface of onnxruntime, plans them and measures the machine.")
endif()

# Only packages have these: `cmake --install` passes over what is excluded from all.
string(TIMESTAMP CONVOPT_PACKAGE_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(${PROJECT_SOURCE_DIR}/cmake/debian/changelog.in ${PROJECT_BINARY_DIR}/debian/changelog @ONLY)
function(convopt_document component package)
  set(folder share/doc/${package})
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/debian/copyright ${PROJECT_BINARY_DIR}/debian/changelog
          DESTINATION ${folder} COMPONENT ${component} EXCLUDE_FROM_ALL)
  if(ARGN)
    install(FILES ${ARGN} DESTINATION ${folder}/examples COMPONENT ${component} EXCLUDE_FROM_ALL)
  endif()
endfunction()
file(GLOB examples ${PROJECT_SOURCE_DIR}/examples/*.c ${PROJECT_SOURCE_DIR}/examples/*.cpp)
file(GLOB python_examples ${PROJECT_SOURCE_DIR}/examples/python/*.py)
convopt_document(program convopt)
convopt_document(development libconvopt-dev ${examples} ${PROJECT_SOURCE_DIR}/examples/CMakeLists.txt)
convopt_document(python python3-convopt ${python_examples})
# All that the documents link to.
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/HACKING.md
        DESTINATION share/doc/convopt COMPONENT program EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/data/README.md
        DESTINATION share/doc/convopt/data COMPONENT program EXCLUDE_FROM_ALL)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION share/doc/convopt COMPONENT program
        EXCLUDE_FROM_ALL)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/debian/compress.cmake
                            ${PROJECT_SOURCE_DIR}/cmake/debian/links.cmake)

include(CPack)
# CPack's own target `package` builds everything first, tests included.
add_custom_target(debian COMMAND ${CMAKE_CPACK_COMMAND} -G DEB DEPENDS ${packages} USES_TERMINAL VERBATIM)
