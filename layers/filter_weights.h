// The weights of filters, as products that pack them read them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace osprey {

// Writes the weights of the filters [first, last) to `to`, one filter behind the other. Several threads ask.
using ReadFilters = std::function<void(int first, int last, float* to)>;

// All of them in memory, in the order that the product knows; or not in memory but a few at a time, which are
// packed while they are in a cache. The latter of the forward pass only.
class FilterWeights {
 public:
  FilterWeights(const float* all) : all_(all) {}
  FilterWeights(ReadFilters read, int64_t of_filter) : read_(std::move(read)), of_filter_(of_filter) {}

  // Those of the filters [first, last), which lie from `place` on if all are in memory, and otherwise are
  // brought into `memory`.
  const float* get(int first, int last, int64_t place, std::vector<float>& memory) const {
    if (all_) return all_ + place;
    memory.resize(std::max(memory.size(), size_t(of_filter_ * (last - first))));
    read_(first, last, memory.data());
    return memory.data();
  }

 private:
  const float* all_ = nullptr;
  ReadFilters read_;
  int64_t of_filter_ = 0;
};

}  // namespace osprey
