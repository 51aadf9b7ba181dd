#include "cuda/soft_nms.h"

#include <cstdint>
#include <cstring>

#include "cuda/block.cuh"

namespace osprey::cuda {
namespace {

constexpr int kThreads = 128;

// Keys rise with the score and, for equal scores, with earlier places. The bits of floats rise with their
// values where they are positive, and fall where they are negative. 0 is below the key of every score.
__device__ uint64_t rank_key(float score, int i) {
  const float plain = score + 0.0f;  // -0 becomes 0, which it equals
  unsigned bits;
  memcpy(&bits, &plain, sizeof bits);
  bits = bits >> 31 ? ~bits : bits | 0x80000000u;
  return uint64_t(bits) << 32 | ~unsigned(i);
}
__device__ int place_of(uint64_t key) { return int(~unsigned(key)); }

__device__ uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

// One block per class (blocks in x) and image (blocks in y). Box i belongs to thread i % kThreads, which
// alone reads and writes its score and whether it waits to be selected, so that the only barriers are those
// of the search for the best.
__global__ void soft_nms_kernel(SoftNmsLists lists, SoftNmsRule rule) {
  unsigned char* waits = dynamic_shared<unsigned char>();  // for each place
  const int class_id = int(blockIdx.x), image = int(blockIdx.y), thread = int(threadIdx.x);
  const int count = lists.count(image), capacity = lists.capacity();
  uint64_t own_best = 0;
  for (int i = thread; i < capacity; i += kThreads) {
    float& score = lists.scores(image, 0, class_id, i);
    waits[i] = i < count && score >= rule.min_score && score > SoftNmsRule::kGone;
    if (waits[i])
      own_best = larger(own_best, rank_key(score, i));
    else
      score = SoftNmsRule::kGone;
  }
  int selected = 0;
  for (uint64_t best; (best = block_max(own_best)) != 0; ++selected) {
    const int chosen = place_of(best);
    const Box better = lists.box(image, class_id, chosen);
    own_best = 0;
    for (int i = thread; i < count; i += kThreads) {
      if (!waits[i]) continue;
      if (i == chosen) {
        lists.selected(image, 0, class_id, selected) = i;
        waits[i] = 0;
        continue;
      }
      float& score = lists.scores(image, 0, class_id, i);
      score = rule.decayed(score, better, lists.box(image, class_id, i));
      waits[i] = score > SoftNmsRule::kGone;
      if (waits[i]) own_best = larger(own_best, rank_key(score, i));
    }
  }
  for (int i = selected + thread; i < capacity; i += kThreads) lists.selected(image, 0, class_id, i) = -1;
  if (thread == 0) lists.selected_counts(image, 0, 0, class_id) = selected;
}

}  // namespace

void soft_nms(Stream& s, SoftNmsLists lists, SoftNmsRule rule) {
  const Shape shape = lists.scores.shape;
  launch<soft_nms_kernel>(s, {dim3(unsigned(shape.w), unsigned(shape.n)), dim3(kThreads), size_t(shape.c)},
                          lists, rule);
}

}  // namespace osprey::cuda
