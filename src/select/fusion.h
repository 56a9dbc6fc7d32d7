// Fusion: operators that may be computed in the epilogue of the one before them.
#pragma once

#include <vector>

#include "convopt/network.hpp"

namespace convopt {

/// Readers and writer of each tensor, as indices into Network::operators.
struct DataFlow {
  explicit DataFlow(const Network& network);

  std::vector<int> producer;                ///< -1 for inputs of the network
  std::vector<std::vector<int>> consumers;  ///< once per use
  std::vector<char> is_output;              ///< of the network

  /// The tensor's only consumer, or -1 if there are several, or none, or the network's user is one.
  int only_consumer(TensorId tensor) const;
};

/// An operator with the chain of its successors that it absorbs.
struct FusedWorkload {
  Workload workload;
  std::vector<int> absorbed;  ///< indices of operators, in order
};

/// Most operators that an epilogue can absorb.
inline constexpr int kLongestChain = 2;

/// Every way to compute the operator, by itself first, then with longer and longer chains. A
/// convolution may absorb an addition and then an activation, a fully connected layer
/// or arithmetic on two tensors an activation. A product of an image with a factor per channel may
/// absorb a convolution with what that absorbs, see core/scaled_convolution.h. What lies between
/// them must have no other reader.
std::vector<FusedWorkload> fusions(const Network& network, const DataFlow& flow, int op);

/// Per tensor, whether it must not be rounded to a shorter type: its values become indices,
/// coordinates or sizes, or are compared or rounded to integers, perhaps after a few other
/// operations. Inputs of a convolution, a matrix product or pooling that computes such values may
/// be rounded.
std::vector<char> exact_tensors(const Network& network);

/// For every tensor, the concatenation whose part it may be without being copied: its producer
/// writes it where the concatenation would. -1 where that is impossible: for what is no part, for
/// inputs and outputs of the network and reshaped tensors, and where a part is used twice. A
/// concatenation has all its parts in place or none.
std::vector<int> placements(const Network& network, const DataFlow& flow);

/// Whether every part of the concatenation starts with a block of channels.
bool parts_fit(const Workload& concatenation, Layout layout);

}  // namespace convopt
