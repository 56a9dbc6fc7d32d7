// docs/reference/network.schema.json, the reader and the documentation say the same.
#include "tests/network/schema.h"

#include <gtest/gtest.h>

#include <cctype>
#include <limits>
#include <set>

#include "convopt/network.hpp"
#include "src/network/json_operators.h"
#include "src/network/onnx/reader.h"

namespace convopt {
namespace {

std::string contents_of(const std::filesystem::path& path) {
  auto text = read_file(std::filesystem::path(CONVOPT_SOURCE_DIR) / path);
  return text ? std::move(*text) : std::string();
}

/// What the schema must say about an attribute.
Json rule_for(const AttributeDescription& attribute) {
  switch (attribute.type) {
    case AttributeType::count:
      return {{"$ref", "#/$defs/count"}};
    case AttributeType::index:
      return {{"$ref", "#/$defs/index"}};
    case AttributeType::order:
      return {{"$ref", "#/$defs/order"}};
    case AttributeType::pair:
      return {{"$ref", "#/$defs/pair"}};
    case AttributeType::padding:
      return {{"$ref", "#/$defs/padding"}};
    case AttributeType::flag:
      return {{"type", "boolean"}};
    case AttributeType::number:
      return {{"type", "number"}};
    case AttributeType::shape:
      return {{"$ref", "#/$defs/shape"}};
    case AttributeType::sizes:
      return {{"$ref", "#/$defs/sizes"}};
    case AttributeType::text:
      return {{"type", "string"}};
    case AttributeType::choice: {
      Json words = Json::array();
      for (const std::string_view choice : attribute.choices) words.push_back(std::string(choice));
      return {{"enum", words}};
    }
  }
  return {};
}

TEST(NetworkSchema, HasTheOperatorsAndAttributesOfTheReader) {
  const Schema schema = Schema::of_networks();
  ASSERT_TRUE(schema.root().is_object());
  const Json& operators = schema.root().at("$defs").at("operators");
  std::set<std::string> branches;
  for (const Json& branch : schema.root().at("$defs").at("operator").at("allOf")) {
    const auto name = branch.at("if").at("properties").at("op").at("const").get<std::string>();
    EXPECT_EQ(branch.at("then").at("$ref"), "#/$defs/operators/" + name);
    branches.insert(name);
  }
  std::set<std::string> known;
  for (const OperatorDescription& op : operator_descriptions()) {
    SCOPED_TRACE(op.name);
    const std::string name(op.name);
    known.insert(name);
    ASSERT_TRUE(operators.contains(name));
    const Json& described = operators.at(name);
    EXPECT_EQ(described.at("additionalProperties"), false);
    std::set<std::string> in_schema, in_reader = {"name", "op", "inputs"};
    for (const auto& property : described.at("properties").items())
      in_schema.insert(property.key());
    std::set<std::string> required_in_schema, required_in_reader;
    if (described.contains("required"))
      required_in_schema = described.at("required").get<std::set<std::string>>();
    if (op.min_inputs > 1) required_in_reader.insert("inputs");
    for (const AttributeDescription& attribute : op.attributes) {
      const std::string key(attribute.name);
      in_reader.insert(key);
      if (attribute.required) required_in_reader.insert(key);
      if (described.at("properties").contains(key)) {
        EXPECT_EQ(described.at("properties").at(key), rule_for(attribute)) << key;
      }
    }
    EXPECT_EQ(in_schema, in_reader);
    EXPECT_EQ(required_in_schema, required_in_reader);
    const Json& inputs = described.at("properties").at("inputs");
    EXPECT_EQ(inputs.value("minItems", 1), op.min_inputs);
    EXPECT_EQ(inputs.value("maxItems", std::numeric_limits<int>::max()), op.max_inputs);
  }
  EXPECT_EQ(branches, known);
  EXPECT_EQ(operators.size(), known.size());
}

TEST(NetworkSchema, AcceptsEveryShippedNetwork) {
  const Schema schema = Schema::of_networks();
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(CONVOPT_SOURCE_DIR) / "data/networks")) {
    if (entry.path().extension() != ".json") continue;
    ++files;
    const auto json = parse_json(*read_file(entry.path()), entry.path().string());
    ASSERT_TRUE(json) << json.error().message;
    EXPECT_TRUE(schema.accepts(*json)) << entry.path();
  }
  EXPECT_GE(files, 15);
}

TEST(NetworkSchema, RefusesWhatTheReaderRefusesWithoutKnowingShapes) {
  const Schema schema = Schema::of_networks();
  const Json good = {{"schema", "convopt.network/1"},
                     {"name", "n"},
                     {"input", {{"shape", {1, 3, 8, 8}}}},
                     {"operators", {{{"name", "c"}, {"op", "conv"}, {"oc", 4}, {"kernel", 3}}}}};
  ASSERT_TRUE(schema.accepts(good));
  const auto with = [&](const char* pointer, Json value) {
    Json changed = good;
    changed[Json::json_pointer(pointer)] = std::move(value);
    return changed;
  };
  for (const Json& bad :
       {with("/schema", "convopt.network/2"), with("/outptus", {"c"}), with("/name", ""),
        with("/inputs", {{{"shape", {1, 3, 8, 8}}}}),
        with("/input/shape", {1, 1, 1, 1, 1, 1, 1, 1, 1}), with("/operators", Json::array()),
        with("/operators/0/oc", -4), with("/operators/0/oc", 1.5), with("/operators/0/kernel", {3}),
        with("/operators/0/padding", "full"), with("/operators/0/padding", {1, 1, 1}),
        with("/operators/0/strides", 2), with("/operators/0/inputs", Json::array()),
        with("/operators/0/inputs", {"a", "b"}), with("/operators/0/op", "max_pool"),
        with("/operators/0/op", "add")}) {
    EXPECT_FALSE(schema.accepts(bad)) << bad.dump();
  }
  EXPECT_TRUE(schema.accepts(with("/operators/0/op", "unknown")));
  EXPECT_FALSE(schema.accepts(with("/input/type", "float")));
  for (const DataType type : kDataTypes) {
    EXPECT_TRUE(schema.accepts(with("/input/type", to_string(type)))) << to_string(type);
  }
}

TEST(NetworkFormatPage, NamesEveryOperatorOfOnnx) {
  const std::string page = contents_of("docs/reference/network-format.md");
  const auto is_letter = [&](std::size_t at) {
    return at < page.size() && std::isalnum(static_cast<unsigned char>(page[at])) != 0;
  };
  for (const std::string_view type : onnx_operators()) {
    std::size_t at = page.find(type);
    while (at != std::string::npos &&
           ((at > 0 && is_letter(at - 1)) || is_letter(at + type.size()))) {
      at = page.find(type, at + 1);
    }
    EXPECT_NE(at, std::string::npos) << type;
  }
}

TEST(NetworkFormatPage, NamesEveryOperatorAndAttribute) {
  const std::string page = contents_of("docs/reference/network-format.md");
  for (const OperatorDescription& op : operator_descriptions()) {
    EXPECT_NE(page.find("`" + std::string(op.name) + "`"), std::string::npos) << op.name;
    for (const AttributeDescription& attribute : op.attributes)
      EXPECT_NE(page.find("`" + std::string(attribute.name) + "`"), std::string::npos)
          << op.name << "." << attribute.name;
  }
}

/// The page's example is a file that can be read.
TEST(NetworkFormatPage, ShowsAnExampleThatIsRead) {
  const std::string page = contents_of("docs/reference/network-format.md");
  const std::size_t start = page.find("```json\n");
  ASSERT_NE(start, std::string::npos);
  const std::size_t from = start + 8;
  const std::string example = page.substr(from, page.find("```", from) - from);
  const auto network = parse_network(example, "example");
  ASSERT_TRUE(network) << network.error().message;
  EXPECT_TRUE(network->warnings.empty());
  EXPECT_TRUE(Schema::of_networks().accepts(*parse_json(example, "example")));
}

}  // namespace
}  // namespace convopt
