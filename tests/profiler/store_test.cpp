#include "profiler/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <fstream>
#include <map>
#include <unordered_set>

#include "core/files.h"
#include "core/json.h"

namespace convopt {
namespace {

namespace fs = std::filesystem;

class Store : public testing::Test {
 protected:
  Store() {
    folder_ = fs::temp_directory_path() / ("convopt-store-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    path_ = folder_ / "profile.jsonl";
    header_.run = "run1";
    header_.platform.machine.vendor = "AuthenticAMD";
    header_.platform.isa = Isa::avx2;
    header_.platform.threads = 2;
    header_.libraries = {{"onednn", "2.6.3+12345678"}};
  }
  ~Store() override { fs::remove_all(folder_); }

  Measurement measurement(int channels, double ns) const {
    Measurement m;
    m.run = header_.run;
    m.workload = Workload::pointwise(Op::convert, {1, channels, 8, 8});
    m.primitive = "convert_nchw_nhwc";
    m.revision = "1";
    m.isa = Isa::avx2;
    m.threads = 2;
    m.samples_ns = {ns, ns};
    m.median_ns = ns;
    return m;
  }
  void write(const std::vector<Measurement>& measurements) {
    auto writer = ProfileWriter::open(path_);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    ASSERT_TRUE(writer->write(header_).ok());
    for (const auto& m : measurements) ASSERT_TRUE(writer->write(m).ok());
  }
  /// The second one in `path_`; returns where the first one is.
  fs::path write_two_runs(const std::vector<Measurement>& first,
                          const std::vector<Measurement>& second) {
    write(first);
    const fs::path elsewhere = folder_ / "first.jsonl";
    fs::rename(path_, elsewhere);
    header_.run = "run2";
    write(second);
    return elsewhere;
  }
  void append(const std::string& text) const { std::ofstream(path_, std::ios::app) << text; }

  fs::path folder_, path_;
  RunHeader header_;
};

TEST_F(Store, KeepsEverything) {
  Measurement m = measurement(8, 123.4);
  m.mad_ns = 1.5;
  m.prepare_ns = 5000;
  m.packed_bytes = 4096;
  m.workspace_bytes = 128;
  m.max_relative_error = 1e-7;
  m.sentinel = 1.125;
  write({m});
  const auto loaded = load_profile(path_);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  ASSERT_EQ(loaded->profile.measurements.size(), 1U);
  const Measurement& back = loaded->profile.measurements[0];
  EXPECT_EQ(back.workload.text(), m.workload.text());
  EXPECT_EQ(back.samples_ns, m.samples_ns);
  EXPECT_EQ(back.mad_ns, m.mad_ns);
  EXPECT_EQ(back.prepare_ns, m.prepare_ns);
  EXPECT_EQ(back.packed_bytes, m.packed_bytes);
  EXPECT_EQ(back.max_relative_error, m.max_relative_error);
  EXPECT_EQ(back.sentinel, m.sentinel);
  EXPECT_EQ(loaded->profile.header("run1")->libraries, header_.libraries);
  EXPECT_TRUE(loaded->warnings.empty());
}

TEST_F(Store, SkipsTornAndForeignLinesAnywhere) {
  write({measurement(8, 100)});
  append("{\"run\":\"run1\",\"workload\":\"conv:n1_ic");  // cut off
  write({measurement(16, 200)});                          // starts a line of its own
  append("not json at all\n[1,2]\n\n{\"run\":\"unknown\"}\n");
  write({measurement(24, 300)});
  const auto loaded = load_profile(path_);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->profile.measurements.size(), 3U);
  ASSERT_EQ(loaded->warnings.size(), 4U);
  EXPECT_NE(loaded->warnings[0].find(":3:"), std::string::npos) << loaded->warnings[0];
}

TEST_F(Store, CountsLinesThatAreWrongAlike) {
  write({measurement(8, 100)});
  for (int line = 0; line < 10; ++line) append("torn\n");
  const auto loaded = load_profile(path_);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  ASSERT_EQ(loaded->warnings.size(), 4U);
  EXPECT_NE(loaded->warnings[3].find("7 lines more"), std::string::npos) << loaded->warnings[3];
}

TEST_F(Store, ReadsFewWorkloadsOfALargeProfile) {
  const auto chosen = [&](int channels) { return measurement(channels, 0).workload.text(); };
  const std::unordered_set<std::string> workloads{chosen(7), chosen(12), chosen(5000)};
  const fs::path index = path_.string() + ".index";
  // What reading everything finds of them.
  const auto expect_same = [&](bool keep) {
    const auto all = load_profile(path_);
    ASSERT_TRUE(all.ok());
    std::vector<std::string> expected, found;
    for (const Measurement& m : all->profile.measurements) {
      if (workloads.contains(m.workload.text())) expected.push_back(m.run + to_json(m).dump());
    }
    const auto few = load_profile(path_, {.workloads = &workloads, .keep_index = keep});
    ASSERT_TRUE(few.ok()) << few.error().message;
    for (const Measurement& m : few->profile.measurements)
      found.push_back(m.run + to_json(m).dump());
    EXPECT_EQ(found, expected);
    EXPECT_LE(few->profile.runs.size(), 3U);
  };
  const auto write_run = [&](const std::string& run, double ns) {
    header_.run = run;
    std::vector<Measurement> measurements;
    for (int channels = 1; channels <= 1500; ++channels) {
      measurements.push_back(measurement(channels, ns + channels));
      measurements.back().samples_ns.assign(120, ns);
    }
    write(measurements);
  };
  write_run("run1", 100);
  expect_same(false);
  EXPECT_FALSE(fs::exists(index));
  expect_same(true);
  ASSERT_TRUE(fs::exists(index));
  expect_same(true);

  header_.run = "run2";
  write({measurement(5000, 17), measurement(12, 9)});
  append("{\"run\":\"run2\",\"workload\":\"" + chosen(12));  // cut off
  expect_same(true);
  write_run("run3", 50);
  expect_same(true);

  // Neither damage nor another profile in its place mislead.
  std::ofstream(index, std::ios::binary | std::ios::in).seekp(80).write("damaged", 7);
  expect_same(true);
  fs::remove(path_);
  write_run("run4", 300);
  expect_same(true);
  fs::remove_all(index);
  fs::create_directory(index);  // cannot be written
  expect_same(true);
}

TEST_F(Store, AnIndexedProfileTellsOfDamagedLines) {
  write({measurement(8, 100)});
  append("not json at all\n");
  const std::unordered_set<std::string> workloads{measurement(8, 0).workload.text()};
  const auto loaded = load_profile(path_, {.workloads = &workloads, .keep_index = true});
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded->warnings.size(), 1U);
  EXPECT_NE(loaded->warnings[0].find(":3:"), std::string::npos) << loaded->warnings[0];
}

TEST_F(Store, LastOkWins) {
  Measurement failed = measurement(8, 0);
  failed.status = MeasurementStatus::timeout;
  write({failed, measurement(8, 100), measurement(8, 90), failed});
  const auto loaded = load_profile(path_);
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded->profile.measurements.size(), 1U);
  EXPECT_EQ(loaded->profile.measurements[0].median_ns, 90);
}

TEST_F(Store, OtherRevisionLibraryOrModeIsAnotherKey) {
  const Measurement m = measurement(8, 100);
  Measurement revised = m;
  revised.revision = "2";
  RunHeader updated = header_, cold = header_, trained = header_, former = header_;
  updated.libraries["onednn"] = "3.0";
  former.protocol = 1;
  cold.timing_mode = TimingMode::cold_weights;
  trained.libraries["xgboost"] = "anything";
  EXPECT_NE(measurement_key(header_, m), measurement_key(header_, revised));
  EXPECT_NE(measurement_key(header_, m), measurement_key(updated, m));
  EXPECT_NE(measurement_key(header_, m), measurement_key(cold, m));
  EXPECT_NE(measurement_key(header_, m), measurement_key(former, m));
  EXPECT_EQ(measurement_key(header_, m), measurement_key(trained, m));
}

TEST_F(Store, TimesOfProtocol1LoseTheFetchingOfCode) {
  header_.protocol = 1;
  header_.timing_mode = TimingMode::cold_weights;
  Measurement library = measurement(8, 10000);
  library.primitive = "onednn_reorder_nchw_nhwc";
  write({measurement(8, 10000), library, measurement(16, 800)});
  const auto times = [](const fs::path& path, const LoadOptions& options = {}) {
    const auto loaded = load_profile(path, options);
    EXPECT_TRUE(loaded.ok());
    std::vector<double> result;
    for (const Measurement& m : loaded->profile.measurements) result.push_back(m.median_ns);
    return result;
  };
  const std::vector<double> recorded{10000, 10000, 800}, expected{9400, 7800, 400};
  EXPECT_EQ(times(path_), expected);
  EXPECT_EQ(times(path_, {.as_recorded = true}), recorded);

  // Merging changes no time.
  const fs::path merged = folder_ / "merged.jsonl";
  ASSERT_TRUE(merge_profiles({path_}, merged, false).ok());
  EXPECT_EQ(times(merged, {.as_recorded = true}), recorded);
  EXPECT_EQ(times(merged), expected);

  header_.timing_mode = TimingMode::warm;
  header_.run = "run2";
  fs::remove(path_);
  write({measurement(8, 10000)});
  EXPECT_EQ(times(path_), std::vector<double>{10000});
}

TEST_F(Store, HeadersWithoutAProtocolAreOfTheFirst) {
  write({measurement(8, 100)});
  std::ifstream file(path_);
  std::string line;
  std::getline(file, line);
  Json header = *parse_json(line, "header");
  EXPECT_EQ(header.at("protocol"), kTimingProtocol);
  header.erase("protocol");
  EXPECT_EQ(run_header_from_json(header)->protocol, 1);
  for (const int unknown : {-3, 0, kTimingProtocol + 1}) {
    header["protocol"] = unknown;
    const auto parsed = run_header_from_json(header);
    ASSERT_FALSE(parsed.ok()) << unknown;
    EXPECT_NE(parsed.error().message.find("timing protocol"), std::string::npos);
  }
}

TEST_F(Store, NoHeaderIsBadInput) {
  append("{\"run\":\"run1\"}\n");
  EXPECT_EQ(load_profile(path_).error().code, ErrorCode::bad_input);
  EXPECT_EQ(load_profile(folder_ / "absent").error().code, ErrorCode::bad_input);
  EXPECT_EQ(load_profile(folder_).error().code, ErrorCode::bad_input);
}

TEST_F(Store, RefusesToAppendToOtherFiles) {
  append("{\"name\":\"a network\"}\n");
  EXPECT_EQ(ProfileWriter::open(path_).error().code, ErrorCode::bad_input);
}

TEST_F(Store, AppendsToWhatOtherProgramsWroteWithBlanks) {
  append("{ \"schema\": \"convopt.profile/1\", \"run\": \"run1\"}\n");
  EXPECT_TRUE(ProfileWriter::open(path_).ok());
}

TEST_F(Store, ContinuesAHeaderThatWasCutOff) {
  append("{\"schema\":\"convopt.pro");
  write({measurement(8, 100)});
  const auto loaded = load_profile(path_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->profile.measurements.size(), 1U);
}

TEST_F(Store, FullDiskAndUnwritablePlaceAreErrors) {
  if (fs::exists("/dev/full")) {
    auto writer = ProfileWriter::open("/dev/full");
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    const auto written = writer->write(header_);
    ASSERT_FALSE(written.ok());
    EXPECT_EQ(written.error().code, ErrorCode::environment);
    EXPECT_NE(written.error().message.find("No space"), std::string::npos);
  }
  append("{\"schema\":\"convopt.profile/1\"");
  EXPECT_EQ(ProfileWriter::open(path_ / "below-a-file").error().code, ErrorCode::environment);
  EXPECT_EQ(ProfileWriter::open(folder_).error().code, ErrorCode::environment);
}

TEST_F(Store, TwoProcessesWriteOneFile) {
  constexpr int kEach = 500;
  std::vector<pid_t> children;
  for (int writer_index = 0; writer_index < 2; ++writer_index) {
    const pid_t child = fork();
    if (child == 0) {
      header_.run = "run" + std::to_string(writer_index);
      auto writer = ProfileWriter::open(path_);
      bool good = writer.ok() && writer->write(header_).ok();
      for (int i = 0; i < kEach && good; ++i) {
        Measurement m = measurement(1 + 2 * i + writer_index, 100);
        m.samples_ns.assign(100, 1.5);  // long lines
        good = writer->write(m).ok();
      }
      _exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const auto loaded = load_profile(path_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->profile.measurements.size(), 2U * kEach);
  EXPECT_TRUE(loaded->warnings.empty());
}

TEST_F(Store, MergesKeepingTheFastest) {
  const fs::path first = write_two_runs({measurement(8, 100), measurement(16, 200)},
                                        {measurement(8, 150), measurement(16, 150)});
  const fs::path merged = folder_ / "merged.jsonl";
  const auto times = [&](bool fastest) {
    EXPECT_TRUE(merge_profiles({first, path_}, merged, fastest).ok());
    const auto loaded = load_profile(merged);
    EXPECT_TRUE(loaded.ok());
    std::vector<double> result;
    for (const Measurement& m : loaded->profile.measurements) result.push_back(m.median_ns);
    return result;
  };
  EXPECT_EQ(times(false), (std::vector<double>{150, 150}));
  EXPECT_EQ(times(true), (std::vector<double>{100, 150}));
}

TEST_F(Store, MergesCompressesAndReadsBack) {
  const fs::path first = write_two_runs({measurement(8, 100), measurement(16, 200)},
                                        {measurement(16, 150), measurement(24, 300)});
  append("torn");
  const fs::path merged = folder_ / "merged.jsonl.gz";
  const auto warnings = merge_profiles({first, path_, first}, merged);
  ASSERT_TRUE(warnings.ok()) << warnings.error().message;
  EXPECT_EQ(warnings->size(), 1U);
  const auto loaded = load_profile(merged);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->profile.measurements.size(), 3U);
  EXPECT_TRUE(loaded->warnings.empty());
  std::ifstream file(merged, std::ios::binary);
  EXPECT_EQ(file.get(), 0x1f);  // really compressed
  EXPECT_EQ(ProfileWriter::open(merged).error().code, ErrorCode::usage);

  // Half of it: what can be unpacked is used.
  fs::resize_file(merged, fs::file_size(merged) - 12);
  const auto torn = load_profile(merged);
  ASSERT_TRUE(torn.ok()) << torn.error().message;
  EXPECT_FALSE(torn->warnings.empty());
}

TEST_F(Store, ReadsOnlyWhatIsAskedFor) {
  write({measurement(8, 100), measurement(16, 200)});
  const std::unordered_set<std::string> wanted = {measurement(16, 0).workload.text()};
  const auto loaded = load_profile(path_, {&wanted});
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded->profile.measurements.size(), 1U);
  EXPECT_EQ(loaded->profile.measurements[0].median_ns, 200);
}

// Reading compares every workload's text with the one that it would be given today.
TEST(ShippedProfiles, AreReadInFull) {
  std::size_t measurements = 0;
  const auto folder = std::filesystem::path(CONVOPT_SOURCE_DIR) / "data" / "profiles";
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".gz") continue;
    const auto loaded = load_profile(file.path());
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    EXPECT_TRUE(loaded->warnings.empty()) << file.path() << ": " << loaded->warnings.front();
    measurements += loaded->profile.measurements.size();
  }
  EXPECT_GT(measurements, 100000U);
}

}  // namespace
}  // namespace convopt
