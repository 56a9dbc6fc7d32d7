// Sessions for Python: a model file, planned when the sizes of its inputs are known, and run on
// NumPy's arrays.
#include "convopt/session.hpp"

#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <climits>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convopt/bundle.hpp"
#include "convopt/network.hpp"
#include "convopt/planning.hpp"
#include "convopt/weights.hpp"
#include "src/python/bindings.h"
#include "src/python/watching.h"

namespace convopt::python {

namespace {

/// Plans of this many sets of input sizes are kept, with their packed weights.
constexpr std::size_t kMostKept = 8;
constexpr std::uint64_t kSeed = 1;  // of random weights, for networks without

/// The model for one set of input sizes, ready to run.
struct Prepared {
  std::string key;
  Plan plan;
  std::optional<Session> session;
  bool has_rest = false;
  std::vector<int> sources;              ///< per input of the session, that of the model
  std::vector<py::object> result_types;  ///< NumPy's, per output
};

/// How onnxruntime calls it.
std::string type_text(const std::optional<DataType>& type) {
  if (!type) return "tensor(unknown)";
  if (*type == DataType::f32) return "tensor(float)";
  if (*type == DataType::f64) return "tensor(double)";
  if (*type == DataType::bf16) return "tensor(bfloat16)";
  return "tensor(" + numpy_name(*type) + ")";
}

bool is_open(const DeclaredTensor& tensor) {
  return !tensor.sizes || std::ranges::any_of(*tensor.sizes, [](const DeclaredTensor::Size& size) {
    return size.size == 0;
  });
}

py::tuple described(const DeclaredTensor& tensor) {
  py::list sizes;
  if (tensor.sizes) {
    for (const auto& [size, symbol] : *tensor.sizes) {
      if (size > 0) {
        sizes.append(size);
      } else if (symbol.empty()) {
        sizes.append(py::none());
      } else {
        sizes.append(symbol);
      }
    }
  }
  return py::make_tuple(tensor.name, sizes, type_text(tensor.type));
}

std::string names_text(const std::vector<DeclaredTensor>& tensors) {
  std::string text;
  for (const DeclaredTensor& tensor : tensors)
    text += (text.empty() ? "'" : ", '") + tensor.name + "'";
  return text;
}

class InferenceSession {
 public:
  InferenceSession(std::filesystem::path path, const py::dict& options, std::optional<Plan> plan)
      : path_(std::move(path)), options_(plan_options(options)), plan_(std::move(plan)) {
    options_.rates = MachineRates::measured;
    set(options, "name", name_);
    const bool is_bundle = Bundle::is_bundle(path_);
    if (is_bundle) {
      // It was planned when it was made.
      for (const char* name : {"precision", "calibration", "cost_model", "profile"}) {
        if (!options.contains(name)) continue;
        raise(make_error(ErrorCode::usage, path_.string() +
                                               " is a bundle, whose plans settle the types of its "
                                               "tensors: " +
                                               name + " has no effect"));
      }
      only_ = open_bundle(options.contains("threads") ? options_.threads : 0);
    } else {
      border_ = without_lock([&] { return network_border(path_); });
    }
    for (const DeclaredTensor& input : border_.inputs) names_.emplace_back(input.name);
    for (const DeclaredTensor& output : border_.outputs) output_names_.emplace_back(output.name);
    is_fixed_ = std::ranges::none_of(border_.inputs, [](const DeclaredTensor& input) {
      return is_open(input) || input.decides;
    });
    if (is_fixed_ && !is_bundle) only_ = prepare({}, {}, {});
  }

  py::list inputs() const { return described_all(border_.inputs); }
  py::list outputs() const { return described_all(border_.outputs); }

  py::dict metadata() const {
    const ModelMetadata& model = border_.metadata;
    py::dict dict;
    dict["graph_name"] = model.graph_name;
    dict["producer_name"] = model.producer_name;
    dict["domain"] = model.domain;
    dict["description"] = model.description;
    dict["version"] = model.version;
    dict["custom_metadata_map"] = model.properties;
    return dict;
  }

  /// The plan that was used last; null before the first.
  std::shared_ptr<const Prepared> last() const {
    const py::gil_scoped_release release;
    const std::scoped_lock lock(mutex_);
    return is_fixed_ ? only_ : prepared_.empty() ? nullptr : prepared_.front();
  }

  /// Appends name, primitive and nanoseconds of each layer to `layer_times` unless that is None.
  py::list run(const py::object& wanted, const py::dict& feed, const py::object& layer_times) {
    const std::vector<std::size_t> order = outputs_wanted(wanted);
    std::vector<py::array> arrays = arrays_of(feed);
    const std::shared_ptr<Prepared> prepared = is_fixed_ ? only_ : prepared_for(arrays);
    std::vector<const void*> sources;
    std::vector<Layout> layouts;  // empty where all are row-major
    for (std::size_t i = 0; i < prepared->sources.size(); ++i) {
      py::array& array = arrays[static_cast<std::size_t>(prepared->sources[i])];
      if ((array.flags() & py::array::c_style) == 0) {  // channels last
        if (prepared->has_rest || !prepared->session->inputs()[i].shape.is_image()) {
          array = dense_array(array, "", std::nullopt);
        } else {
          layouts.resize(prepared->sources.size(), Layout::nchw);
          layouts[i] = Layout::nhwc;
        }
      }
      sources.push_back(array.data());
    }
    if (prepared->has_rest) return run_rest(*prepared, sources, order);
    if (layer_times.is_none()) return run_fixed(*prepared, sources, layouts, order, {});
    std::vector<LayerTime> times;
    RunOptions options;
    options.layer_times = &times;
    py::list results = run_fixed(*prepared, sources, layouts, order, options);
    for (const LayerTime& layer : times)
      layer_times.attr("append")(
          py::make_tuple(std::string(layer.name), std::string(layer.primitive), layer.ns));
    return results;
  }

 private:
  static py::list described_all(const std::vector<DeclaredTensor>& tensors) {
    py::list list;
    for (const DeclaredTensor& tensor : tensors) list.append(described(tensor));
    return list;
  }

  std::vector<std::size_t> outputs_wanted(const py::object& wanted) const {
    std::vector<std::size_t> order;
    // onnxruntime takes an empty list for all, too.
    if (!wanted.is_none()) {
      for (const py::handle name : wanted) {
        const auto found = std::ranges::find_if(
            output_names_, [&](const py::str& known) { return known.equal(name); });
        if (found == output_names_.end()) {
          raise(make_error(ErrorCode::usage, "the model has no output '" +
                                                 py::str(name).cast<std::string>() + "', only " +
                                                 names_text(border_.outputs)));
        }
        order.push_back(static_cast<std::size_t>(found - output_names_.begin()));
      }
    }
    if (order.empty()) {
      for (std::size_t i = 0; i < output_names_.size(); ++i) order.push_back(i);
    }
    return order;
  }

  /// One array per input, row-major or channels last, of its type and admissible shape.
  std::vector<py::array> arrays_of(const py::dict& feed) const {
    std::vector<py::array> arrays;
    arrays.reserve(names_.size());
    for (std::size_t i = 0; i < names_.size(); ++i) {
      PyObject* const given = PyDict_GetItemWithError(feed.ptr(), names_[i].ptr());
      if (given == nullptr) {
        if (PyErr_Occurred() != nullptr) throw py::error_already_set();
        raise(make_error(ErrorCode::usage, "no array is given for the input '" +
                                               border_.inputs[i].name + "'; the model takes " +
                                               names_text(border_.inputs)));
      }
      arrays.push_back(array_for(border_.inputs[i], given));
    }
    if (feed.size() == names_.size()) return arrays;
    for (const auto& given : feed) {
      const py::handle name = given.first;
      if (std::ranges::any_of(names_, [&](const py::str& known) { return known.equal(name); }))
        continue;
      raise(make_error(ErrorCode::usage, "the model has no input '" +
                                             py::str(name).cast<std::string>() + "', only " +
                                             names_text(border_.inputs)));
    }
    return arrays;
  }

  static py::array array_for(const DeclaredTensor& input, const py::handle& given) {
    py::array array = !input.decides && is_channels_last(given)
                          ? py::reinterpret_borrow<py::array>(given)
                          : dense_array(given, "the array for '" + input.name + "'", input.type);
    const auto type = type_of(array.dtype());
    if (input.type && type != input.type) {
      raise(make_error(ErrorCode::bad_input, "the input '" + input.name + "' takes " +
                                                 numpy_name(*input.type) + ", the array is of " +
                                                 py::str(array.dtype()).cast<std::string>() +
                                                 ": convert it by astype"));
    }
    if (!input.sizes) return array;
    bool fits = static_cast<std::size_t>(array.ndim()) == input.sizes->size();
    for (std::size_t d = 0; fits && d < input.sizes->size(); ++d) {
      const int size = (*input.sizes)[d].size;
      fits = size == 0 || array.shape(static_cast<py::ssize_t>(d)) == size;
    }
    if (!fits) {
      std::string sizes;
      for (const auto& [size, symbol] : *input.sizes) {
        sizes += (sizes.empty() ? "" : ", ") + (size > 0         ? std::to_string(size)
                                                : symbol.empty() ? "any"
                                                                 : symbol);
      }
      raise(make_error(ErrorCode::bad_input, "the input '" + input.name + "' has the shape (" +
                                                 sizes + "), the array " +
                                                 shape_text(shape_of(array))));
    }
    return array;
  }

  /// The prepared network for these sizes and values of control inputs, made at the first use.
  std::shared_ptr<Prepared> prepared_for(const std::vector<py::array>& arrays) {
    std::string key;
    InputShapes shapes;
    InputValues values;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      const DeclaredTensor& input = border_.inputs[i];
      key += shape_text(shape_of(arrays[i]));
      if (is_open(input)) {
        std::vector<int> sizes;
        for (const std::int64_t size : shape_of(arrays[i]))
          sizes.push_back(static_cast<int>(std::min<std::int64_t>(size, INT_MAX)));
        shapes.emplace_back(input.name, std::move(sizes));
      }
      if (input.decides) {
        key.append(static_cast<const char*>(arrays[i].data()),
                   static_cast<std::size_t>(arrays[i].nbytes()));
        const auto doubles =
            py::array_t<double, py::array::c_style | py::array::forcecast>::ensure(arrays[i]);
        if (!doubles) throw py::error_already_set();
        values.emplace_back(input.name,
                            std::vector<double>(doubles.data(), doubles.data() + doubles.size()));
      }
    }
    {
      const py::gil_scoped_release release;
      const std::scoped_lock lock(mutex_);
      const auto known = std::ranges::find(prepared_, key, [](const auto& p) { return p->key; });
      if (known != prepared_.end()) {
        prepared_.splice(prepared_.begin(), prepared_, known);
        return prepared_.front();
      }
    }
    auto prepared = prepare(key, shapes, values);
    std::shared_ptr<Prepared> dropped;  // destroyed with the lock of the interpreter alone
    {
      const py::gil_scoped_release release;
      const std::scoped_lock lock(mutex_);
      prepared_.push_front(prepared);
      if (prepared_.size() > kMostKept) {
        dropped = prepared_.back();
        prepared_.pop_back();
      }
    }
    return prepared;
  }

  std::shared_ptr<Prepared> prepare(const std::string& key, const InputShapes& shapes,
                                    const InputValues& values) {
    auto prepared = std::make_shared<Prepared>();
    prepared->key = key;
    std::vector<Tensor> inputs, outputs;
    const auto made = [&]() -> Result<void> {
      const py::gil_scoped_release release;
      auto network = load_network(path_, 0, shapes, values);
      if (!network) return network.error();
      if (!name_.empty() && network->name == path_.filename()) network->name = name_;
      auto plan = plan_ ? Result<Plan>(*plan_) : plan_network(*network, options_);
      if (!plan) return plan.error();
      auto session = Session::create(*network, *plan, *network_weights(*network, kSeed));
      if (!session) return session.error();
      prepared->plan = std::move(*plan);
      prepared->session.emplace(std::move(*session));
      prepared->has_rest = network->rest != nullptr;
      return {};
    }();
    check(made);
    bind_border(*prepared);
    return prepared;
  }

  /// By the plan that is given, else the best of the bundle's that can run here.
  std::shared_ptr<Prepared> open_bundle(int threads) {
    auto prepared = std::make_shared<Prepared>();
    const auto made = [&]() -> Result<void> {
      const py::gil_scoped_release release;
      const auto bundle = Bundle::open(path_);
      if (!bundle) return bundle.error();
      const Network& network = bundle->network();
      std::vector<PlanChoice> choices =
          plan_ ? std::vector<PlanChoice>{{*plan_, {}}} : bundle->choices({options_.isa, threads});
      Error error =
          make_error(ErrorCode::environment,
                     path_.string() + " has no plan for this processor, and no fall-back");
      for (PlanChoice& choice : choices) {
        auto session = Session::create(network, choice.plan, *network_weights(network, kSeed));
        if (session) {
          if (!choice.note.empty()) options_.messages.say(choice.note);
          prepared->plan = std::move(choice.plan);
          prepared->session.emplace(std::move(*session));
          border_ = {declared(network.named_inputs()), declared(network.named_outputs())};
          return {};
        }
        error = session.error();
      }
      return error;
    }();
    check(made);
    bind_border(*prepared);
    return prepared;
  }

  static std::vector<DeclaredTensor> declared(const std::vector<Tensor>& tensors) {
    std::vector<DeclaredTensor> result;
    for (const Tensor& tensor : tensors) {
      DeclaredTensor& entry = result.emplace_back();
      entry.name = tensor.name;
      entry.type = tensor.type;
      entry.sizes.emplace();
      for (const int size : tensor.shape.sizes()) entry.sizes->push_back({size, {}});
    }
    return result;
  }

  /// Which inputs of the model its network takes, and NumPy's types of its outputs.
  void bind_border(Prepared& prepared) const {
    for (const Tensor& input : prepared.session->inputs()) {
      const auto found = std::ranges::find(border_.inputs, input.name, &DeclaredTensor::name);
      if (found == border_.inputs.end()) {
        raise(make_error(ErrorCode::internal,
                         "the network's input '" + input.name + "' is none of the model's"));
      }
      prepared.sources.push_back(static_cast<int>(found - border_.inputs.begin()));
    }
    if (prepared.has_rest) return;
    for (const Tensor& output : prepared.session->outputs()) {
      prepared.result_types.push_back(numpy_type(output.type));
      if (!prepared.result_types.back().is_none()) continue;
      raise(make_error(ErrorCode::bad_input, "the output '" + output.name + "' is of " +
                                                 std::string(to_string(output.type)) +
                                                 ", which NumPy does not have"));
    }
  }

  /// `layouts`: of the sources, where not all are row-major; else empty.
  static py::list run_fixed(const Prepared& prepared, const std::vector<const void*>& sources,
                            const std::vector<Layout>& layouts,
                            const std::vector<std::size_t>& order, const RunOptions& options) {
    std::vector<py::array> results;
    std::vector<void*> destinations;
    const std::span<const Tensor> outputs = prepared.session->outputs();
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const std::span<const int> sizes = outputs[i].shape.sizes();
      results.emplace_back(py::reinterpret_borrow<py::dtype>(prepared.result_types[i]),
                           std::vector<py::ssize_t>(sizes.begin(), sizes.end()));
      destinations.push_back(results.back().mutable_data());
    }
    check([&] {
      const py::gil_scoped_release release;
      return layouts.empty()
                 ? prepared.session->run(std::span(sources), std::span(destinations), options)
                 : run_views(*prepared.session, sources, layouts, destinations, options);
    }());
    py::list list(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) list[i] = results[order[i]];
    return list;
  }

  static Result<void> run_views(const Session& session, const std::vector<const void*>& sources,
                                const std::vector<Layout>& layouts,
                                const std::vector<void*>& destinations, const RunOptions& options) {
    const auto bytes = [](const Tensor& tensor) {
      return static_cast<std::size_t>(tensor.shape.elements()) * element_bytes(tensor.type);
    };
    std::vector<InputView> inputs;
    std::vector<OutputView> outputs;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const Tensor& tensor = session.inputs()[i];
      inputs.push_back({tensor.name, sources[i], bytes(tensor), layouts[i]});
    }
    for (std::size_t i = 0; i < destinations.size(); ++i) {
      const Tensor& tensor = session.outputs()[i];
      outputs.push_back({tensor.name, destinations[i], bytes(tensor), Layout::nchw});
    }
    return session.run(std::span<const InputView>(inputs), std::span<const OutputView>(outputs),
                       options);
  }

  static py::list run_rest(const Prepared& prepared, const std::vector<const void*>& sources,
                           const std::vector<std::size_t>& order) {
    const auto arrays = without_lock([&] { return prepared.session->run(std::span(sources)); });
    py::list list(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Array& array = arrays[order[i]];
      const py::object type = numpy_type(array.type);
      if (type.is_none()) {
        raise(make_error(ErrorCode::bad_input, "the output '" + array.name + "' is of " +
                                                   std::string(to_string(array.type)) +
                                                   ", which NumPy does not have"));
      }
      py::array result(py::reinterpret_borrow<py::dtype>(type),
                       std::vector<py::ssize_t>(array.shape.begin(), array.shape.end()));
      std::ranges::copy(array.data, static_cast<std::byte*>(result.mutable_data()));
      list[i] = std::move(result);
    }
    return list;
  }

  std::filesystem::path path_;
  std::string name_;  ///< instead of the file's, where the network is named after that; or empty
  PlanOptions options_;
  std::optional<Plan> plan_;
  NetworkBorder border_;
  std::vector<py::str> names_, output_names_;
  bool is_fixed_ = false;
  std::shared_ptr<Prepared> only_;  ///< of a model whose sizes its file says
  mutable std::mutex mutex_;        ///< of the list; taken without the interpreter's lock
  std::list<std::shared_ptr<Prepared>> prepared_;  ///< the last used is the first
};

}  // namespace

void add_session(py::module_& module) {
  py::class_<InferenceSession>(module, "InferenceSession")
      .def(py::init<std::filesystem::path, const py::dict&, std::optional<Plan>>())
      .def("inputs", &InferenceSession::inputs)
      .def("outputs", &InferenceSession::outputs)
      .def("metadata", &InferenceSession::metadata)
      .def("plan",
           [](const InferenceSession& session) -> std::optional<Plan> {
             const auto last = session.last();
             return last ? std::optional(last->plan) : std::nullopt;
           })
      .def("memory",
           [](const InferenceSession& session) -> py::object {
             const auto last = session.last();
             if (!last) return py::none();
             const MemoryUse use = last->session->memory();
             py::dict bytes;
             bytes["packed_weights"] = use.packed_weights;
             bytes["tensors"] = use.tensors;
             bytes["workspace"] = use.workspace;
             return bytes;
           })
      .def("run", &InferenceSession::run, py::arg("names"), py::arg("feed"),
           py::arg("layer_times") = py::none());
}

}  // namespace convopt::python
