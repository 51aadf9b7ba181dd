// The largest scores of each segment, on the CPU: a heap of those chosen so far, whose top is the worst.
#include "cuda/top_k.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"

namespace osprey::cpu {
namespace {

int choose(const ScoreSegment& segment, int image, int* chosen, int capacity) {
  const auto comes_before = [&](int a, int b) {
    const float of_a = segment.score(image, a), of_b = segment.score(image, b);
    return of_a > of_b || (of_a == of_b && a < b);
  };
  int count = 0;
  for (int i = 0; i < segment.length; ++i) {
    if (!(segment.score(image, i) > -INFINITY)) continue;
    if (count == capacity) {
      if (!comes_before(i, chosen[0])) continue;
      std::pop_heap(chosen, chosen + count--, comes_before);
    }
    chosen[count++] = i;
    std::push_heap(chosen, chosen + count, comes_before);
  }
  std::sort_heap(chosen, chosen + count, comes_before);
  std::fill(chosen + count, chosen + capacity, -1);
  return count;
}

}  // namespace

void top_k(Stream&, ScoreSegments segments, View<int> chosen, View<int> counts) {
  parallel_for(chosen.shape.n * segments.count, 1, [&](int64_t first, int64_t last) {
    for (int at = int(first); at < int(last); ++at) {
      const int image = at / segments.count, which = at % segments.count;
      counts(image, 0, 0, which) =
          choose(segments.segments[which], image, &chosen(image, 0, which, 0), chosen.shape.c);
    }
  });
}

}  // namespace osprey::cpu
