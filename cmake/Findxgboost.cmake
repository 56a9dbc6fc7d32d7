# XGBoost's library as the target xgboost::xgboost. Debian's own package file cannot be used: it
# insists on /usr/bin/xgboost, which is in another package.
find_path(xgboost_INCLUDE_DIR xgboost/c_api.h)
find_library(xgboost_LIBRARY xgboost)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(xgboost DEFAULT_MSG xgboost_LIBRARY xgboost_INCLUDE_DIR)
if(xgboost_FOUND AND NOT TARGET xgboost::xgboost)
  add_library(xgboost::xgboost UNKNOWN IMPORTED)
  set_target_properties(xgboost::xgboost PROPERTIES
    IMPORTED_LOCATION ${xgboost_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${xgboost_INCLUDE_DIR})
endif()
mark_as_advanced(xgboost_INCLUDE_DIR xgboost_LIBRARY)
