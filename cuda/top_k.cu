#include "cuda/top_k.h"

#include "cuda/detections.cuh"
#include "cuda/matching.h"
#include "cuda/sort.cuh"

namespace osprey::cuda {
namespace {

// 32 bits of a score are looked at in digits of 11, 11 and 10 bits, the upper ones first. Of the logits of a
// network, which are alike, the first digit still tells exponents and two bits of the fraction: fewer threads
// wait for one counter than with digits of 8 bits.
constexpr int kThreads = 1024, kDigits = 2048;

// Falls as the score rises.
__device__ uint32_t rank_bits(float score) { return uint32_t(rising_key(-score, 0) >> 32); }
__device__ bool takes_part(float score) { return score > -INFINITY; }

struct Selection {
  uint32_t last;  // rank of the last score that is chosen
  int before;     // how many scores come before that rank: they are all chosen
  int count;      // how many are chosen; none: `last` means nothing
};

// Counts the scores for each value of a digit, among those whose bits above the digit are `known`. The
// counters are whole numbers, so that the order of the atomics leaves no trace.
__device__ void count_digits(const ScoreSegment& segment, int image, int shift, int bits, uint32_t known,
                             int* counters) {
  for (int d = int(threadIdx.x); d < kDigits; d += kThreads) counters[d] = 0;
  __syncthreads();  // all counters are 0
  const int above = shift + bits;
  for (int i = int(threadIdx.x); i < segment.length; i += kThreads) {
    const float score = segment.score(image, i);
    const uint32_t rank = rank_bits(score);
    if (!takes_part(score) || (above < 32 && rank >> above != known)) continue;
    atomicAdd(&counters[rank >> shift & ((1u << bits) - 1)], 1);
  }
  __syncthreads();  // all have counted
}

// Finds the rank of the k-th score digit by digit: the digit at which the sum of the counters passes what is
// still wanted.
__device__ Selection select_rank(const ScoreSegment& segment, int image, int k, int* counters) {
  __shared__ int digit, before_digit;
  constexpr int kOwn = kDigits / kThreads;  // counters of a thread
  Selection selection = {0, 0, k};
  for (int shift = 21; shift >= 0; shift -= shift == 21 ? 11 : 10) {
    const int bits = shift == 0 ? 10 : 11;
    count_digits(segment, image, shift, bits, selection.last, counters);
    int own = 0;
    for (int d = 0; d < kOwn; ++d) own += counters[int(threadIdx.x) * kOwn + d];
    const Append at = block_append(own);
    if (shift == 21) selection.count = min(k, at.total);
    if (selection.count == 0) return selection;  // the whole block
    const int wanted = selection.count - selection.before;
    if (at.place < wanted && wanted <= at.place + own) {  // one thread
      int before = at.place, d = int(threadIdx.x) * kOwn;
      while (before + counters[d] < wanted) before += counters[d++];
      digit = d;
      before_digit = before;
    }
    __syncthreads();  // the digit is known
    selection.last = selection.last << bits | uint32_t(digit);
    selection.before += before_digit;
    __syncthreads();  // all have read it
  }
  return selection;
}

// Brings the keys of what is chosen together: first those before the last rank, then as many of that rank as
// there is room for, the first ones. Both counts of a round share a word, for there are at most kThreads.
__device__ void collect(const ScoreSegment& segment, int image, Selection selection, uint64_t* keys) {
  int before = 0, equal = selection.before;
  for (int first = 0; first < segment.length; first += kThreads) {
    const int i = first + int(threadIdx.x);
    const float score = i < segment.length ? segment.score(image, i) : -INFINITY;
    const uint32_t rank = rank_bits(score);
    const bool is_before = takes_part(score) && rank < selection.last;
    const bool is_equal = takes_part(score) && rank == selection.last;
    const Append at = block_append(is_before ? 1 << 16 : is_equal ? 1 : 0);
    const int place = is_before ? before + (at.place >> 16) : equal + (at.place & 0xFFFF);
    if (is_before || (is_equal && place < selection.count)) keys[place] = rising_key(-score, i);
    before += at.total >> 16;
    equal += at.total & 0xFFFF;
  }
}

// One block per segment (blocks in x) and image (in y).
__global__ void top_k_kernel(ScoreSegments all, View<int> chosen, View<int> counts) {
  uint64_t* keys = dynamic_shared<uint64_t>();  // room for a power of two
  __shared__ int counters[kDigits];
  const int which = int(blockIdx.x), image = int(blockIdx.y), thread = int(threadIdx.x);
  const ScoreSegment& segment = all.segments[which];
  const Selection selection = select_rank(segment, image, chosen.shape.c, counters);
  if (selection.count > 0) {
    collect(segment, image, selection, keys);
    const int whole = power_of_two_from(selection.count);
    for (int i = selection.count + thread; i < whole; i += kThreads) keys[i] = kNoKey;
    __syncthreads();  // all keys are there
    block_sort(keys, whole);
  }
  for (int i = thread; i < chosen.shape.c; i += kThreads)
    chosen(image, 0, which, i) = i < selection.count ? index_of_key(keys[i]) : -1;
  if (thread == 0) counts(image, 0, 0, which) = selection.count;
}

}  // namespace

void top_k(Stream& s, ScoreSegments segments, View<int> chosen, View<int> counts) {
  const size_t bytes = size_t(power_of_two_from(chosen.shape.c)) * sizeof(uint64_t);
  const Grid blocks = {dim3(unsigned(segments.count), unsigned(chosen.shape.n)), dim3(kThreads), bytes};
  launch<top_k_kernel>(s, blocks, segments, chosen, counts);
}

}  // namespace osprey::cuda
