# A module is one folder, one question, one target (docs/design.md). What it may include is checked
# by the test include_rule; the compiler alone would not notice, since every module sees the whole
# source tree and Debian keeps the libraries' headers in /usr/include.
#
#   convopt_module(NAME [ONLY regex] [EXCLUDE regex] [PUBLIC targets…] [PRIVATE targets…])
#
# makes the static library convopt_NAME, alias convopt::NAME, from every .cpp below the folder whose
# path matches ONLY and does not match EXCLUDE.

add_library(convopt_flags INTERFACE)
target_compile_features(convopt_flags INTERFACE cxx_std_20)
if(CONVOPT_DEVELOPER_MODE)
  target_compile_options(convopt_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror)
  # GCC 12 sees overlaps in `"x" + std::string` that are not there (bug 105651).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(convopt_flags INTERFACE -Wno-restrict)
  endif()
endif()
if(CONVOPT_SANITIZE)
  target_compile_options(convopt_flags INTERFACE -fsanitize=${CONVOPT_SANITIZE}
                         -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(convopt_flags INTERFACE -fsanitize=${CONVOPT_SANITIZE})
endif()

function(convopt_module name)
  cmake_parse_arguments(MODULE "" "ONLY;EXCLUDE" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(MODULE_ONLY)
    list(FILTER sources INCLUDE REGEX "${MODULE_ONLY}")
  endif()
  if(MODULE_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${MODULE_EXCLUDE}")
  endif()
  add_library(convopt_${name} STATIC ${sources})
  add_library(convopt::${name} ALIAS convopt_${name})
  target_include_directories(convopt_${name}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  target_link_libraries(convopt_${name}
    PUBLIC ${MODULE_PUBLIC} PRIVATE ${MODULE_PRIVATE} convopt_flags)
endfunction()

# A shared library shows only convopt's own names, not those of the templates it uses.
function(convopt_export_own_names target)
  target_link_options(${target} PRIVATE
    "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/symbols.map")
endfunction()

# Some modules as one library that is installed, static or shared as BUILD_SHARED_LIBS says:
#
#   convopt_library(NAME modules…)
#
# makes convopt_NAME, alias and exported as convopt::NAME. What the modules link is said by the
# caller.
function(convopt_library name)
  list(TRANSFORM ARGN REPLACE "(.+)" "$<TARGET_OBJECTS:convopt_\\1>" OUTPUT_VARIABLE objects)
  add_library(convopt_${name} ${objects})
  add_library(convopt::${name} ALIAS convopt_${name})
  target_compile_features(convopt_${name} PUBLIC cxx_std_20)
  target_include_directories(convopt_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  target_link_libraries(convopt_${name} PRIVATE $<BUILD_INTERFACE:convopt_flags>)
  set_target_properties(convopt_${name} PROPERTIES
    LINKER_LANGUAGE CXX EXPORT_NAME ${name}
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  if(BUILD_SHARED_LIBS)
    convopt_export_own_names(convopt_${name})
  endif()
endfunction()
