// Memory planning: buffers whose lifetimes do not meet share bytes.
#pragma once

#include <cstddef>
#include <vector>

namespace osprey {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector

struct Lifetime {
  size_t bytes;
  int first, last;  // steps, both included
};

struct Layout {
  std::vector<size_t> offsets;  // multiples of kAlignment
  size_t bytes = 0;             // of the whole
};

// Largest buffer first, each at the lowest offset that is free during its whole life. First fit by size is
// within a few per cent of the lower bound (the most bytes alive at one step) on networks of this kind.
Layout lay_out(const std::vector<Lifetime>& buffers);

// The most bytes alive at one step: no layout can be smaller.
size_t peak_bytes(const std::vector<Lifetime>& buffers);

}  // namespace osprey
