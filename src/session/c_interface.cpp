// convopt.h: sessions behind opaque handles.
#include <algorithm>
#include <array>
#include <cstddef>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "convopt/convopt.h"
#include "convopt/session.hpp"
#include "convopt/version.hpp"
#include "core/text.h"
#include "src/session/c_status.h"

// The numbers of the header are those of the library.
static_assert(static_cast<int>(convopt::DataType::u64) == CONVOPT_U64 &&
              static_cast<int>(convopt::DataType::boolean) == CONVOPT_BOOL &&
              static_cast<int>(convopt::DataType::s16) == CONVOPT_S16 &&
              convopt::kMaxRank == CONVOPT_MAX_RANK);

struct convopt_session {
  convopt::Session session;
};

struct convopt_cancellation {
  convopt::Cancellation cancellation;
};

namespace convopt {
namespace {

thread_local std::string last_error;

convopt_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::usage:
      return CONVOPT_USAGE;
    case ErrorCode::bad_input:
      return CONVOPT_BAD_INPUT;
    case ErrorCode::environment:
    case ErrorCode::partial:
      return CONVOPT_ENVIRONMENT;
    case ErrorCode::interrupted:
      return CONVOPT_CANCELLED;
    default:
      return CONVOPT_INTERNAL;
  }
}

Result<void> describe(std::span<const Tensor> tensors, std::size_t index, const char* what,
                      convopt_tensor* out) {
  if (out == nullptr) return null_pointer("tensor");
  if (index >= tensors.size()) {
    return make_error(ErrorCode::usage, "there is no " + std::string(what) + " " +
                                            std::to_string(index) + ": the network has " +
                                            counted(tensors.size(), what));
  }
  const Tensor& tensor = tensors[index];
  *out = {};
  out->name = tensor.name.c_str();
  out->type = static_cast<convopt_type>(tensor.type);
  out->rank = tensor.shape.rank();
  std::ranges::copy(tensor.shape.sizes(), out->sizes);
  out->bytes = static_cast<std::size_t>(tensor.shape.elements()) * element_bytes(tensor.type);
  return {};
}

template <class View>
Result<std::vector<View>> views_of(const convopt_buffer* buffers, std::size_t count,
                                   const char* what) {
  if (buffers == nullptr && count > 0) return null_pointer(what);
  std::vector<View> views;
  for (const convopt_buffer& buffer : std::span(buffers, count)) {
    if (buffer.name == nullptr) return null_pointer("name of a buffer");
    const auto layout = static_cast<int>(buffer.layout);
    if (layout != CONVOPT_NCHW && layout != CONVOPT_NHWC)
      return make_error(ErrorCode::usage, "a buffer has a layout that is neither nchw nor nhwc");
    views.push_back({buffer.name, buffer.data, buffer.bytes,
                     layout == CONVOPT_NHWC ? Layout::nhwc : Layout::nchw});
  }
  return views;
}

}  // namespace

convopt_status c_status(const Result<void>& result) noexcept {
  if (result) return CONVOPT_OK;
  try {
    last_error = result.error().message;
  } catch (...) {
    last_error.clear();
  }
  return status_of(result.error().code);
}

Error null_pointer(const char* what) {
  return make_error(ErrorCode::usage, "the pointer to the " + std::string(what) + " is null");
}

}  // namespace convopt

using namespace convopt;

const char* convopt_version(void) { return version().data(); }
const char* convopt_last_error(void) { return last_error.c_str(); }

convopt_status convopt_open(const char* path, int threads, convopt_session** session) {
  return c_answer([&]() -> Result<void> {
    if (session == nullptr) return null_pointer("session");
    *session = nullptr;
    if (path == nullptr) return null_pointer("path");
    if (threads < 0)
      return make_error(ErrorCode::usage, "the number of threads must not be negative");
    auto opened = Session::open(path, {.isa = {}, .threads = threads});
    if (!opened) return opened.error();
    *session = new convopt_session{std::move(*opened)};
    return {};
  });
}

void convopt_close(convopt_session* session) { delete session; }

const char* convopt_note(const convopt_session* session) {
  return session != nullptr ? session->session.note().c_str() : "";
}

size_t convopt_input_count(const convopt_session* session) {
  return session != nullptr ? session->session.inputs().size() : 0;
}

size_t convopt_output_count(const convopt_session* session) {
  return session != nullptr ? session->session.outputs().size() : 0;
}

convopt_status convopt_input(const convopt_session* session, size_t index, convopt_tensor* tensor) {
  return c_answer([&]() -> Result<void> {
    if (session == nullptr) return null_pointer("session");
    return describe(session->session.inputs(), index, "input", tensor);
  });
}

convopt_status convopt_output(const convopt_session* session, size_t index,
                              convopt_tensor* tensor) {
  return c_answer([&]() -> Result<void> {
    if (session == nullptr) return null_pointer("session");
    return describe(session->session.outputs(), index, "output", tensor);
  });
}

convopt_status convopt_run(const convopt_session* session, const convopt_buffer* inputs,
                           size_t input_count, const convopt_buffer* outputs, size_t output_count) {
  return convopt_run_with(session, inputs, input_count, outputs, output_count, nullptr, nullptr,
                          nullptr);
}

convopt_status convopt_run_with(const convopt_session* session, const convopt_buffer* inputs,
                                size_t input_count, const convopt_buffer* outputs,
                                size_t output_count, const convopt_cancellation* cancellation,
                                convopt_layer_time* layer_times, size_t* layer_count) {
  return c_answer([&]() -> Result<void> {
    if (session == nullptr) return null_pointer("session");
    if (layer_count != nullptr && *layer_count > 0 && layer_times == nullptr)
      return null_pointer("times of layers");
    auto sources = views_of<InputView>(inputs, input_count, "inputs");
    if (!sources) return sources.error();
    auto destinations = views_of<OutputView>(outputs, output_count, "outputs");
    if (!destinations) return destinations.error();
    std::vector<LayerTime> times;
    RunOptions options;
    if (cancellation != nullptr) options.cancellation = &cancellation->cancellation;
    if (layer_count != nullptr) options.layer_times = &times;
    if (auto ran = session->session.run(*sources, *destinations, options); !ran) return ran;
    if (layer_count == nullptr) return {};
    for (std::size_t i = 0; i < std::min(*layer_count, times.size()); ++i)
      layer_times[i] = {times[i].name.data(), times[i].primitive.data(), times[i].ns};
    *layer_count = times.size();
    return {};
  });
}

convopt_cancellation* convopt_cancellation_new(void) {
  return new (std::nothrow) convopt_cancellation;
}
void convopt_cancel(convopt_cancellation* cancellation) {
  if (cancellation != nullptr) cancellation->cancellation.cancel();
}
void convopt_cancellation_reset(convopt_cancellation* cancellation) {
  if (cancellation != nullptr) cancellation->cancellation.reset();
}
void convopt_cancellation_free(convopt_cancellation* cancellation) { delete cancellation; }
