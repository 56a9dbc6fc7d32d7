#include "convopt/npy.hpp"

#include <gtest/gtest.h>

#include <random>

namespace convopt {
namespace {

/// A file as NumPy writes it, with `header` in place of its dictionary.
std::string file(std::string header, std::size_t floats, char version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += version;
  bytes += '\0';
  bytes += static_cast<char>(header.size());
  bytes += '\0';
  if (version >= 2) bytes.append(2, '\0');
  return bytes + header + std::string(floats * sizeof(float), '\0');
}

TEST(Npy, RoundTrip) {
  const NpyArray array{{1, 2, 3, 1}, {0.5F, -1, 2, 3, 4, 1e-30F}};
  const std::string bytes = to_npy(array);
  EXPECT_EQ((bytes.size() - 6 * sizeof(float)) % 64, 0U);
  const auto read = parse_npy(bytes, "a.npy");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->shape, array.shape);
  EXPECT_EQ(read->values, array.values);
}

TEST(Npy, KeepsTheTypeOfItsNumbers) {
  for (const DataType type : kDataTypes) {
    if (type == DataType::bf16) continue;  // NumPy has none
    SCOPED_TRACE(to_string(type));
    const NpyArray array{{3}, {0, 1, 1}, type};
    const auto read = parse_npy(to_npy(array), "a.npy");
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->type, type);
    EXPECT_EQ(read->values, array.values);
  }
  EXPECT_EQ(parse_npy(to_npy({{1}, {0.5F}, DataType::bf16}), "a.npy")->type, DataType::f32);
}

TEST(Npy, ReadsWhatNumPyWrites) {
  const auto vector =
      parse_npy(file("{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }  \n", 5), "v.npy");
  ASSERT_TRUE(vector.ok()) << vector.error().message;
  EXPECT_EQ(vector->shape, (std::vector<std::int64_t>{5}));
  const auto scalar =
      parse_npy(file("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", 1, 2), "s.npy");
  ASSERT_TRUE(scalar.ok()) << scalar.error().message;
  EXPECT_EQ(scalar->values.size(), 1U);
}

TEST(Npy, RefusesTheRestWithASentence) {
  const auto message = [](const std::string& bytes) {
    const auto read = parse_npy(bytes, "f.npy");
    EXPECT_FALSE(read.ok());
    return read.ok() ? std::string() : read.error().message;
  };
  EXPECT_EQ(message(""), "f.npy: it is no .npy file");
  EXPECT_EQ(message("PK\x03\x04 something else"), "f.npy: it is no .npy file");
  EXPECT_EQ(message(file("{                 }", 0).substr(0, 15)),
            "f.npy: its header is cut short");
  EXPECT_EQ(message(file("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", 2)),
            "f.npy: its values are of the type '<c8', which is not supported");
  EXPECT_EQ(message(file("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", 1)),
            "f.npy: it is in Fortran order");
  EXPECT_EQ(message(file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 1)),
            "f.npy: its header names no shape");
  EXPECT_EQ(message(file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 5)),
            "f.npy: it holds 20 bytes of data, but its shape has 6 elements");
  EXPECT_EQ(message(file("{'descr': '<f4', 'fortran_order': False, "
                         "'shape': (9223372036854775807, 9223372036854775807), }",
                         1)),
            "f.npy: its shape is too large");
}

TEST(Npy, DamagedFilesNeverCrash) {
  const std::string good = to_npy({{2, 3}, {1, 2, 3, 4, 5, 6}});
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = good.substr(0, random() % (good.size() + 1));
    for (int flips = 0; flips < 3 && !bytes.empty(); ++flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto read = parse_npy(bytes, "f.npy");
    if (!read.ok()) {
      EXPECT_EQ(read.error().code, ErrorCode::bad_input);
    }
  }
}

}  // namespace
}  // namespace convopt
