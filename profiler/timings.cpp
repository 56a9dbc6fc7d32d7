#include "profiler/timings.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <unordered_map>

#include "core/files.h"
#include "core/json.h"
#include "core/statistics.h"
#include "core/text.h"

namespace convopt {
namespace {

enum Column : std::size_t { kKernel, kMr, kNr, kM, kK, kN, kSeconds, kColumns };
constexpr std::array<std::string_view, kColumns> kColumnNames = {"kernel", "mr", "nr",     "m",
                                                                 "k",      "n",  "seconds"};

// No register file holds a tile of more rows or columns; Apple's matrix unit has 32 x 32.
constexpr int kLargestTile = 1024;
// A day. Whatever is longer is a wrong unit.
constexpr double kLongestSeconds = 86400;
// Below one clock cycle.
constexpr double kShortestSeconds = 1e-10;
// A table of another kind has as many bad rows as rows; that is one message, not thousands.
constexpr std::size_t kMostWarnings = 20;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.remove_suffix(1);
  }
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    return text.substr(1, text.size() - 2);
  }
  return text;
}

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields = split(line, ',');
  for (std::string_view& field : fields) field = trimmed(field);
  return fields;
}

/// Where each needed column stands.
Result<std::array<std::size_t, kColumns>> find_columns(std::string_view line,
                                                       const std::string& what) {
  const auto names = fields_of(line);
  std::array<std::size_t, kColumns> columns{};
  for (std::size_t c = 0; c < kColumns; ++c) {
    const auto at = std::ranges::find(names, kColumnNames[c]);
    if (at == names.end()) {
      return make_error(ErrorCode::bad_input, what + ": line 1 names no column '" +
                                                  std::string(kColumnNames[c]) +
                                                  "'; needed are kernel,mr,nr,m,k,n,seconds");
    }
    columns[c] = static_cast<std::size_t>(at - names.begin());
  }
  return columns;
}

struct Row {
  std::string_view kernel;
  int mr = 0, nr = 0, m = 0, k = 0, n = 0;
  double seconds = 0;
};

/// The row, or why it is none.
Result<Row> read_row(std::string_view line, const std::array<std::size_t, kColumns>& columns) {
  const auto bad = [](const std::string& why) { return make_error(ErrorCode::bad_input, why); };
  const auto fields = fields_of(line);
  const std::size_t needed = *std::ranges::max_element(columns) + 1;
  if (fields.size() < needed) {
    return bad("it has " + std::to_string(fields.size()) + " of " + std::to_string(needed) +
               " columns (a line that was cut off?)");
  }
  Row row;
  row.kernel = fields[columns[kKernel]];
  if (row.kernel.empty()) return bad("the kernel has no name");
  const auto integer = [&](Column column, int& value, int most) -> Result<void> {
    const std::string_view text = fields[columns[column]];
    const auto number = parse_number<int>(text);
    if (!number || *number < 1 || *number > most) {
      return bad(std::string(kColumnNames[column]) + " is " + in_quotes(text) +
                 ", not an integer from 1 to " + std::to_string(most));
    }
    value = *number;
    return {};
  };
  constexpr int kLargest = 1 << 30;
  for (const auto& [column, value, most] :
       {std::tuple{kMr, &row.mr, kLargestTile}, std::tuple{kNr, &row.nr, kLargestTile},
        std::tuple{kM, &row.m, kLargest}, std::tuple{kK, &row.k, kLargest},
        std::tuple{kN, &row.n, kLargest}}) {
    if (auto read = integer(column, *value, most); !read) return read.error();
  }
  const std::string_view text = fields[columns[kSeconds]];
  const auto seconds = parse_number<double>(text);
  if (!seconds || !(*seconds >= kShortestSeconds && *seconds <= kLongestSeconds)) {
    return bad("seconds is " + in_quotes(text) + ", not a time between 1e-10 and 86400");
  }
  row.seconds = *seconds;
  return row;
}

Workload product(const Row& row) {
  ConvShape shape;
  shape.ic = row.k;
  shape.iw = row.n;
  shape.oc = row.m;
  return Workload::conv(shape);
}

PrimitiveInfo primitive_of(const Row& row) {
  PrimitiveInfo info;
  info.name = std::string(row.kernel);
  info.family = "imported";
  info.description = "matrix product with a register tile of " + std::to_string(row.mr) + " x " +
                     std::to_string(row.nr);
  info.revision = "1";
  info.traits.algorithm = Algorithm::gemm;
  info.traits.cost = "im2col";
  info.traits.tile_oc = row.mr;
  info.traits.tile_pixels = row.nr;
  return info;
}

/// The highest level in the kernels' names; a CPU runs all lower ones as well.
Isa isa_of(const std::vector<PrimitiveInfo>& primitives) {
  struct Word {
    std::string_view word;
    Isa isa;
  };
  constexpr std::array kWords = {Word{"avx512", Isa::avx512}, Word{"avx", Isa::avx2},
                                 Word{"fma", Isa::avx2},      Word{"sse", Isa::sse4},
                                 Word{"neon", Isa::neon},     Word{"arm", Isa::neon},
                                 Word{"apple", Isa::neon}};
  for (const Word& word : kWords) {
    for (const PrimitiveInfo& info : primitives) {
      if (info.name.find(word.word) != std::string::npos) return word.isa;
    }
  }
  return Isa::scalar;
}

}  // namespace

Result<ImportedTimings> import_timings(std::string_view table, const std::string& what,
                                       const TimingsOptions& options) {
  ImportedTimings result;
  RunHeader header;
  header.timing_mode = options.timing_mode;
  header.platform.machine.vendor = options.vendor;
  header.platform.machine.name = options.name;
  header.platform.threads = options.threads;
  header.run = "import-" + hex16(hash64(table));

  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (table.starts_with(kByteOrderMark)) table.remove_prefix(kByteOrderMark.size());
  struct Seen {
    std::size_t index = 0, line = 0;
  };
  std::unordered_map<std::string, Seen> kernels;
  std::map<std::pair<std::string, std::string>, std::size_t> records;
  std::optional<std::array<std::size_t, kColumns>> columns;
  std::size_t number = 0, left_out = 0;
  for (std::size_t begin = 0; begin < table.size();) {
    const std::size_t end = std::min(table.find('\n', begin), table.size());
    const std::string_view line = trimmed(table.substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (line.empty() || line.front() == '#') continue;
    if (!columns) {
      auto found = find_columns(line, what);
      if (!found) return found.error();
      columns = *found;
      continue;
    }
    const auto leave_out = [&](const std::string& why) {
      if (++left_out <= kMostWarnings) {
        result.warnings.push_back(what + ": line " + std::to_string(number) +
                                  " is left out: " + why);
      }
    };
    const auto row = read_row(line, *columns);
    if (!row) {
      leave_out(row.error().message);
      continue;
    }
    Workload workload = product(*row);
    if (auto valid = workload.shape.validate(); !valid) {
      leave_out(valid.error().message);
      continue;
    }
    const auto [kernel, is_new] =
        kernels.try_emplace(std::string(row->kernel), Seen{header.primitives.size(), number});
    if (is_new) header.primitives.push_back(primitive_of(*row));
    const PrimitiveInfo& info = header.primitives[kernel->second.index];
    if (info.traits.tile_oc != row->mr || info.traits.tile_pixels != row->nr) {
      leave_out("kernel " + in_quotes(row->kernel) + " has another tile in line " +
                std::to_string(kernel->second.line));
      continue;
    }
    const auto [at, first] =
        records.try_emplace({info.name, workload.text()}, result.profile.measurements.size());
    if (first) {
      Measurement m;
      m.run = header.run;
      m.workload = std::move(workload);
      m.primitive = info.name;
      m.revision = info.revision;
      result.profile.measurements.push_back(std::move(m));
    }
    result.profile.measurements[at->second].samples_ns.push_back(row->seconds * 1e9);
  }
  if (left_out > kMostWarnings) {
    result.warnings.push_back(what + ": " + std::to_string(left_out - kMostWarnings) +
                              " more rows are left out");
  }
  if (result.profile.measurements.empty()) {
    return make_error(ErrorCode::bad_input, result.warnings.empty()
                                                ? what + " holds no times"
                                                : what + " holds no times; " + result.warnings[0]);
  }
  header.platform.isa = options.isa.value_or(isa_of(header.primitives));
  for (Measurement& m : result.profile.measurements) {
    m.isa = header.platform.isa;
    m.threads = header.platform.threads;
    m.median_ns = median(m.samples_ns);
    m.mad_ns = median_deviation(m.samples_ns, m.median_ns);
  }
  result.profile.runs.push_back(std::move(header));
  return result;
}

Result<ImportedTimings> import_timings(const std::filesystem::path& path, TimingsOptions options) {
  const auto table = read_file(path);
  if (!table) return table.error();
  if (options.name.empty()) {
    options.name = path.stem().string();
    std::ranges::replace(options.name, '_', ' ');
  }
  return import_timings(*table, path.filename().string(), options);
}

std::string profile_text(const Profile& profile) {
  std::string text;
  const auto add = [&](const Json& json) {
    text += json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  };
  for (const RunHeader& header : profile.runs) add(to_json(header));
  for (const Measurement& m : profile.measurements) add(to_json(m));
  return text;
}

}  // namespace convopt
