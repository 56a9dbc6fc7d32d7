// Reading ONNX models: shapes that are bound, weights in other files, and what is refused how.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/files.h"
#include "tests/network/onnx_model.h"

namespace convopt::testing {
namespace {

namespace fs = std::filesystem;

TensorShape shape_of(const Network& network, TensorId tensor) {
  return network.tensors[tensor].shape;
}

/// A convolution of three channels; `w` is its weights.
OnnxModel small(int opset = 13) {
  OnnxModel model(opset);
  return model.input("x", {1, 3, 4, 4}).node("Conv", {"x", "w"}, {"y"}).output("y");
}

void expect_refused(const OnnxModel& model, const std::vector<std::string>& words,
                    const InputShapes& shapes = {}, ErrorCode code = ErrorCode::bad_input) {
  const auto network = model.read(shapes);
  ASSERT_FALSE(network.ok());
  EXPECT_EQ(network.error().code, code);
  EXPECT_TRUE(network.error().message.starts_with("test.onnx: ")) << network.error().message;
  EXPECT_EQ(network.error().message.find('\n'), std::string::npos);
  for (const std::string& word : words)
    EXPECT_NE(network.error().message.find(word), std::string::npos)
        << "no '" << word << "' in: " << network.error().message;
}

TEST(OnnxInputs, OpenDimensionsAreBound) {
  OnnxModel model(13);
  model.input("x", {-1, 3, -1, -1}, "size").random("w", {2, 3, 3, 3});
  model.node("Conv", {"x", "w"}, {"y"}).output("y");
  const auto network = model.read({{"x", {1, 3, 8, 10}}});
  ASSERT_TRUE(network.ok()) << network.error().message;
  EXPECT_EQ(shape_of(*network, network->outputs[0]), (TensorShape{1, 2, 6, 8}));
  expect_refused(model, {"'x'", "'size'", "--shape x=1x3x224x224"});
  expect_refused(model, {"'x'", "1x4x8x8"}, {{"x", {1, 4, 8, 8}}});
  expect_refused(model, {"'x'", "3x8x8"}, {{"x", {3, 8, 8}}});
  expect_refused(model, {"'other'"}, {{"other", {1, 3, 8, 8}}}, ErrorCode::usage);
  const auto several = model.read({{"x", {1, 3, 8, 10}}}, {}, 5);
  ASSERT_TRUE(several.ok());
  EXPECT_EQ(shape_of(*several, several->outputs[0]).n(), 5);
}

TEST(OnnxInputs, ASizeThatIsGivenOnceIsSuggestedForOtherInputs) {
  OnnxModel model(13);
  model.input("x", {-1, 8}, "batch").input("state", {2, -1, 16}, "batch");
  model.node("Relu", {"x"}, {"y"}).node("Relu", {"state"}, {"z"}).output("y").output("z");
  expect_refused(model, {"'batch'", "--shape state=2x3x16"}, {{"x", {3, 8}}});
}

TEST(OnnxInputs, AFixedBatchIsNamedWhereAnotherDoesNotFit) {
  OnnxModel model(13);
  model.input("x", {1, 4, 6}).integers("to", {4, 2, 3}).node("Reshape", {"x", "to"}, {"y"});
  ASSERT_TRUE(model.output("y").read().ok());
  const auto refused = model.read({}, {}, 4);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("4 times as much; a model that fixes its batch"),
            std::string::npos)
      << refused.error().message;
}

TEST(OnnxInputs, OutputsHaveTheModelsNames) {
  OnnxModel model(13);
  model.input("x", {2, 3}).node("Relu", {"x"}, {"r"}).node("Identity", {"r"}, {"y"});
  model.output("y").output("r");
  const auto network = model.read();
  ASSERT_TRUE(network.ok()) << network.error().message;
  const auto outputs = network->named_outputs();
  ASSERT_EQ(outputs.size(), 2U);
  EXPECT_EQ(outputs[0].name, "y");
  EXPECT_EQ(outputs[1].name, "r");
  EXPECT_EQ(outputs[0].shape, (TensorShape{2, 3}));
  EXPECT_EQ(network->named_inputs()[0].name, "x");
  const auto again = parse_network(to_json(*network), "again");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->output_names, network->output_names);
  EXPECT_EQ(again->hash(), network->hash());
}

/// The sizes of a reshape are an input.
OnnxModel sized() {
  OnnxModel model(13);
  model.input("x", {2, 6}).input("sizes", {3}).node("Reshape", {"x", "sizes"}, {"y"}).output("y");
  auto& type = *model.proto().mutable_graph()->mutable_input(1)->mutable_type();
  type.mutable_tensor_type()->set_elem_type(::onnx::TensorProto::INT64);
  return model;
}

TEST(OnnxInputs, ValuesAreBound) {
  const auto read = [](std::vector<double> sizes) {
    return sized().read({}, {}, 0, {{"sizes", std::move(sizes)}});
  };
  const auto network = read({2, 3, 2});
  ASSERT_TRUE(network.ok()) << network.error().message;
  ASSERT_EQ(network->inputs.size(), 1U);
  EXPECT_EQ(network->named_outputs()[0].shape, (TensorShape{2, 3, 2}));
  EXPECT_FALSE(sized().read().ok());
  EXPECT_FALSE(read({2, 3}).ok());
  EXPECT_FALSE(read({2, 3, 1.5}).ok());
  EXPECT_FALSE(read({}).ok());
  const auto unknown = sized().read({}, {}, 0, {{"size", {1}}});
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("'x', 'sizes'"), std::string::npos)
      << unknown.error().message;
}

TEST(OnnxInputs, TheBorderIsKnownWhereShapesAreNot) {
  auto model = sized();
  model.input("open", {-1, 3, -1, 5}, "height").node("Relu", {"open"}, {"z"}).output("z");
  const fs::path file = fs::temp_directory_path() / ("border" + std::to_string(getpid()));
  std::ofstream(file, std::ios::binary) << model.bytes();
  const auto border = network_border(file);
  fs::remove(file);
  ASSERT_TRUE(border.ok()) << border.error().message;
  ASSERT_EQ(border->inputs.size(), 3U);
  EXPECT_FALSE(border->inputs[0].decides);
  EXPECT_TRUE(border->inputs[1].decides);
  EXPECT_EQ(border->inputs[1].type, DataType::s64);
  const auto& open = border->inputs[2];
  ASSERT_TRUE(open.sizes.has_value());
  ASSERT_EQ(open.sizes->size(), 4U);
  EXPECT_EQ((*open.sizes)[1].size, 3);
  EXPECT_EQ((*open.sizes)[2].size, 0);
  EXPECT_EQ((*open.sizes)[2].symbol, "height");
  ASSERT_EQ(border->outputs.size(), 2U);
  EXPECT_EQ(border->outputs[1].name, "z");
  EXPECT_FALSE(network_border(file).ok());
}

TEST(OnnxInputs, AnOpenBatchIsOne) {
  OnnxModel model(13);
  model.input("x", {-1, 3, 4, 4}).node("Relu", {"x"}, {"y"}).output("y");
  const auto network = model.read();
  ASSERT_TRUE(network.ok());
  EXPECT_EQ(shape_of(*network, network->inputs[0]).n(), 1);
}

TEST(OnnxInputs, SeveralInputsAndOutputs) {
  OnnxModel model(13);
  model.input("a", {1, 2, 3, 3}).input("b", {1, 2, 3, 3});
  model.node("Sub", {"a", "b"}, {"d"}).node("Relu", {"d"}, {"r"}).node("Add", {"a", "d"}, {"s"});
  model.output("s").output("r");
  const Computed computed = compute(model);
  ASSERT_EQ(computed.inputs.size(), 2U);
  ASSERT_EQ(computed.outputs.size(), 2U);
  for (std::size_t i = 0; i < computed.inputs[0].size(); ++i) {
    const float difference = computed.inputs[0][i] - computed.inputs[1][i];
    EXPECT_FLOAT_EQ(computed.outputs[0][i], computed.inputs[0][i] + difference);
    EXPECT_FLOAT_EQ(computed.outputs[1][i], std::max(difference, 0.0F));
  }
}

TEST(OnnxInputs, InitializersMayBeInputsToo) {
  auto model = small();
  model.input("w", {2, 3, 1, 1}).random("w", {2, 3, 1, 1});
  const auto network = model.read();
  ASSERT_TRUE(network.ok()) << network.error().message;
  EXPECT_EQ(network->inputs.size(), 1U);
}

/// Every way in which a file may store the numbers 1 and -2.
TEST(OnnxTensors, OfEveryKind) {
  using ::onnx::TensorProto;
  const auto check = [](TensorProto tensor) {
    tensor.set_name("w");
    if (tensor.dims_size() == 0) tensor.add_dims(2);
    OnnxModel model(13);
    model.input("x", {1, 2}).initializer(tensor);
    model.node("Cast", {"w"}, {"c"}, {{"to", std::int64_t{TensorProto::FLOAT}}});
    model.node("Add", {"x", "c"}, {"y"}).output("y");
    const Computed computed = compute(model);
    ASSERT_EQ(computed.outputs.size(), 1U);
    EXPECT_FLOAT_EQ(computed.outputs[0][0], computed.inputs[0][0] + 1);
    EXPECT_FLOAT_EQ(computed.outputs[0][1], computed.inputs[0][1] - 2);
  };
  const auto raw = [&](TensorProto::DataType type, const auto& values) {
    TensorProto tensor;
    tensor.set_data_type(type);
    tensor.set_raw_data(std::string(reinterpret_cast<const char*>(values), sizeof values));
    check(tensor);
  };
  const float singles[2] = {1, -2};
  const double doubles[2] = {1, -2};
  const std::uint16_t halves[2] = {0x3c00, 0xc000};
  const std::int64_t longs[2] = {1, -2};
  const std::int32_t ints[2] = {1, -2};
  const std::int8_t bytes[2] = {1, -2};
  raw(TensorProto::FLOAT, singles);
  raw(TensorProto::DOUBLE, doubles);
  raw(TensorProto::FLOAT16, halves);
  raw(TensorProto::INT64, longs);
  raw(TensorProto::INT32, ints);
  raw(TensorProto::INT8, bytes);
  check(float_tensor("", {2}, {1, -2}));
  check(integer_tensor("", {2}, {1, -2}));
  TensorProto typed;
  typed.set_data_type(TensorProto::DOUBLE);
  typed.add_double_data(1);
  typed.add_double_data(-2);
  check(typed);
  typed.Clear();
  typed.set_data_type(TensorProto::FLOAT16);
  typed.add_int32_data(0x3c00);
  typed.add_int32_data(0xc000);
  check(typed);
}

class ExternalData : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    outside_ = fs::temp_directory_path() / ("convopt_external_" + name);
    fs::remove_all(outside_);
    folder_ = outside_ / "model";
    fs::create_directories(folder_ / "data");
    write(folder_ / "data/w.bin");
    write(outside_ / "w.bin");
  }
  void TearDown() override { fs::remove_all(outside_); }

  static void write(const fs::path& path) {
    const std::vector<float> values = {9, 1, 2, 3, 4, 5, 6};
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size() * sizeof(float)));
  }

  static OnnxModel model(const std::string& location, const std::string& offset = "4",
                         const std::string& length = "24") {
    ::onnx::TensorProto tensor = float_tensor("w", {2, 3, 1, 1}, {});
    tensor.set_data_location(::onnx::TensorProto::EXTERNAL);
    const std::pair<const char*, const std::string*> entries[] = {
        {"location", &location}, {"offset", &offset}, {"length", &length}};
    for (const auto& [key, value] : entries) {
      auto* entry = tensor.add_external_data();
      entry->set_key(key);
      entry->set_value(*value);
    }
    return small().initializer(tensor);
  }

  fs::path outside_, folder_;
};

TEST_F(ExternalData, IsReadBesideTheModel) {
  const auto network = model("data/w.bin").read({}, folder_);
  ASSERT_TRUE(network.ok()) << network.error().message;
  ASSERT_NE(network->operators[0].weights, nullptr);
  EXPECT_EQ(network->operators[0].weights->weights, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  // The same through a file's name.
  std::ofstream(folder_ / "m.onnx", std::ios::binary) << model("data/w.bin").bytes();
  EXPECT_TRUE(load_network(folder_ / "m.onnx").ok());
}

TEST_F(ExternalData, MayNotLieElsewhere) {
  fs::create_symlink(outside_ / "w.bin", folder_ / "link.bin");
  fs::create_directory_symlink(outside_, folder_ / "up");
  for (const std::string& location :
       {std::string("../w.bin"), std::string("data/../../w.bin"), (outside_ / "w.bin").string(),
        (folder_ / "data/w.bin").string(), std::string("link.bin"), std::string("up/w.bin"),
        std::string("missing.bin"), std::string("data"), std::string(""), std::string("."),
        std::string("data/w.bin\0x", 12), std::string("/dev/zero")}) {
    const auto network = model(location).read({}, folder_);
    ASSERT_FALSE(network.ok()) << location;
    EXPECT_EQ(network.error().code, ErrorCode::bad_input);
  }
  EXPECT_FALSE(model("data/w.bin").read().ok()) << "there is no folder";
}

TEST_F(ExternalData, MustHaveTheSizeOfItsShape) {
  for (const auto& [offset, length] :
       {std::pair("8", "24"), std::pair("4", "20"), std::pair("4", "28"), std::pair("-4", "24"),
        std::pair("18446744073709551612", "24"), std::pair("x", "24"), std::pair("4", "")})
    EXPECT_FALSE(model("data/w.bin", offset, length).read({}, folder_).ok())
        << offset << " " << length;
}

TEST(OnnxRefusals, NameOperatorTypeAndVersion) {
  OnnxModel model(13);
  model.input("x", {1, 3, 4, 4}).node("Unique", {"x"}, {"set"});
  expect_refused(model.output("set"), {"'set'", "'Unique'", "opset 13"});
  OnnxModel pool(13);
  pool.input("x", {1, 3, 4, 4});
  pool.node("AveragePool", {"x"}, {"pooled"},
            {{"kernel_shape", Dims{2, 2}}, {"dilations", Dims{2, 2}}});
  expect_refused(pool.output("pooled"), {"'pooled'", "'AveragePool'", "dilation"});
}

TEST(OnnxRefusals, NumbersOfAnotherType) {
  for (const char* type : {"Trilu", "CumSum", "DFT"}) {
    OnnxModel model(17);
    model.input("x", {1, 3, 4, 1}).floats("number", {}, {1}).node(type, {"x", "number"}, {"y"});
    expect_refused(model.output("y"), {"'y'", type, "a single whole number"});
  }
  OnnxModel hot(13);
  hot.input("x", {2}).floats("depth", {}, {1e30F}).floats("values", {2}, {0, 1});
  hot.node("OneHot", {"x", "depth", "values"}, {"y"});
  expect_refused(hot.output("y"), {"'y'", "depth", "out of range"});
}

TEST(OnnxRefusals, OperatorsThatNobodyNeedsDoNotMatter) {
  OnnxModel model(13);
  model.input("x", {1, 3, 4, 4}).node("GridSample", {"x", "x"}, {"unused"});
  model.node("Relu", {"x"}, {"y"}).output("y");
  EXPECT_TRUE(model.read().ok());
}

TEST(OnnxRefusals, VersionsOfTheFormat) {
  for (const int opset : {0, 23}) {
    OnnxModel model(opset);
    model.input("x", {1, 3, 4, 4}).node("Relu", {"x"}, {"y"});
    expect_refused(model.output("y"), {"opset " + std::to_string(opset), "1 to 22"});
  }
}

/// Writes a file, removed at the end.
class FilesOfNetworks : public ::testing::Test {
 protected:
  FilesOfNetworks() { fs::create_directories(folder_); }
  ~FilesOfNetworks() override { fs::remove_all(folder_); }

  Result<Network> load(const std::string& name, const std::string& content) {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return load_network(folder_ / name);
  }

 private:
  fs::path folder_ = fs::temp_directory_path() / ("convopt_files_" + std::to_string(::getpid()));
};

TEST_F(FilesOfNetworks, AreToldApartByTheirContent) {
  OnnxModel model(13);
  model.input("x", {1, 3, 4, 4}).node("Relu", {"x"}, {"y"}).output("y");
  const std::string json =
      R"( {"schema": "convopt.network/1", "name": "n", "input": {"shape": [1, 3, 4, 4]},
           "operators": [{"name": "y", "op": "relu"}]})";
  for (const char* name : {"network.onnx", "network.json", "network"}) {
    for (const std::string& content : {model.bytes(), json}) {
      const auto network = load(name, content);
      ASSERT_TRUE(network.ok()) << network.error().message;
      EXPECT_EQ(network->operators.size(), 1U);
    }
  }
}

TEST_F(FilesOfNetworks, OfOtherKindsGetASentence) {
  const std::string other[] = {"", "#!/bin/sh\necho\n",
                               std::string("\x7F"
                                           "ELF\x02\x01\0",
                                           7),
                               "\x89PNG\r\n\x1A\n\xFF\xFE"};
  for (const std::string& content : other) {
    const auto network = load("file", content);
    ASSERT_FALSE(network.ok());
    EXPECT_NE(network.error().message.find("neither an ONNX model nor a network in JSON"),
              std::string::npos)
        << network.error().message;
    EXPECT_TRUE(std::ranges::all_of(network.error().message, [](unsigned char c) {
      return c >= 0x20 && c < 0x7F;
    })) << network.error().message;
  }
  // A JSON text with bytes that are none.
  const auto broken = load("broken.json", "{\"schema\": \"\xFF\xFE\x01\"}");
  ASSERT_FALSE(broken.ok());
  EXPECT_TRUE(std::ranges::all_of(broken.error().message, [](unsigned char c) {
    return c >= 0x20 && c < 0x7F;
  })) << broken.error().message;
}

TEST(OnnxRefusals, WhatIsNoGraph) {
  EXPECT_FALSE(read_bytes("").ok());
  EXPECT_FALSE(read_bytes("not a model").ok());
  expect_refused(OnnxModel(13), {"no operators"});

  OnnxModel cycle(13);
  cycle.input("x", {1, 3, 4, 4}).node("Add", {"x", "b"}, {"a"}).node("Relu", {"a"}, {"b"});
  expect_refused(cycle.output("b"), {"'a'", "'b'", "cycle"});
  OnnxModel own(13);
  own.input("x", {1, 3, 4, 4}).node("Add", {"x", "a"}, {"a"});
  expect_refused(own.output("a"), {"cycle"});

  expect_refused(small(), {"'y'", "'w'"});  // weights that are missing
  expect_refused(small().random("w", {2, 3, 1, 1}).output("z"), {"'z'"});
  expect_refused(small().random("w", {2, 3, 1, 1}).random("w", {2, 3, 1, 1}), {"'w'", "two"});
  expect_refused(small().random("w", {2, 3, 1, 1}).node("Relu", {"x"}, {"y"}), {"'y'", "two"});
  expect_refused(small().random("w", {2, 3, 1, 1}).node("Relu", {"y"}, {"x"}), {"'x'", "two"});
}

TEST(OnnxRefusals, EveryBeginningOfAModel) {
  const std::string whole = small().random("w", {2, 3, 1, 1}).bytes();
  ASSERT_TRUE(read_bytes(whole).ok());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto network = read_bytes(whole.substr(0, length));
    if (network) continue;  // only what nobody needs is missing
    EXPECT_EQ(network.error().code, ErrorCode::bad_input);
  }
}

TEST(OnnxRefusals, SizesThatAreTooLarge) {
  const std::int64_t huge = std::int64_t{1} << 40;
  for (const Dims& dims : {Dims{1, huge, 4, 4}, Dims{huge, huge, huge, huge},
                           Dims{1, 65536, 65536, 4}, Dims{1, 0, 4, 4}, Dims{INT64_MAX, 2, 2, 2}}) {
    OnnxModel model(13);
    model.input("x", dims).node("Relu", {"x"}, {"y"});
    expect_refused(model.output("y"), {"'x'"});
  }
  for (const Dims& dims : {Dims{huge, 3, 1, 1}, Dims{-2, 3, 1, 1}, Dims{1 << 20, 1 << 20, 1, 1}})
    expect_refused(small().initializer(float_tensor("w", dims, {1})), {"'w'"});
  // Growing what is known while reading.
  for (const char* type : {"Expand", "Tile", "ConstantOfShape"}) {
    OnnxModel model(13);
    model.input("x", {1, 3, 4, 4}).floats("c", {1, 1}, {1}).integers("n", {1 << 20, 1 << 20});
    model.node(type,
               std::string(type) == "ConstantOfShape" ? std::vector<std::string>{"n"}
                                                      : std::vector<std::string>{"c", "n"},
               {"big"});
    model.node("Add", {"x", "big"}, {"y"});
    expect_refused(model.output("y"), {"'big'"});
  }
  OnnxModel range(13);
  range.input("x", {1, 3, 4, 4}).integers("a", {0}, true).integers("b", {INT64_MAX}, true);
  range.integers("c", {1}, true).node("Range", {"a", "b", "c"}, {"big"});
  range.node("Reshape", {"x", "big"}, {"y"});
  expect_refused(range.output("y"), {"'big'"});
  // Doubled again and again.
  OnnxModel doubling(13);
  doubling.input("x", {1, 3, 4, 4}).floats("c0", {1024}, std::vector<float>(1024, 1.0F));
  for (int i = 0; i < 40; ++i) {
    const std::string from = "c" + std::to_string(i);
    doubling.node("Concat", {from, from}, {"c" + std::to_string(i + 1)},
                  {{"axis", std::int64_t{0}}});
  }
  doubling.node("Add", {"x", "c40"}, {"y"});
  expect_refused(doubling.output("y"), {"more than 2^24"});
  // Attributes as large.
  for (const char* name : {"kernel_shape", "strides", "pads"}) {
    OnnxModel model(13);
    OnnxModel::Attributes attributes = {{name, Dims(std::string(name) == "pads" ? 4 : 2, huge)}};
    if (std::string(name) != "kernel_shape") attributes.push_back({"kernel_shape", Dims{2, 2}});
    model.input("x", {1, 3, 4, 4}).node("MaxPool", {"x"}, {"y"}, attributes);
    expect_refused(model.output("y"), {"'y'", "'MaxPool'"});
  }
  // An upsampling by a factor that no memory holds.
  OnnxModel upsampled(9);
  upsampled.input("x", {1, 3, 4, 4}).floats("s", {4}, {1, 1, 1e6F, 1e6F});
  upsampled.node("Upsample", {"x", "s"}, {"y"});
  expect_refused(upsampled.output("y"), {"'y'"});
}

TEST(OnnxRefusals, ValuesOfOtherTypes) {
  // Integers where numbers should be, the wrong sizes, the wrong number of values.
  expect_refused(small().initializer(integer_tensor("w", {2, 3, 1, 1}, {1, 2, 3, 4, 5, 6})),
                 {"'y'", "float32"});
  expect_refused(small().random("w", {2, 4, 1, 1}), {"'y'", "'Conv'"});
  expect_refused(small().random("w", {2, 3, 1}), {"'y'", "'Conv'"});
  expect_refused(small().random("w", {2, 3, 9, 9}), {"y"});
  expect_refused(small().floats("w", {2, 3, 1, 1}, {1, 2, 3}), {"'w'", "3 values"});
  auto strings = float_tensor("w", {2, 3, 1, 1}, {});
  strings.set_data_type(::onnx::TensorProto::STRING);
  expect_refused(small().initializer(strings), {"'w'", "type"});
  auto cut = float_tensor("w", {2, 3, 1, 1}, {});
  cut.set_raw_data("abc");
  expect_refused(small().initializer(cut), {"'w'", "3 bytes"});
  OnnxModel of_strings(13);
  of_strings.input("x", {1, 3, 4, 4}).node("Relu", {"x"}, {"y"}).output("y");
  of_strings.proto()
      .mutable_graph()
      ->mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->set_elem_type(::onnx::TensorProto::STRING);
  expect_refused(of_strings, {"'x'", "real numbers"});
}

TEST(OnnxRefusals, AttributesOfOtherTypes) {
  const struct {
    const char* type;
    const char* attribute;
    OnnxModel::Attribute value;
  } cases[] = {{"MaxPool", "kernel_shape", std::int64_t{2}},
               {"MaxPool", "kernel_shape", std::string("2x2")},
               {"LeakyRelu", "alpha", std::int64_t{1}},
               {"LeakyRelu", "alpha", std::vector<float>{1}},
               {"Softmax", "axis", 1.0F},
               {"Transpose", "perm", std::vector<float>{0, 1, 2, 3}},
               {"Transpose", "perm", Dims{0, 1, 1, 3}},
               {"Transpose", "perm", Dims{0, 1}},
               {"Flatten", "axis", std::int64_t{9}},
               {"Softmax", "axis", std::int64_t{-5}},
               {"ReduceMean", "axes", Dims{2, 2}},
               {"ReduceMean", "axes", Dims{7}},
               {"Squeeze", "axes", Dims{1}},
               {"LRN", "size", std::int64_t{-1}},
               {"DepthToSpace", "blocksize", std::int64_t{0}}};
  for (const auto& c : cases) {
    OnnxModel model(11);
    model.input("x", {1, 3, 4, 4}).node(c.type, {"x"}, {"y"}, {{c.attribute, c.value}});
    expect_refused(model.output("y"), {"'y'", c.type});
  }
}

TEST(OnnxRefusals, OperatorsWithTooManyInputs) {
  OnnxModel model(13);
  model.input("x", {1, 3, 4, 4}).floats("a", {}, {1});
  model.node("Div", {"a", "a", "x"}, {"y"});
  expect_refused(model.output("y"), {"'y'", "'Div'", "two inputs"});
}

TEST(OnnxInputs, MayBeSingleNumbers) {
  OnnxModel model(13);
  model.input("x", {}).node("ReduceMean", {"x"}, {"m"}).node("Relu", {"m"}, {"y"}).output("y");
  const Computed computed = compute(model);
  ASSERT_EQ(computed.outputs.size(), 1U);
  EXPECT_EQ(computed.outputs[0], std::vector<float>{std::max(computed.inputs[0][0], 0.0F)});
}

TEST(OnnxRefusals, PartsThatOverflow) {
  OnnxModel model(13);
  model.input("x", {1, 3, 4, 4}).integers("parts", {1, INT64_MAX, 3});
  model.node("Split", {"x", "parts"}, {"a", "b", "c"}, {{"axis", std::int64_t{1}}});
  expect_refused(model.output("b"), {"'a'", "'Split'"});
}

TEST(OnnxRefusals, OperatorsWithTooFewInputs) {
  for (const char* type : {"Conv",
                           "ConvTranspose",
                           "MaxPool",
                           "BatchNormalization",
                           "LayerNormalization",
                           "Gemm",
                           "MatMul",
                           "Concat",
                           "Split",
                           "Slice",
                           "Gather",
                           "Reshape",
                           "Transpose",
                           "Pad",
                           "Resize",
                           "Upsample",
                           "PRelu",
                           "Pow",
                           "Add",
                           "Mul",
                           "Div",
                           "Sum",
                           "Clip",
                           "Relu",
                           "Where",
                           "Expand",
                           "ReduceMean",
                           "Squeeze",
                           "Cast",
                           "Shape",
                           "Identity",
                           "Dropout",
                           "Constant"}) {
    SCOPED_TRACE(type);
    OnnxModel none(13);
    none.input("x", {1, 3, 4, 4}).node(type, {}, {"y"}).output("y");
    EXPECT_FALSE(none.read().ok());
    OnnxModel empty(13);
    empty.input("x", {1, 3, 4, 4}).node(type, {"", "x"}, {"y"}).output("y");
    EXPECT_FALSE(empty.read().ok());
  }
}

}  // namespace
}  // namespace convopt::testing
