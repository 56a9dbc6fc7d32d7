# Own kernels and their harness alone, for another architecture: no library has to exist there. Of
# Highway and nlohmann_json the host's headers are used, one folder each, since /usr/include as a
# whole would bring the host's system headers along; GoogleTest is built from its sources.
function(host_headers target folder)
  file(CREATE_LINK /usr/include/${folder} ${PROJECT_BINARY_DIR}/host/${folder} SYMBOLIC)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE ${PROJECT_BINARY_DIR}/host)
endfunction()
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/host)
host_headers(convopt::highway hwy)
host_headers(nlohmann_json::nlohmann_json nlohmann)

set(INSTALL_GTEST OFF)
add_subdirectory(/usr/src/googletest ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
if(NOT TARGET GTest::gtest)
  add_library(GTest::gtest ALIAS gtest)
  add_library(GTest::gtest_main ALIAS gtest_main)
endif()

add_subdirectory(core)
add_subdirectory(primitives)
enable_testing()
add_subdirectory(tests)
