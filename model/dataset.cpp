#include "model/dataset.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <unordered_map>

#include "model/features.h"

namespace convopt {
namespace {

// Index of `key` in a list that grows with every new key.
template <class T>
class Interner {
 public:
  explicit Interner(std::vector<T>& list) : list_(list) {}
  template <class Make>
  std::size_t index(const std::string& key, Make&& make) {
    const auto [at, inserted] = indices_.try_emplace(key, list_.size());
    if (inserted) list_.push_back(make());
    return at->second;
  }

 private:
  std::vector<T>& list_;
  std::unordered_map<std::string, std::size_t> indices_;
};

// Indices into those elements of a list that are asked for, in the order of the first question.
template <class T>
class Selection {
 public:
  Selection(const std::vector<T>& all, std::vector<T>& own)
      : all_(all), own_(own), indices_(all.size(), kNone) {}
  std::size_t index(std::size_t of_all) {
    std::size_t& index = indices_[of_all];
    if (index == kNone) {
      index = own_.size();
      own_.push_back(all_[of_all]);
    }
    return index;
  }

 private:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  const std::vector<T>& all_;
  std::vector<T>& own_;
  std::vector<std::size_t> indices_;
};

// The same name with other traits (a register tile that depends on the ISA) is another entry.
std::string identity(const PrimitiveInfo& info, const Platform& platform) {
  return info.name + '@' + info.revision + '@' + std::string(to_string(platform.isa));
}

// Facts that a description holds besides its identifier, so that two measurements of one machine
// remain two platforms.
std::string identity(const Platform& platform) {
  const Machine& m = platform.machine;
  std::string text = platform.id() + '|' + m.name;
  for (const double value :
       {m.peak_gflops, m.peak_bf16_gflops, m.peak_int8_gops, m.l1_gbps, m.l2_gbps, m.l3_gbps,
        m.memory_gbps, double(m.l1d_bytes), double(m.l2_bytes), double(m.l3_bytes)}) {
    text += '|' + std::to_string(value);
  }
  return text;
}

// Fisher and Yates with SplitMix64: the same order with every standard library.
void shuffle(std::vector<std::size_t>& values, std::uint64_t seed) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::uint64_t z = (seed += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    std::swap(values[i - 1], values[(z ^ (z >> 31)) % i]);
  }
}

// Decisions depend on the fastest few primitives of a workload, so their errors matter most.
void set_relevance(Dataset& data) {
  std::map<std::pair<std::size_t, std::size_t>, double> best;
  for (const Sample& s : data.samples) {
    if (s.censored) continue;
    const auto [at, inserted] = best.try_emplace({s.platform, s.workload}, s.log_ns);
    if (!inserted) at->second = std::min(at->second, s.log_ns);
  }
  for (Sample& s : data.samples) {
    const auto at = best.find({s.platform, s.workload});
    if (at != best.end()) s.relevance = std::min(1.0, std::exp(at->second - s.log_ns));
  }
}

}  // namespace

DataType arithmetic_type(const PrimitiveInfo& primitive) {
  const std::array types = {primitive.input_type, primitive.output_type,
                            primitive.traits.type_of_weights()};
  const auto any = [&](DataType type) { return std::ranges::count(types, type) > 0; };
  if (any(DataType::s8) || any(DataType::u8)) return DataType::s8;
  return any(DataType::bf16) ? DataType::bf16 : DataType::f32;
}

std::string op_of(const PrimitiveInfo& primitive) { return std::string(to_string(primitive.op)); }

std::string kind_of(const PrimitiveInfo& primitive) {
  return op_of(primitive) + '/' + std::string(to_string(primitive.traits.algorithm));
}

std::string shape_group(const Workload& workload) {
  Workload plain = workload;
  plain.epilogue = {};
  return plain.text();
}

std::vector<std::size_t> Dataset::all_rows() const {
  std::vector<std::size_t> rows(samples.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

Dataset Dataset::only(DataType type) const {
  Dataset result;
  result.timing_mode = timing_mode;
  result.libraries = libraries;
  result.codes = codes;
  result.skipped = skipped;
  result.features.columns = features.columns;
  Selection<Platform> own_platforms(platforms, result.platforms);
  Selection<Workload> own_workloads(workloads, result.workloads);
  Selection<PrimitiveInfo> own_primitives(primitives, result.primitives);
  Selection<std::string> own_groups(groups, result.groups);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    Sample sample = samples[i];
    if (arithmetic_type(primitives[sample.primitive]) != type) continue;
    sample.platform = own_platforms.index(sample.platform);
    sample.workload = own_workloads.index(sample.workload);
    sample.primitive = own_primitives.index(sample.primitive);
    sample.group = own_groups.index(sample.group);
    sample.relevance = 1;
    result.samples.push_back(sample);
    const auto row = features.row(i);
    result.features.values.insert(result.features.values.end(), row.begin(), row.end());
  }
  set_relevance(result);
  return result;
}

Result<Dataset> make_dataset(std::span<const Profile> profiles, std::optional<TimingMode> mode,
                             const CategoryCodes& codes) {
  Dataset data;
  data.codes = codes;
  data.features.columns = feature_names().size();
  Interner<Platform> platforms(data.platforms);
  Interner<Workload> workloads(data.workloads);
  Interner<PrimitiveInfo> primitives(data.primitives);
  Interner<std::string> groups(data.groups);

  for (const Profile& profile : profiles) {
    struct Run {
      const RunHeader* header = nullptr;
      std::unordered_map<std::string_view, const PrimitiveInfo*> primitives;
    };
    std::unordered_map<std::string_view, Run> runs;
    for (const RunHeader& header : profile.runs) {
      if (mode && header.timing_mode != *mode) continue;
      Run& run = runs[header.run];
      run.header = &header;
      for (const PrimitiveInfo& info : header.primitives) run.primitives[info.name] = &info;
    }
    for (const Measurement& m : profile.measurements) {
      const bool censored = m.status == MeasurementStatus::censored;
      if (m.status != MeasurementStatus::ok && !censored) continue;
      const auto run = runs.find(m.run);
      if (run == runs.end()) continue;
      const RunHeader& header = *run->second.header;
      const auto info = run->second.primitives.find(m.primitive);
      if (info == run->second.primitives.end() || !(m.median_ns > 0) ||
          !std::isfinite(m.median_ns)) {
        ++data.skipped;
        continue;
      }
      if (data.samples.empty()) data.timing_mode = header.timing_mode;
      if (header.timing_mode != data.timing_mode) {
        return make_error(ErrorCode::bad_input,
                          "the profiles mix the timing modes " +
                              std::string(to_string(data.timing_mode)) + " and " +
                              std::string(to_string(header.timing_mode)) + "; choose one");
      }
      Sample sample;
      sample.platform = platforms.index(identity(header.platform), [&] { return header.platform; });
      sample.primitive =
          primitives.index(identity(*info->second, header.platform), [&] { return *info->second; });
      sample.workload = workloads.index(m.workload.text(), [&] { return m.workload; });
      const std::string group = shape_group(m.workload);
      sample.group = groups.index(group, [&] { return group; });
      sample.censored = censored;
      sample.log_ns = std::log(m.median_ns);
      data.samples.push_back(sample);
      for (const auto& [name, version] : header.libraries) data.libraries[name] = version;
    }
  }
  if (data.samples.empty()) {
    return make_error(ErrorCode::bad_input, "the profile holds no times to learn from");
  }

  std::vector<Capabilities> machines;
  for (const Platform& platform : data.platforms) machines.push_back(Capabilities::of(platform));
  data.features.values.resize(data.samples.size() * data.features.columns);
  for (std::size_t i = 0; i < data.samples.size(); ++i) {
    Sample& sample = data.samples[i];
    FeatureInput input;
    input.workload = &data.workloads[sample.workload];
    input.primitive = &data.primitives[sample.primitive];
    input.platform = &data.platforms[sample.platform];
    input.machine = &machines[sample.platform];
    input.codes = &data.codes;
    count_work(input, data.timing_mode);
    sample.log_expected = std::log(input.time.ns);
    sample.terms = cost_terms(input.work, unaligned_results(*input.workload, *input.primitive),
                              *input.machine, data.timing_mode);
    write_features(input, data.features.row(i));
  }
  set_relevance(data);
  return data;
}

std::vector<int> fold_of_group(const Dataset& data, int folds, std::uint64_t seed) {
  std::set<std::size_t> all;
  for (std::size_t g = 0; g < data.groups.size(); ++g) all.insert(g);
  return fold_of_group(data, all, folds, seed);
}

std::vector<int> fold_of_group(const Dataset& data, const std::set<std::size_t>& groups, int folds,
                               std::uint64_t seed) {
  // Sorted by name first, so that the order of records in a file changes nothing.
  std::vector<std::size_t> order(groups.begin(), groups.end());
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return data.groups[a] < data.groups[b]; });
  shuffle(order, seed);
  std::vector<int> fold(data.groups.size(), -1);
  for (std::size_t i = 0; i < order.size(); ++i) {
    fold[order[i]] = static_cast<int>(i % static_cast<std::size_t>(folds));
  }
  return fold;
}

}  // namespace convopt
