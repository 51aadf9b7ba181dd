#include "cuda/matching_paa.h"

#include "cuda/matching.cuh"

namespace osprey::cuda {
namespace {

// One block per truth there is room for (x), image (y) and level (z), whose threads share the anchors.
__global__ void lowest_scores_kernel(View<const int> first, View<const float> score, AnchorLevels levels,
                                     BoxLists truths, View<int> candidates) {
  const int t = int(blockIdx.x), image = int(blockIdx.y), level = int(blockIdx.z);
  if (t >= truths.count(image)) return;  // the whole block
  choose_lowest(
      levels.first[level], levels.first[level + 1], row_of(candidates, image, t, level),
      [&](int a) { return first(image, 0, 0, a) == t ? rising_key(score(image, 0, 0, a), a) : kNoKey; });
}

// The candidates of all levels of a truth, side by side in shared memory, and their scores. For the whole
// block, which gets their number.
__device__ int gather_candidates(View<const int> rows, View<const float> score, int image, int* anchors,
                                 float* scores) {
  __shared__ int count;
  for (int i = int(threadIdx.x); i < rows.size(); i += int(blockDim.x)) anchors[i] = rows[i];
  __syncthreads();  // all are there
  if (threadIdx.x == 0) {
    count = 0;
    for (int i = 0; i < rows.size(); ++i)
      if (anchors[i] >= 0) anchors[count++] = anchors[i];
  }
  __syncthreads();  // the gaps are closed
  for (int i = int(threadIdx.x); i < count; i += int(blockDim.x)) scores[i] = score(image, 0, 0, anchors[i]);
  __syncthreads();  // all are there
  return count;
}

// One block of a warp per truth (x) and image (y), whose threads share the expectations of the candidates.
// Each then sums them up for itself, in one order.
__global__ void split_kernel(View<const float> score, BoxLists truths, MixtureRule rule,
                             View<const int> candidates, View<int> ends) {
  __shared__ int anchors[kMostPaaCandidates];
  __shared__ float scores[kMostPaaCandidates];
  __shared__ Expectation expected[kMostPaaCandidates];
  const int t = int(blockIdx.x), image = int(blockIdx.y);
  if (t >= truths.count(image)) return;  // the whole block
  const View<const int> rows(&candidates(image, t, 0, 0), {1, 1, candidates.shape.w, candidates.shape.c});
  const int count = gather_candidates(rows, score, image, anchors, scores);
  float lowest = count ? scores[0] : 0, highest = lowest;
  for (int i = 1; i < count; ++i) lowest = min(lowest, scores[i]), highest = max(highest, scores[i]);
  for (MixtureFit fit(lowest, highest); count > 1;) {
    for (int i = int(threadIdx.x); i < count; i += int(blockDim.x))
      expected[i] = expectation(fit.mixture, scores[i]);
    __syncthreads();  // all expectations are there
    if (fit.done(rule)) break;
    fit.improve(scores, expected, count, rule);
    __syncthreads();  // all threads have read them
  }
  if (threadIdx.x != 0) return;
  ends(image, 0, 0, t) =
      count == 0 ? -1 : anchors[count == 1 ? 0 : end_of_lower_group(scores, expected, count)];
}

// One thread per anchor (x) and image (y).
__global__ void paa_kernel(View<const int> first, View<const float> score, AnchorLevels levels,
                           BoxLists truths, View<const int> candidates, View<const int> ends,
                           View<int> match) {
  const int a = global_thread(), image = int(blockIdx.y);
  if (a >= first.shape.c) return;
  const int t = first(image, 0, 0, a);
  bool taken = false;
  if (t >= 0 && t < truths.count(image)) {
    const auto key = [&](int i) { return rising_key(score(image, 0, 0, i), i); };
    const int last = last_chosen(row_of(candidates, image, t, levels.level_of(a)));
    taken = key(a) <= key(last) && key(a) <= key(ends(image, 0, 0, t));
  }
  match(image, 0, 0, a) = taken ? t : kBackground;
}

}  // namespace

void paa_matching(Stream& s, View<const int> first, View<const float> score, AnchorLevels levels,
                  BoxLists truths, MixtureRule rule, View<int> candidates, View<int> ends, View<int> match) {
  const int images = match.shape.n;
  Grid over_levels = one_block_per_truth(truths, images), by_warps = over_levels;
  over_levels.blocks.z = unsigned(levels.count);
  by_warps.threads = dim3(32);
  const View<const int> lowest = candidates, last = ends;
  launch<lowest_scores_kernel>(s, over_levels, first, score, levels, truths, candidates);
  launch<split_kernel>(s, by_warps, score, truths, rule, lowest, ends);
  launch<paa_kernel>(s, one_thread_per_anchor(first.shape.c, images), first, score, levels, truths, lowest,
                     last, match);
}

}  // namespace osprey::cuda
