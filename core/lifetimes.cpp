#include "core/lifetimes.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace osprey {
namespace {

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

Layout lay_out(const std::vector<Lifetime>& buffers) {
  Layout layout;
  layout.offsets.assign(buffers.size(), 0);
  std::vector<int> order(buffers.size()), placed;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return buffers[a].bytes > buffers[b].bytes; });
  for (const int i : order) {
    const Lifetime& buffer = buffers[i];
    std::vector<std::pair<size_t, size_t>> taken;  // during its life, from and to
    for (const int j : placed)
      if (buffers[j].first <= buffer.last && buffer.first <= buffers[j].last)
        taken.push_back({layout.offsets[j], layout.offsets[j] + aligned(buffers[j].bytes)});
    std::sort(taken.begin(), taken.end());
    size_t offset = 0;
    for (const auto& [from, to] : taken) {
      if (from >= offset + aligned(buffer.bytes)) break;
      offset = std::max(offset, to);
    }
    layout.offsets[i] = offset;
    layout.bytes = std::max(layout.bytes, offset + aligned(buffer.bytes));
    placed.push_back(i);
  }
  return layout;
}

size_t peak_bytes(const std::vector<Lifetime>& buffers) {
  std::map<int, int64_t> change;
  for (const Lifetime& b : buffers) {
    change[b.first] += int64_t(aligned(b.bytes));
    change[b.last + 1] -= int64_t(aligned(b.bytes));
  }
  int64_t alive = 0, most = 0;
  for (const auto& [step, bytes] : change) most = std::max(most, alive += bytes);
  return size_t(most);
}

}  // namespace osprey
