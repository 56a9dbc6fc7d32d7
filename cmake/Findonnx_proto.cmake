# The protobuf classes of ONNX models, as Debian's libonnx-dev has them: onnx::proto. That package's
# own CMake files name more libraries than it ships.
find_package(Protobuf REQUIRED)
find_path(ONNX_PROTO_INCLUDE onnx/onnx_pb.h)
find_library(ONNX_PROTO_LIBRARY onnx_proto)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(onnx_proto DEFAULT_MSG ONNX_PROTO_LIBRARY ONNX_PROTO_INCLUDE)
if(onnx_proto_FOUND AND NOT TARGET onnx::proto)
  add_library(onnx::proto INTERFACE IMPORTED)
  target_include_directories(onnx::proto INTERFACE ${ONNX_PROTO_INCLUDE})
  target_compile_definitions(onnx::proto INTERFACE ONNX_ML=1 ONNX_NAMESPACE=onnx)
  target_link_libraries(onnx::proto INTERFACE ${ONNX_PROTO_LIBRARY} protobuf::libprotobuf)
endif()
