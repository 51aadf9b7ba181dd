#include "cuda/nms.h"

#include "cuda/detections.cuh"
#include "cuda/sort.cuh"

namespace osprey::cuda {
namespace {

constexpr int kThreads = 128;

// Sorts first by falling score, then by rising index: the bits of positive floats rise with their values.
__device__ uint64_t sort_key(float score, int index) {
  unsigned bits;
  memcpy(&bits, &score, sizeof bits);
  return uint64_t(~bits) << 32 | unsigned(index);
}
constexpr uint64_t kLast = ~uint64_t(0);

// In the order of the keys, each box that is left silences later ones: the threads share these. A silenced
// key becomes kLast.
__device__ void suppress_in_order(const DetectionLists& lists, uint64_t* keys, int n, NmsRule rule) {
  const int image = int(blockIdx.y);
  for (int i = 0; i < n; ++i) {
    __syncthreads();  // it is known whether key i stays
    if (keys[i] == kLast) continue;
    const Box a = lists.candidates(image, 0, 0, int(unsigned(keys[i]))).box;
    for (int j = i + 1 + int(threadIdx.x); j < n; j += kThreads)
      if (keys[j] != kLast && rule.suppresses(a, lists.candidates(image, 0, 0, int(unsigned(keys[j]))).box))
        keys[j] = kLast;
  }
}

// One block per class (blocks in x) and image (blocks in y).
__global__ void nms_kernel(DetectionLists lists, float score_threshold, bool suppress, NmsRule rule,
                           int room) {
  uint64_t* keys = dynamic_shared<uint64_t>();                           // room for a power of two
  unsigned char* stays = reinterpret_cast<unsigned char*>(keys + room);  // by candidate
  const int class_id = int(blockIdx.x), image = int(blockIdx.y), thread = int(threadIdx.x);
  const int count = min(lists.counts[image], lists.capacity());
  int n = 0;
  for (int first = 0; first < count; first += kThreads) {
    const int i = first + thread;
    const float score = i < count ? lists.candidates(image, 0, 0, i).score(class_id, score_threshold) : 0;
    const Append at = block_append(score > 0);
    if (score > 0) keys[n + at.place] = sort_key(score, i);
    n += at.total;
  }
  if (suppress && n > 1) {
    int whole = 1;
    while (whole < n) whole *= 2;
    for (int i = n + thread; i < whole; i += kThreads) keys[i] = kLast;
    __syncthreads();  // all keys are there
    block_sort(keys, whole);
    suppress_in_order(lists, keys, n, rule);
  }
  const int words = lists.kept.shape.c;
  for (int i = thread; i < 32 * words; i += kThreads) stays[i] = 0;
  __syncthreads();  // keys are final, and all of `stays` is cleared
  for (int i = thread; i < n; i += kThreads)
    if (keys[i] != kLast) stays[unsigned(keys[i])] = 1;
  __syncthreads();  // each word collects from 32 threads
  for (int word = thread / 32; word < words; word += kThreads / 32) {
    const unsigned bits = __ballot_sync(kAllLanes, stays[32 * word + thread % 32]);
    if (thread % 32 == 0) lists.kept(image, 0, class_id, word) = bits;
  }
}

}  // namespace

void nms(Stream& s, const DetectionLists& lists, float score_threshold, bool suppress, NmsRule rule) {
  const int room = power_of_two_from(lists.capacity());
  const size_t bytes = size_t(room) * sizeof(uint64_t) + size_t(32 * lists.kept.shape.c);
  const Grid blocks = {dim3(unsigned(lists.classes()), unsigned(lists.counts.size())), dim3(kThreads), bytes};
  launch<nms_kernel>(s, blocks, lists, score_threshold, suppress, rule, room);
}

}  // namespace osprey::cuda
