// What the fuzz targets share. Each target is a file with libFuzzer's entry points, so that it
// links with -fsanitize=fuzzer just as with driver.cpp, the main program for compilers without it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "convopt/network.hpp"

namespace convopt::fuzz {

/// Ends the program, so that the input is kept, unless the network is one that the rest of convopt
/// may rely on, or the error is one sentence about the file.
void check(const Result<Network>& network);

/// Ends the program unless the error is one sentence about a bad file.
void check(const Error& error);
/// Ends the program with the message.
[[noreturn]] void fail(const char* what, const std::string& message);

template <class Value>
void check_error(const Result<Value>& result) {
  if (!result) check(result.error());
}
template <class Value>
void require_read(const Result<Value>& result) {
  if (!result) fail("what was read and written is refused", result.error().message);
}

}  // namespace convopt::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
/// A change that leaves something to read: byte by byte, few changes get past a parser. Answers
/// with the new size, which is 0 if there was nothing to change.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed);
