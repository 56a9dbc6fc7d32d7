// Memory for the inputs or the outputs of a network, in their types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "convopt/network.hpp"
#include "src/runtime/executor.h"

namespace convopt {

class Buffers {
 public:
  Buffers(const Network& network, const std::vector<TensorId>& tensors);
  // A copy's spans would be of the original's memory.
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  Buffers(Buffers&&) = default;
  Buffers& operator=(Buffers&&) = default;

  /// Numbers of tensor i, as many as it has elements, converted to its type.
  void set(std::size_t i, std::span<const float> values);
  std::vector<float> values(std::size_t i) const;
  /// From -1 to 1; whole numbers from 0 to 9, which are indices of something in most networks.
  void fill_random(std::uint64_t seed);

  Executor::Inputs inputs() const { return inputs_; }
  Executor::Outputs outputs() { return outputs_; }

 private:
  std::vector<Tensor> tensors_;
  std::vector<std::vector<std::byte>> data_;
  std::vector<std::span<const std::byte>> inputs_;
  std::vector<std::span<std::byte>> outputs_;
};

/// Outputs of a network that have just been computed, by the names of its file.
std::vector<Array> arrays_of(const Network& network, Executor::Outputs outputs);

/// The elements of row-major data.
std::vector<float> floats_of(std::span<const std::byte> data, const Tensor& tensor);

}  // namespace convopt
