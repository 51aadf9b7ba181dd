#include "cuda/sampler.h"

#include "cuda/detections.cuh"
#include "cuda/matching.cuh"

namespace osprey::cuda {
namespace {

constexpr int kSamplerThreads = 256;

Grid one_block_per_image(int images) { return {dim3(unsigned(images)), dim3(kSamplerThreads)}; }

// What of a match is of the wanted kinds.
struct Wanted {
  bool positives, negatives;
  __device__ bool includes(int match) const {
    return match >= 0 ? positives : match == kBackground && negatives;
  }
};

// One block per image, whose threads share the rows.
template <class Keys, class Rule>
__global__ void sample_kernel(View<const int> match, Keys keys, Rule rule, View<float> weights,
                              View<int> counts) {
  const int image = int(blockIdx.x), rows = match.shape.c;
  const auto key_among = [&](Wanted wanted, int row) {
    return wanted.includes(match(image, 0, 0, row)) ? keys.key(match.shape, image, row) : kNoKey;
  };
  const auto available = [&](Wanted wanted) {
    int count = 0;
    for (int row = int(threadIdx.x); row < rows; row += int(blockDim.x))
      count += key_among(wanted, row) != kNoKey;
    return block_sum(count);
  };
  const auto choose = [&](Wanted wanted, int n) {
    const uint64_t bound = bound_of_smallest(n, rows, [&](int row) { return key_among(wanted, row); });
    int chosen = 0;
    for (int row = int(threadIdx.x); row < rows; row += int(blockDim.x)) {
      const bool chooses = key_among(wanted, row) <= bound;
      if (!chooses) continue;
      weights(image, 0, 0, row) = 1;
      chosen += match(image, 0, 0, row) >= 0;
    }
    return block_sum(chosen);  // of positives
  };

  // Each row belongs to one thread in every loop, so that 0 comes before 1 without a barrier.
  for (int row = int(threadIdx.x); row < rows; row += int(blockDim.x)) weights(image, 0, 0, row) = 0;
  const SampleCounts all = {available({true, false}), available({false, true})};
  SampleCounts chosen = rule.quota(all);
  if (rule.apart) {
    choose({true, false}, chosen.positives);
    choose({false, true}, chosen.negatives);
  } else {
    const int both = min(rule.count, all.both());
    chosen.positives = choose({true, true}, both);
    chosen.negatives = both - chosen.positives;
  }
  if (threadIdx.x != 0) return;
  counts(image, 0, 0, 0) = chosen.positives;
  counts(image, 0, 0, 1) = chosen.negatives;
}

// One block per image, whose threads append to the list in their order.
__global__ void list_sampled_kernel(View<const int> match, View<const float> weights, View<int> rows,
                                    View<int> counts) {
  const int image = int(blockIdx.x), capacity = rows.shape.c;
  int listed = 0;
  for (const bool positives : {true, false})
    for (int first = 0; first < match.shape.c; first += int(blockDim.x)) {
      const int row = first + int(threadIdx.x);
      const bool appends =
          row < match.shape.c && weights(image, 0, 0, row) > 0 && (match(image, 0, 0, row) >= 0) == positives;
      const Append at = block_append(appends);
      if (appends && listed + at.place < capacity) rows(image, 0, 0, listed + at.place) = row;
      listed += at.total;
    }
  listed = min(listed, capacity);
  for (int i = listed + int(threadIdx.x); i < capacity; i += int(blockDim.x)) rows(image, 0, 0, i) = -1;
  if (threadIdx.x == 0) counts(image, 0, 0, 0) = listed;
}

template <class Keys, class Rule>
void sample(Stream& s, View<const int> match, Keys keys, Rule rule, View<float> weights, View<int> counts) {
  launch<sample_kernel<Keys, Rule>>(s, one_block_per_image(match.shape.n), match, keys, rule, weights,
                                    counts);
}

}  // namespace

void sample_random(Stream& s, View<const int> match, SampleRule rule, const Step* step, uint64_t layer,
                   View<float> weights, View<int> counts) {
  sample(s, match, RandomKeys{step, layer}, rule, weights, counts);
}

void sample_ohem(Stream& s, View<const int> match, View<const float> losses, SampleRule rule,
                 View<float> weights, View<int> counts) {
  sample(s, match, LossKeys{losses}, rule, weights, counts);
}

void sample_hard(Stream& s, View<const int> match, View<const float> losses, HardNegativeRule rule,
                 View<float> weights, View<int> counts) {
  sample(s, match, LossKeys{losses}, rule, weights, counts);
}

void list_sampled(Stream& s, View<const int> match, View<const float> weights, View<int> rows,
                  View<int> counts) {
  launch<list_sampled_kernel>(s, one_block_per_image(match.shape.n), match, weights, rows, counts);
}

}  // namespace osprey::cuda
