#include "src/tune/recorded_registry.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace convopt {
namespace {

class RecordedPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  struct Record {
    std::size_t workspace_bytes = 0, packed_bytes = 0;
  };
  void add(std::string workload, const Record& record) { records_[std::move(workload)] = record; }

  Applicability applicability(const Workload& workload, const Context&) const override {
    return find(workload) != nullptr ? Applicability::yes() : Applicability::no("was not timed");
  }
  std::size_t workspace_bytes(const Workload& workload, const Context&) const override {
    const Record* record = find(workload);
    return record == nullptr ? 0 : record->workspace_bytes;
  }
  std::size_t packed_bytes(const Workload& workload, const Context&) const override {
    const Record* record = find(workload);
    return record == nullptr ? 0 : record->packed_bytes;
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload&, const Parameters&,
                                              const Context&) const override {
    return make_error(ErrorCode::environment,
                      "primitive " + info().name + " is known from a profile only");
  }

 private:
  const Record* find(const Workload& workload) const {
    const auto at = records_.find(workload.text());
    return at == records_.end() ? nullptr : &at->second;
  }

  std::unordered_map<std::string, Record> records_;
};

}  // namespace

RecordedRegistry::RecordedRegistry(const Profile& profile, const Platform& platform)
    : PrimitiveList({platform.isa, platform.threads}) {
  std::unordered_set<std::string_view> runs;
  std::map<std::string_view, const PrimitiveInfo*> infos;
  for (const RunHeader& header : profile.runs) {
    if (header.platform.id() != platform.id()) continue;
    runs.insert(header.run);
    for (const auto& [name, version] : header.libraries) libraries_[name] = version;
    for (const PrimitiveInfo& info : header.primitives) infos[info.name] = &info;
  }
  std::unordered_map<std::string_view, RecordedPrimitive*> by_name;
  for (const auto& [name, info] : infos) {
    by_name[name] = &keep(std::make_unique<RecordedPrimitive>(*info));
  }
  for (const Measurement& m : profile.measurements) {
    if (m.status != MeasurementStatus::ok && m.status != MeasurementStatus::censored) continue;
    if (!runs.contains(m.run)) continue;
    const auto primitive = by_name.find(m.primitive);
    if (primitive == by_name.end()) continue;
    primitive->second->add(m.workload.text(), {m.workspace_bytes, m.packed_bytes});
  }
}

}  // namespace convopt
