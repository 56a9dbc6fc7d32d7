#include "model/categories.h"

#include <algorithm>
#include <limits>
#include <set>

#include "core/names.h"

namespace convopt {
namespace {

constexpr std::string_view kOp = "op", kActivation = "activation", kAlgorithm = "algorithm",
                           kLayout = "layout", kVendor = "vendor", kType = "type", kUnit = "unit";

// How machine descriptions spell makers, and the categories they belong to.
struct Vendor {
  std::string_view category, spelling;
  bool whole;  ///< the spelling is all of the text
};
constexpr std::array kVendors = {Vendor{"other", "", false}, Vendor{"amd", "AuthenticAMD", true},
                                 Vendor{"intel", "GenuineIntel", true}, Vendor{"arm", "ARM", false},
                                 Vendor{"apple", "Apple", false}};

std::size_t vendor_index(std::string_view vendor) {
  for (std::size_t i = 1; i < kVendors.size(); ++i) {
    const Vendor& v = kVendors[i];
    if (v.whole ? vendor == v.spelling : vendor.find(v.spelling) != vendor.npos) return i;
  }
  return 0;
}

/// Codes as they were while enumerations' ordinals served as codes.
const CategoryCodes::Tables& frozen_tables() {
  static const CategoryCodes::Tables tables = {
      {std::string(kOp),
       {{"conv", 0},
        {"convert", 1},
        {"max_pool", 2},
        {"avg_pool_include", 3},
        {"avg_pool_exclude", 4},
        {"activation", 5},
        {"add", 6},
        {"concat", 7},
        {"fully_connected", 8},
        {"softmax", 9},
        {"lrn", 10},
        {"upsample_nearest", 11},
        {"upsample_bilinear", 12},
        {"upsample_corners", 13},
        {"multiply", 14},
        {"subtract", 15},
        {"divide", 16},
        {"slice", 17},
        {"shuffle", 18},
        {"pad", 19},
        {"depth_to_space", 20},
        {"transpose", 21},
        {"layer_norm", 22}}},
      {std::string(kActivation),
       {{"none", 0},
        {"relu", 1},
        {"clip", 2},
        {"leaky_relu", 3},
        {"elu", 4},
        {"sigmoid", 5},
        {"tanh", 6},
        {"swish", 7},
        {"hard_sigmoid", 8},
        {"hard_swish", 9},
        {"gelu", 10},
        {"erf", 11},
        {"exp", 12},
        {"pow", 13}}},
      {std::string(kAlgorithm),
       {{"unknown", 0},
        {"direct", 1},
        {"gemm", 2},
        {"indirect", 3},
        {"kn2row", 4},
        {"winograd", 5},
        {"fft", 6},
        {"copy", 7},
        {"mec", 8}}},
      {std::string(kLayout), {{"nchw", 0}, {"nhwc", 1}, {"nChw8c", 2}, {"nChw16c", 3}}},
      {std::string(kVendor), {{"other", 0}, {"amd", 1}, {"intel", 2}, {"arm", 3}, {"apple", 4}}}};
  return tables;
}

float code_in(const CategoryCodes::Table& table, std::string_view name) {
  const auto at = table.find(name);
  return at == table.end() ? std::numeric_limits<float>::quiet_NaN()
                           : static_cast<float>(at->second);
}

template <class E>
std::vector<float> codes_of(const CategoryCodes::Table& table) {
  std::vector<float> codes;
  for_each_value<E>([&](E value) { codes.push_back(code_in(table, to_string(value))); });
  return codes;
}

void append(CategoryCodes::Table& table, std::string_view name) {
  int next = 0;
  for (const auto& [known, code] : table) next = std::max(next, code + 1);
  table.try_emplace(std::string(name), next);
}

template <class E>
void append_all(CategoryCodes::Table& table) {
  for_each_value<E>([&](E value) { append(table, to_string(value)); });
}

}  // namespace

CategoryCodes::CategoryCodes(Tables tables)
    : tables_(std::move(tables)),
      op_(codes_of<Op>(tables_.at(std::string(kOp)))),
      activation_(codes_of<ActivationKind>(tables_.at(std::string(kActivation)))),
      algorithm_(codes_of<Algorithm>(tables_.at(std::string(kAlgorithm)))),
      layout_(codes_of<Layout>(tables_.at(std::string(kLayout)))) {
  const auto types = tables_.find(kType);
  type_ = codes_of<DataType>(types == tables_.end() ? Table() : types->second);
  const Table& vendors = tables_.at(std::string(kVendor));
  for (const Vendor& vendor : kVendors) vendor_.push_back(code_in(vendors, vendor.category));
}

float CategoryCodes::of_vendor(std::string_view vendor) const {
  return vendor_[vendor_index(vendor)];
}

const CategoryCodes& CategoryCodes::frozen() {
  static const CategoryCodes codes(frozen_tables());
  return codes;
}

const CategoryCodes& CategoryCodes::current() {
  static const CategoryCodes codes = [] {
    Tables tables = frozen_tables();
    append_all<Op>(tables[std::string(kOp)]);
    append_all<ActivationKind>(tables[std::string(kActivation)]);
    append_all<Algorithm>(tables[std::string(kAlgorithm)]);
    append_all<Layout>(tables[std::string(kLayout)]);
    append_all<DataType>(tables[std::string(kType)]);
    tables[std::string(kUnit)];
    for (const Vendor& vendor : kVendors) append(tables[std::string(kVendor)], vendor.category);
    return CategoryCodes(std::move(tables));
  }();
  return codes;
}

Result<CategoryCodes> CategoryCodes::create(Tables tables) {
  for (const auto& [feature, unused] : frozen_tables()) {
    if (!tables.contains(feature)) {
      return make_error(ErrorCode::bad_input, "has no codes for the feature '" + feature + "'");
    }
  }
  for (const auto& [feature, table] : tables) {
    std::set<int> codes;
    for (const auto& [name, code] : table) {
      if (!codes.insert(code).second) {
        return make_error(ErrorCode::bad_input, "gives the code " + std::to_string(code) +
                                                    " of the feature '" + feature +
                                                    "' to two categories");
      }
    }
  }
  return CategoryCodes(std::move(tables));
}

}  // namespace convopt
