// Aligned memory for tensors that are timed.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace convopt {

/// `count` floats at a multiple of 64 bytes, zeroed.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t count)
      : data_(new (std::align_val_t{kAlignment}) float[count]()), count_(count) {}

  float* data() const { return data_.get(); }
  std::size_t count() const { return count_; }
  std::span<const float> values() const { return {data(), count_}; }
  bool empty() const { return count_ == 0; }

 private:
  static constexpr std::size_t kAlignment = 64;
  struct Free {
    void operator()(float* data) const { ::operator delete[](data, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<float[], Free> data_;
  std::size_t count_ = 0;
};

}  // namespace convopt
