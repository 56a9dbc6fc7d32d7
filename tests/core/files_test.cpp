#include "core/files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/text.h"

namespace convopt {
namespace {
namespace fs = std::filesystem;

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("convopt_files_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(Files, AreReplacedAsAWholeAndLeaveNothingBehind) {
  const fs::path path = folder_ / "plan.json";
  ASSERT_TRUE(write_file_atomically(path, "one").ok());
  ASSERT_TRUE(write_file_atomically(path, "two").ok());
  EXPECT_EQ(*read_file(path), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(path.parent_path()), {}), 1);
}

TEST_F(Files, FoldersAreMadeOnlyInThePlaceForLocalData) {
  ::setenv("XDG_DATA_HOME", folder_.c_str(), 1);
  EXPECT_TRUE(write_file_atomically(local_data_dir() / "models/a.ubj", "x").ok());
  const auto elsewhere = write_file_atomically(folder_ / "models/a.ubj", "x");
  ASSERT_FALSE(elsewhere.ok());
  EXPECT_EQ(elsewhere.error().code, ErrorCode::environment);
  EXPECT_FALSE(fs::exists(folder_ / "models"));
  ::unsetenv("XDG_DATA_HOME");
}

TEST_F(Files, ALinkKeepsPointingAtItsTarget) {
  const fs::path target = folder_ / "target", link = folder_ / "link";
  ASSERT_TRUE(write_file_atomically(target, "old").ok());
  fs::create_symlink(target, link);
  ASSERT_TRUE(write_file_atomically(link, "new").ok());
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(*read_file(target), "new");
}

TEST_F(Files, FullAndImpossiblePlacesAreErrorsOfTheEnvironment) {
  for (const fs::path& path : {fs::path("/dev/full"), folder_, folder_ / "file/below"}) {
    if (path.filename() == "below") {
      ASSERT_TRUE(write_file_atomically(folder_ / "file", "x").ok());
    }
    const auto written = write_file_atomically(path, "content");
    ASSERT_FALSE(written.ok()) << path;
    EXPECT_EQ(written.error().code, ErrorCode::environment);
    EXPECT_NE(written.error().message.find(path.string()), std::string::npos);
  }
}

TEST_F(Files, MissingFilesAreNamed) {
  const auto content = read_file(folder_ / "absent");
  ASSERT_FALSE(content.ok());
  EXPECT_EQ(content.error().code, ErrorCode::bad_input);
}

TEST(Hash, IsTheDocumentedOne) {
  // Test vectors of FNV-1a, 64 bits.
  EXPECT_EQ(hex16(hash64("")), "cbf29ce484222325");
  EXPECT_EQ(hex16(hash64("a")), "af63dc4c8601ec8c");
  EXPECT_EQ(hex16(hash64("foobar")), "85944171f73967e8");
}

TEST(Names, CloseOnesAreSuggested) {
  EXPECT_EQ(closest_name("winogard", {"winograd", "direct"}), "winograd");
  EXPECT_EQ(closest_name("pad", {"groups", "padding"}), "padding");
  EXPECT_EQ(closest_name("xyz", {"winograd", "direct"}), "");
}

}  // namespace
}  // namespace convopt
