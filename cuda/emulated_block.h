// One block of an emulated kernel, on one host thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cuda/emulation.h"

namespace osprey::emulation {

constexpr unsigned kMostThreads = 1024;  // of a block

struct Fault {
  unsigned thread = 0;  // of the block
  std::string what;
};

// Makes this host thread ready for blocks of a launch. The threads of a block, whose numbers are in
// `thread_order`, run in that order. Both must outlive the last block.
void prepare_blocks(dim3 grid, dim3 block, size_t shared_bytes, const std::vector<unsigned>& thread_order,
                    const std::function<void()>& body);

// Runs `body` once for each thread of a block; returns the first thing that went wrong.
std::optional<Fault> run_block(uint3 block);

}  // namespace osprey::emulation
