#include "src/runtime/buffers.h"

#include <cmath>

#include "core/conversion.h"
#include "primitives/reference/reference.h"

namespace convopt {

Buffers::Buffers(const Network& network, const std::vector<TensorId>& tensors) {
  for (const TensorId id : tensors) tensors_.push_back(network.tensors[id]);
  for (const Tensor& tensor : tensors_) {
    data_.emplace_back(static_cast<std::size_t>(tensor.shape.elements()) *
                       element_bytes(tensor.type));
  }
  inputs_.assign(data_.begin(), data_.end());
  outputs_.assign(data_.begin(), data_.end());
}

void Buffers::set(std::size_t i, std::span<const float> values) {
  from_floats(values.data(), std::ssize(values), tensors_[i].type, data_[i].data());
}

std::vector<float> Buffers::values(std::size_t i) const { return floats_of(data_[i], tensors_[i]); }

void Buffers::fill_random(std::uint64_t seed) {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    std::vector<float> values(static_cast<std::size_t>(tensors_[i].shape.elements()));
    reference::fill_random(values.data(), std::ssize(values), seed + i, 1);
    const DataType type = tensors_[i].type;
    if (!is_real(type)) {
      constexpr float kHalfOfTen = 5;
      for (float& value : values) {
        value = type == DataType::boolean ? (value > 0 ? 1.0F : 0.0F)
                                          : std::floor((value + 1) * kHalfOfTen);
      }
    }
    set(i, values);
  }
}

std::vector<Array> arrays_of(const Network& network, Executor::Outputs outputs) {
  std::vector<Array> arrays;
  const std::vector<Tensor> tensors = network.named_outputs();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, shape, type] = tensors[i];
    arrays.push_back({name,
                      type,
                      {shape.sizes().begin(), shape.sizes().end()},
                      {outputs[i].begin(), outputs[i].end()}});
  }
  return arrays;
}

std::vector<float> floats_of(std::span<const std::byte> data, const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
  to_floats(data.data(), tensor.type, std::ssize(values), values.data());
  return values;
}

}  // namespace convopt
