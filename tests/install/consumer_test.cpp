// convopt as a program outside meets it: installed into a prefix, found by find_package, linked.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "convopt/npy.hpp"

namespace convopt {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class Consumer : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = fs::temp_directory_path() / ("convopt-install-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    setenv("XDG_DATA_HOME", (folder_ / "data").c_str(), 1);
    const std::string prefix = (folder_ / "prefix").string();
    ASSERT_EQ(shell(CONVOPT_CMAKE " --install " CONVOPT_BINARY_DIR " --prefix " + prefix), 0)
        << output();
    ASSERT_EQ(shell(CONVOPT_CMAKE " -S " CONVOPT_SOURCE_DIR "/examples -B " + file("build") +
                    " -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=" CONVOPT_CXX
                    " '-DCMAKE_CXX_FLAGS=" CONVOPT_CXX_FLAGS "' -DCMAKE_PREFIX_PATH=" +
                    prefix),
              0)
        << output();
    ASSERT_EQ(shell(CONVOPT_CMAKE " --build " + file("build")), 0) << output();
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static std::string file(const std::string& name) { return (folder_ / name).string(); }
  static std::string output() { return text_of(folder_ / "out"); }
  static int shell(const std::string& command) {
    const int status = std::system((command + " >" + file("out") + " 2>&1").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  static inline fs::path folder_;
};

TEST_F(Consumer, NoHeaderNeedsAnotherLibrary) {
  for (const auto& entry : fs::directory_iterator(folder_ / "prefix/include/convopt")) {
    std::istringstream lines(text_of(entry.path()));
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("#include")) continue;
      const bool own = line.starts_with("#include \"convopt/");
      const bool standard = line.starts_with("#include <") && line.find('/') == line.npos &&
                            line.find(".h") == line.npos;
      // The header in C names those of C.
      const bool of_c = entry.path().extension() == ".h" && line.starts_with("#include <std");
      if (of_c) continue;
      EXPECT_TRUE(own || standard) << entry.path() << ": " << line;
    }
  }
}

TEST_F(Consumer, HasManPagesAndCompletions) {
  for (const char* page :
       {"man/man1/convopt.1", "man/man1/convopt-select.1", "bash-completion/completions/convopt"}) {
    EXPECT_FALSE(text_of(folder_ / "prefix/share" / page).empty()) << page;
  }
}

TEST_F(Consumer, ClassifiesLikeTheCommandLine) {
  const std::string network = file("prefix/share/convopt/networks/squeezenet1_1.json");
  const std::string convopt = file("prefix/bin/convopt");
  // The installed program finds the installed model.
  ASSERT_EQ(shell(convopt + " select " + network + " --threads 1 -o " + file("plan.json")), 0)
      << output();
  NpyArray image{{1, 3, 224, 224}, std::vector<float>(3 * 224 * 224)};
  for (std::size_t i = 0; i < image.values.size(); ++i) {
    image.values[i] = static_cast<float>(i % 97) / 48 - 1;
  }
  std::ofstream(file("x.npy")) << to_npy(image);
  ASSERT_EQ(shell(convopt + " run " + network + " --plan " + file("plan.json") +
                  " --repeat 1 --input " + file("x.npy") + " --output " + file("y.npy")),
            0)
      << output();
  const auto scores = load_npy(file("y.npy"));
  ASSERT_TRUE(scores.ok()) << scores.error().message;
  const auto best = std::ranges::max_element(scores->values);

  const std::string arguments = " " + network + " " + file("plan.json") + " ";
  ASSERT_EQ(shell(file("build/classify") + arguments + file("x.npy")), 0) << output();
  std::istringstream lines(output());
  int label = -1;
  float score = 0;
  ASSERT_TRUE(lines >> label >> score) << output();
  EXPECT_EQ(label, best - scores->values.begin());
  EXPECT_NEAR(score, *best, 1e-5 * std::abs(*best));
  EXPECT_EQ(std::ranges::count(output(), '\n'), 5);

  EXPECT_EQ(shell(file("build/classify") + arguments + file("y.npy")), 3);
  EXPECT_EQ(shell(file("build/classify") + arguments + file("missing.npy")), 1);
}

TEST_F(Consumer, UsesOnePlannedConvolution) {
  const std::string program =
      file("build/planned_convolution") + " " + file("prefix/share/convopt/models/default.ubj");
  const std::string shape = " n1_ic16_ih20_iw20_oc24_kh3_kw3_s1_p1";
  ASSERT_EQ(shell(program + shape), 0) << output();
  EXPECT_NE(output().find("1. "), std::string::npos) << output();
  EXPECT_NE(output().find("in the middle is 144\n"), std::string::npos) << output();
  ASSERT_EQ(shell(program + shape + " winograd_f2x2_k3_nChw8c"), 0) << output();
  EXPECT_NE(output().find("in the middle is 144\n"), std::string::npos) << output();
  EXPECT_EQ(shell(program + shape + " magic"), 2);
  EXPECT_EQ(shell(program + " n1_ic0"), 1) << output();
}

TEST_F(Consumer, AProjectInCIsToldThatStaticLibrariesAreLinkedAsCpp) {
  fs::create_directories(folder_ / "only_c");
  std::ofstream(file("only_c/CMakeLists.txt"))
      << "cmake_minimum_required(VERSION 3.22)\nproject(only_c LANGUAGES C)\n"
         "find_package(convopt 0.1 REQUIRED COMPONENTS runtime)\n";
  EXPECT_NE(shell(CONVOPT_CMAKE " -S " + file("only_c") + " -B " + file("only_c/build") +
                  " -G Ninja -DCMAKE_PREFIX_PATH=" + file("prefix")),
            0);
  EXPECT_NE(output().find("LANGUAGES C CXX"), std::string::npos) << output();
}

TEST_F(Consumer, TheRuntimeRunsBundlesFromCppAndC) {
  // Built by itself, with nothing but the runtime found.
  ASSERT_EQ(shell(CONVOPT_CMAKE " -S " CONVOPT_SOURCE_DIR "/examples -B " + file("light") +
                  " -G Ninja -DCMAKE_BUILD_TYPE=Release -DRUNTIME_ONLY=ON"
                  " -DCMAKE_CXX_COMPILER=" CONVOPT_CXX " '-DCMAKE_CXX_FLAGS=" CONVOPT_CXX_FLAGS
                  "' -DCMAKE_PREFIX_PATH=" +
                  file("prefix")),
            0)
      << output();
  ASSERT_EQ(shell(CONVOPT_CMAKE " --build " + file("light")), 0) << output();
  for (const char* program : {"run_bundle", "run_bundle_c"}) {
    ASSERT_EQ(shell("ldd " + file("light/") + program), 0) << output();
    for (const char* library : {"xgboost", "protobuf", "onnx", "spdlog", "libz."})
      EXPECT_EQ(output().find(library), std::string::npos) << program << "\n" << output();
  }

  const std::string network = file("prefix/share/convopt/networks/squeezenet1_1.json");
  const std::string convopt = file("prefix/bin/convopt");
  ASSERT_EQ(shell(convopt + " select " + network + " --threads 1 -o " + file("plan.json")), 0)
      << output();
  ASSERT_EQ(shell(convopt + " bundle " + network + " --plan " + file("plan.json") + " -o " +
                  file("b.convopt")),
            0)
      << output();
  ASSERT_EQ(shell(file("light/run_bundle ") + file("b.convopt")), 0) << output();
  EXPECT_NE(output().find("input input: 1 3 224 224\n"), std::string::npos) << output();
  EXPECT_NE(output().find(" us "), std::string::npos) << output();

  // Zeros by the command line.
  NpyArray image{{1, 3, 224, 224}, std::vector<float>(3 * 224 * 224)};
  std::ofstream(file("zeros.npy")) << to_npy(image);
  ASSERT_EQ(shell(convopt + " run " + file("b.convopt") + " --repeat 1 --input " +
                  file("zeros.npy") + " --output " + file("y.npy")),
            0)
      << output();
  const auto expected = load_npy(file("y.npy"));
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  ASSERT_EQ(shell(file("light/run_bundle_c ") + file("b.convopt")), 0) << output();
  std::istringstream line(output());
  std::string name;
  float first = 0;
  ASSERT_TRUE(line >> name >> first) << output();
  EXPECT_NEAR(first, expected->values.front(), 1e-4 * std::abs(first));

  // Planned in C; the program convopt, which measures, is found in PATH.
  setenv("CONVOPT_TEST_CLOCK", "1", 1);
  setenv("PATH", (file("prefix/bin:") + std::getenv("PATH")).c_str(), 1);
  for (const char* seconds : {"", " 1"}) {
    ASSERT_EQ(shell(file("build/plan_bundle_c ") + network + " " + file("c.convopt") + seconds), 0)
        << output();
    ASSERT_EQ(shell(file("light/run_bundle_c ") + file("c.convopt")), 0) << output();
    std::istringstream planned(output());
    ASSERT_TRUE(planned >> name >> first) << output();
    EXPECT_NEAR(first, expected->values.front(), 1e-4 * std::abs(first));
  }
  unsetenv("CONVOPT_TEST_CLOCK");
  EXPECT_EQ(shell(file("build/plan_bundle_c /no/such/file ") + file("d.convopt")), 1);
  EXPECT_NE(output().find("/no/such/file"), std::string::npos) << output();

  // Without CMake, as docs/guide/install.md says.
  ASSERT_EQ(shell("cc -std=c99 -I " + file("prefix/include") +
                  " -c " CONVOPT_SOURCE_DIR "/examples/run_bundle.c -o " + file("run_bundle.o") +
                  " && " CONVOPT_CXX " " CONVOPT_CXX_FLAGS " " + file("run_bundle.o") + " -L " +
                  file("prefix/lib") + " -lconvopt_runtime -ldnnl -fopenmp -o " + file("by_hand")),
            0)
      << output();
  EXPECT_EQ(shell(file("by_hand ") + file("c.convopt")), 0) << output();

  EXPECT_EQ(shell(file("light/run_bundle ") + network), 1);
  EXPECT_NE(output().find("is no bundle of convopt"), std::string::npos) << output();
  EXPECT_EQ(shell(file("light/run_bundle_c /no/such/file")), 1);
}

}  // namespace
}  // namespace convopt
