// Writes the corpus of the fuzz targets: `fuzz_corpus tests/fuzz/corpus` after a change below.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "src/network/onnx/reader.h"
#include "tests/network/onnx_model.h"

namespace convopt::testing {
namespace {

constexpr std::int64_t kOne = 1;

OnnxModel residual() {
  OnnxModel m(13);
  m.input("x", {1, 4, 6, 6}).random("w1", {4, 4, 3, 3}).random("w2", {4, 4, 1, 1}).random("b", {4});
  m.floats("v", {4}, {1, 2, 1, 2});
  m.node("Conv", {"x", "w1", "b"}, {"c1"}, {{"pads", Dims{1, 1, 1, 1}}, {"strides", Dims{1, 1}}});
  m.node("BatchNormalization", {"c1", "b", "b", "b", "v"}, {"n"}, {{"epsilon", 1e-3F}});
  m.node("Relu", {"n"}, {"r"}).node("Conv", {"r", "w2"}, {"c2"}, {{"group", kOne}});
  m.node("Add", {"c2", "x"}, {"s"}).node("Relu", {"s"}, {"o"});
  return m.node("MaxPool", {"o"}, {"y"}, {{"kernel_shape", Dims{2, 2}}, {"strides", Dims{2, 2}}})
      .output("y");
}

OnnxModel gated() {
  OnnxModel m(14);
  m.input("x", {1, 4, 5, 5}).random("d", {4, 1, 3, 3}).random("w", {4, 4, 1, 1}).random("b", {4});
  m.node("Conv", {"x", "d"}, {"c"}, {{"group", std::int64_t{4}}, {"pads", Dims{1, 1, 1, 1}}});
  m.node("HardSwish", {"c"}, {"h"}).node("GlobalAveragePool", {"h"}, {"p"});
  m.node("Conv", {"p", "w", "b"}, {"q"}).node("HardSigmoid", {"q"}, {"g"}, {{"alpha", 0.1666667F}});
  return m.node("Mul", {"h", "g"}, {"y"}).output("y");
}

OnnxModel branches() {
  OnnxModel m(11);
  m.input("x", {1, 3, 7, 7})
      .random("a", {2, 3, 1, 1})
      .random("b", {2, 3, 5, 5})
      .random("s", {3, 1, 1});
  m.node("Conv", {"x", "a"}, {"p"}).node("Conv", {"x", "b"}, {"q"}, {{"pads", Dims{2, 2, 2, 2}}});
  m.node("AveragePool", {"x"}, {"r"},
         {{"kernel_shape", Dims{3, 3}}, {"pads", Dims{1, 1, 1, 1}}, {"ceil_mode", kOne}});
  m.node("PRelu", {"r", "s"}, {"t"}).node("LRN", {"q"}, {"l"}, {{"size", std::int64_t{3}}});
  return m.node("Concat", {"p", "l", "t"}, {"y"}, {{"axis", kOne}}).output("y").output("p");
}

OnnxModel head() {
  OnnxModel m(13);
  m.input("x", {-1, 3, 4, 4}, "batch")
      .random("w", {10, 48})
      .random("b", {10})
      .integers("zero", {0}, true);
  m.integers("first", {0}).integers("rest", {-1});
  m.node("Shape", {"x"}, {"shape"}).node("Gather", {"shape", "zero"}, {"n"});
  m.node("Unsqueeze", {"n", "first"}, {"one"});
  m.node("Concat", {"one", "rest"}, {"to"}, {{"axis", std::int64_t{0}}});
  m.node("Reshape", {"x", "to"}, {"flat"});
  m.node("Gemm", {"flat", "w", "b"}, {"f"}, {{"transB", kOne}, {"alpha", 1.0F}});
  return m.node("Softmax", {"f"}, {"y"}, {{"axis", std::int64_t{-1}}}).output("y");
}

OnnxModel shuffled() {
  OnnxModel m(13);
  m.input("x", {1, 4, 3, 3}).integers("apart", {1, 2, 2, 3, 3}).integers("back", {1, -1, 3, 3});
  m.integers("halves", {2, 2}).random("w", {2, 2, 1, 1});
  m.node("Split", {"x", "halves"}, {"a", "b"}, {{"axis", kOne}}).node("Conv", {"b", "w"}, {"c"});
  m.node("Concat", {"a", "c"}, {"s"}, {{"axis", kOne}}).node("Reshape", {"s", "apart"}, {"five"});
  m.node("Transpose", {"five"}, {"t"}, {{"perm", Dims{0, 2, 1, 3, 4}}});
  return m.node("Reshape", {"t", "back"}, {"y"}).output("y");
}

OnnxModel resized() {
  OnnxModel m(13);
  m.input("x", {1, 2, 3, 3}).random("w", {2, 2, 2, 2}).floats("scales", {4}, {1, 1, 2, 2});
  m.integers("sizes", {1, 2, 5, 7}).integers("pads", {0, 0, 1, 0, 0, 0, 0, 1});
  m.node("ConvTranspose", {"x", "w"}, {"u"},
         {{"strides", Dims{2, 2}}, {"output_padding", Dims{0, 0}}});
  m.node("Resize", {"x", "", "scales"}, {"v"}, {{"mode", std::string("nearest")}});
  m.node("Add", {"u", "v"}, {"s"}).node("Pad", {"s", "pads"}, {"p"});
  m.node("Resize", {"p", "", "", "sizes"}, {"y"},
         {{"mode", std::string("linear")},
          {"coordinate_transformation_mode", std::string("half_pixel")}});
  return m.output("y");
}

OnnxModel normalised() {
  OnnxModel m(17);
  m.input("x", {1, 4, 2, 2}).random("g", {4}).random("w", {4, 6}).floats("root", {}, {1.4142135F});
  m.floats("one", {}, {1}).floats("half", {}, {0.5F});
  m.node("Transpose", {"x"}, {"last"}, {{"perm", Dims{0, 2, 3, 1}}});
  m.node("LayerNormalization", {"last", "g", "g"}, {"n"}, {{"epsilon", 1e-6F}});
  m.node("MatMul", {"n", "w"}, {"f"}).node("Div", {"f", "root"}, {"d"}).node("Erf", {"d"}, {"e"});
  m.node("Add", {"e", "one"}, {"a"})
      .node("Mul", {"f", "a"}, {"p"})
      .node("Mul", {"p", "half"}, {"h"});
  return m.node("Transpose", {"h"}, {"y"}, {{"perm", Dims{0, 3, 1, 2}}}).output("y");
}

OnnxModel decoded() {
  OnnxModel m(12);
  m.input("x", {1, 10, 2, 3}).integers("apart", {1, 2, 5, 2, 3}).integers("rows", {1, -1, 5});
  m.integers("begin", {0}).integers("middle", {2}).integers("end", {5}).integers("axis", {4});
  m.floats("stride", {}, {8}).random("grid", {1, 1, 2, 3, 2}).floats("two", {}, {2});
  m.node("Reshape", {"x", "apart"}, {"five"});
  m.node("Transpose", {"five"}, {"t"}, {{"perm", Dims{0, 1, 3, 4, 2}}})
      .node("Sigmoid", {"t"}, {"s"});
  m.node("Slice", {"s", "begin", "middle", "axis"}, {"xy"});
  m.node("Slice", {"s", "middle", "end", "axis"}, {"more"});
  m.node("Add", {"xy", "grid"}, {"moved"}).node("Mul", {"moved", "stride"}, {"place"});
  m.node("Pow", {"more", "two"}, {"size"});
  m.node("Concat", {"place", "size"}, {"all"}, {{"axis", std::int64_t{-1}}});
  return m.node("Reshape", {"all", "rows"}, {"y"}).output("y");
}

OnnxModel old() {
  OnnxModel m(7);
  m.input("x", {1, 4, 4, 4});
  m.node("Clip", {"x"}, {"c"}, {{"min", 0.0F}, {"max", 6.0F}});
  m.node("Pad", {"c"}, {"p"}, {{"pads", Dims{0, 0, 1, 1, 0, 0, 1, 1}}, {"value", 0.0F}});
  m.node("Slice", {"p"}, {"s"},
         {{"starts", Dims{0, 1}}, {"ends", Dims{2, 5}}, {"axes", Dims{1, 2}}});
  m.node("Upsample", {"s"}, {"u"}, {{"scales", std::vector<float>{1, 1, 2, 2}}});
  m.node("ReduceMean", {"u"}, {"r"}, {{"axes", Dims{2, 3}}, {"keepdims", std::int64_t{0}}});
  m.node("Dropout", {"r"}, {"d", "mask"}, {{"ratio", 0.5F}});
  m.node("Softmax", {"d"}, {"y"}, {{"axis", kOne}});
  m.node("Squeeze", {"s"}, {"q"}, {{"axes", Dims{0}}})
      .node("LeakyRelu", {"q"}, {"z"}, {{"alpha", 0.1F}});
  return m.output("y").output("z");
}

OnnxModel computed() {
  OnnxModel m(13);
  m.input("x", {1, 2, 2, 2}).integers("a", {1, 2, 3}).integers("n", {2, 1}).integers("i", {1, 0});
  m.integers("to", {2, 3})
      .integers("zero", {0}, true)
      .integers("six", {6}, true)
      .integers("two", {2}, true);
  m.node("Expand", {"a", "to"}, {"e"}).node("Tile", {"e", "n"}, {"t"});
  m.node("Gather", {"t", "i"}, {"g"}).node("Transpose", {"g"}, {"h"});
  m.node("Range", {"zero", "six", "two"}, {"r"}).node("Mod", {"r", "a"}, {"o"});
  m.node("Greater", {"o", "zero"}, {"c"}).node("Where", {"c", "r", "o"}, {"w"});
  m.node("ReduceProd", {"h"}, {"product"}, {{"keepdims", kOne}});
  m.node("ConstantOfShape", {"product"}, {"filled"}, {{"value", float_tensor("", {1}, {2})}});
  m.node("ReduceMax", {"x"}, {"m"}).node("Constant", {}, {"k"}, {{"value_float", 0.5F}});
  m.node("Sqrt", {"k"}, {"root"}).node("Sub", {"x", "root"}, {"y"});
  return m.node("Mul", {"y", "m"}, {"z"}).output("z");
}

OnnxModel volumes() {
  OnnxModel m(13);
  m.input("x", {1, 2, 4, 5, 4}).random("w", {2, 2, 2, 3, 1}).random("t", {2, 1, 2, 2, 2});
  m.input("row", {1, 2, 9}).random("k", {2, 2, 3});
  m.node("Conv", {"x", "w"}, {"c"}, {{"pads", Dims{1, 1, 0, 0, 1, 0}}, {"strides", Dims{2, 1, 1}}});
  m.node("ConvTranspose", {"c", "t"}, {"u"}, {{"strides", Dims{2, 1, 2}}});
  m.node("MaxPool", {"u"}, {"v"}, {{"kernel_shape", Dims{2, 2, 2}}, {"dilations", Dims{1, 2, 1}}});
  m.node("AveragePool", {"v"}, {"y"}, {{"kernel_shape", Dims{2, 1, 3}}, {"ceil_mode", kOne}});
  m.node("MaxPool", {"row"}, {"top", "at"}, {{"kernel_shape", Dims{2}}, {"strides", Dims{2}}});
  m.node("MaxUnpool", {"top", "at"}, {"back"}, {{"kernel_shape", Dims{2}}, {"strides", Dims{2}}});
  m.node("ConvTranspose", {"back", "k"}, {"z"}, {{"group", kOne}, {"dilations", Dims{2}}});
  return m.output("y").output("z");
}

OnnxModel places() {
  OnnxModel m(18);
  m.input("x", {1, 2, 6, 5}).random("grid", {1, 3, 4, 2}).integers("images", {0, 0});
  m.floats("regions", {2, 4}, {0, 0, 4, 4, 1, 2, 3, 5}).random("values", {1, 2, 2, 4});
  m.initializer(
      integer_tensor("at", {1, 2, 2, 4}, {0, 1, 2, 0, 1, 2, -1, 0, 1, 0, 2, 1, 0, 0, 1, 2}));
  m.initializer(integer_tensor("pairs", {2, 2}, {0, 1, 0, -2})).random("planes", {2, 3, 4});
  m.node("GridSample", {"x", "grid"}, {"g"}, {{"mode", std::string("bilinear")}});
  m.node("ScatterElements", {"g", "at", "values"}, {"e"},
         {{"axis", std::int64_t{2}}, {"reduction", std::string("add")}});
  m.node("ScatterND", {"e", "pairs", "planes"}, {"y"}, {{"reduction", std::string("max")}});
  m.node("RoiAlign", {"x", "regions", "images"}, {"z"},
         {{"output_height", std::int64_t{2}}, {"sampling_ratio", std::int64_t{2}}});
  m.integers("lengths", {2, 1}).integers("kept", {0, 1, 1});
  m.node("ReverseSequence", {"z", "lengths"}, {"r"},
         {{"batch_axis", std::int64_t{0}}, {"time_axis", kOne}});
  m.node("GatherND", {"e", "pairs"}, {"n"}, {{"batch_dims", std::int64_t{0}}});
  m.node("Compress", {"n", "kept"}, {"q"}, {{"axis", kOne}});
  return m.output("y").output("r").output("q");
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

int make(const std::filesystem::path& folder) {
  const std::pair<const char*, OnnxModel> models[] = {{"residual", residual()},
                                                      {"gated", gated()},
                                                      {"branches", branches()},
                                                      {"head", head()},
                                                      {"shuffled", shuffled()},
                                                      {"resized", resized()},
                                                      {"normalised", normalised()},
                                                      {"decoded", decoded()},
                                                      {"old", old()},
                                                      {"computed", computed()},
                                                      {"volumes", volumes()},
                                                      {"places", places()}};
  for (const auto& [name, model] : models) {
    const auto network = model.read();
    if (!network) {
      std::fprintf(stderr, "%s: %s\n", name, network.error().message.c_str());
      return 1;
    }
    write(folder / "onnx" / (std::string(name) + ".onnx"), model.bytes());
    write(folder / "json" / (std::string(name) + ".json"), to_json(*network));
  }
  return 0;
}

}  // namespace
}  // namespace convopt::testing

int main(int argc, char** argv) { return argc == 2 ? convopt::testing::make(argv[1]) : 2; }
