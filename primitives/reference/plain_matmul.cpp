// Products of matrices.
#include "primitives/reference/plain.h"

namespace convopt::reference {

void matmul(const Workload& workload, const Tensor& a, const Tensor& b, Tensor& result) {
  const auto column = static_cast<std::size_t>(result.shape.rank() - 1), row = column - 1;
  const int length = a.shape[a.shape.rank() - 1];
  for_each_element(result.shape, [&](const Index& index) {
    Index left = index, right = index;
    double sum = 0;
    for (int k = 0; k < length; ++k) {
      left[column] = k;
      right[row] = workload.transposed == 1 ? index[column] : k;
      right[column] = workload.transposed == 1 ? k : index[column];
      sum += a.at(left) * b.at(right);
    }
    result.at(index) = sum;
  });
}

}  // namespace convopt::reference
