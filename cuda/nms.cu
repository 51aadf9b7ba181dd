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
  rule = rule.in_image(lists.places[image].placement);
  for (int i = 0; i < n; ++i) {
    __syncthreads();  // it is known whether key i stays
    if (keys[i] == kLast) continue;
    const Box a = lists.candidates(image, 0, 0, int(unsigned(keys[i]))).box;
    for (int j = i + 1 + int(threadIdx.x); j < n; j += kThreads)
      if (keys[j] != kLast && rule.suppresses(a, lists.candidates(image, 0, 0, int(unsigned(keys[j]))).box))
        keys[j] = kLast;
  }
}

// The score that a candidate has in the list of a block: that of a class, or of its only one.
__device__ float listed_score(const CandidateBox& candidate, int list, bool classes_apart, float threshold) {
  const int class_id = classes_apart ? list : candidate.only_class;
  return class_id < 0 ? 0 : candidate.score(class_id, threshold);
}

// Each warp of the block makes words of bits of lists.kept for one class: of those candidates i for which
// keeps(i) holds. All threads of the block must call this.
template <class Keeps>
__device__ void keep_bits(const DetectionLists& lists, int image, int class_id, Keeps keeps) {
  for (int word = int(threadIdx.x) / 32; word < lists.kept.shape.c; word += kThreads / 32) {
    const unsigned bits = __ballot_sync(kAllLanes, keeps(32 * word + int(threadIdx.x) % 32));
    if (threadIdx.x % 32 == 0) lists.kept(image, 0, class_id, word) = bits;
  }
}

// One block per list of boxes that silence each other (blocks in x: a class each, or one for all of them) and
// image (blocks in y).
__global__ void nms_kernel(DetectionLists lists, float score_threshold, bool suppress, NmsRule rule,
                           bool classes_apart, int room) {
  uint64_t* keys = dynamic_shared<uint64_t>();                           // room for a power of two
  unsigned char* stays = reinterpret_cast<unsigned char*>(keys + room);  // by candidate
  const int list = int(blockIdx.x), image = int(blockIdx.y), thread = int(threadIdx.x);
  const int count = lists.count(image);
  int n = 0;
  for (int first = 0; first < count; first += kThreads) {
    const int i = first + thread;
    const float score =
        i < count ? listed_score(lists.candidates(image, 0, 0, i), list, classes_apart, score_threshold) : 0;
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
  if (classes_apart) {
    keep_bits(lists, image, list, [&](int i) { return stays[i] != 0; });
    return;
  }
  for (int c = 0; c < lists.classes(); ++c)
    keep_bits(lists, image, c,
              [&](int i) { return stays[i] != 0 && lists.candidates(image, 0, 0, i).only_class == c; });
}

// One block per class (blocks in x) and image (blocks in y).
__global__ void keep_decayed_kernel(DetectionLists lists, bool classes_apart) {
  const int class_id = int(blockIdx.x), image = int(blockIdx.y), count = lists.count(image);
  keep_bits(lists, image, class_id, [&](int i) {
    if (i >= count) return false;
    if (!classes_apart && lists.candidates(image, 0, 0, i).only_class != class_id) return false;
    return lists.soft.decayed(image, 0, classes_apart ? class_id : 0, i) > SoftNmsRule::kGone;
  });
}

// One thread per place of lists.soft.decayed, [N,1,lists,capacity]; those of the first list copy the box too.
// Places beyond the count are not read again.
__global__ void begin_soft_kernel(DetectionLists lists, float score_threshold, bool classes_apart) {
  const int at = global_thread();
  if (at >= lists.soft.decayed.size()) return;
  const Pixel place = lists.soft.decayed.shape.pixel(at);
  if (place.c >= lists.count(place.n)) return;
  const CandidateBox& candidate = lists.candidates(place.n, 0, 0, place.c);
  const float score = listed_score(candidate, place.w, classes_apart, score_threshold);
  lists.soft.decayed[at] = score > 0 ? score : SoftNmsRule::kGone;
  if (place.w == 0) lists.soft.boxes(place.n, 0, 0, place.c) = candidate.box;
}

// One thread per candidate.
__global__ void keep_best_class_kernel(DetectionLists lists, float score_threshold) {
  const int at = global_thread();
  if (at >= lists.candidates.size()) return;
  const int image = at / lists.capacity();
  if (at % lists.capacity() >= lists.count(image)) return;
  CandidateBox& candidate = lists.candidates[at];
  int best = CandidateBox::kNoClass;
  float highest = 0;
  for (int c = 0; c < lists.classes(); ++c) {
    const float score = candidate.score(c, score_threshold);
    if (score > highest) best = c, highest = score;
  }
  candidate.only_class = best;
}

}  // namespace

void nms(Stream& s, const DetectionLists& lists, float score_threshold, bool suppress, NmsRule rule,
         bool classes_apart) {
  const bool bounded = classes_apart && lists.most_of_class > 0;
  const int room = power_of_two_from(bounded ? lists.most_of_class : lists.capacity());
  const size_t bytes = size_t(room) * sizeof(uint64_t) + size_t(32 * lists.kept.shape.c);
  const unsigned own_lists = classes_apart ? unsigned(lists.classes()) : 1;
  launch<nms_kernel>(s, {dim3(own_lists, unsigned(lists.counts.size())), dim3(kThreads), bytes}, lists,
                     score_threshold, suppress, rule, classes_apart, room);
}

void soft_nms(Stream& s, const DetectionLists& lists, float score_threshold, SoftNmsRule rule,
              bool classes_apart) {
  const SoftDetections& soft = lists.soft;
  launch<begin_soft_kernel>(s, one_thread_each(soft.decayed.size()), lists, score_threshold, classes_apart);
  soft_nms(s, {soft.boxes, lists.counts, soft.decayed, soft.selected, soft.selected_counts}, rule);
  launch<keep_decayed_kernel>(
      s, {dim3(unsigned(lists.classes()), unsigned(lists.counts.size())), dim3(kThreads)}, lists,
      classes_apart);
}

void keep_best_class(Stream& s, const DetectionLists& lists, float score_threshold) {
  launch<keep_best_class_kernel>(s, one_thread_each(lists.candidates.size()), lists, score_threshold);
}

}  // namespace osprey::cuda
