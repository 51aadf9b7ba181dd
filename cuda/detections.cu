#include "cuda/detections.cuh"

namespace osprey::cuda {
namespace {

__device__ ListedDetection detection(const DetectionLists& lists, int image, int class_id, int candidate,
                                     float score_threshold) {
  const CandidateBox& from = lists.candidates(image, 0, 0, candidate);
  const ImagePlace& place = lists.places[image];
  return {candidate, class_id, lists.score(image, class_id, candidate, score_threshold),
          scaled(from.box, place.width, place.height)};
}

// One block per image: its threads stride through the words of the bits of what was kept, and append what
// theirs names.
__global__ void collect_kernel(DetectionLists lists, float score_threshold) {
  const int image = int(blockIdx.x), words = lists.kept.shape.c, all = lists.classes() * words;
  int count = 0;
  for (int first = 0; first < all; first += int(blockDim.x)) {
    const int i = first + int(threadIdx.x), class_id = i / words;
    unsigned bits = i < all ? lists.kept(image, 0, class_id, i % words) : 0;
    int own = 0;
    for (unsigned left = bits; left; left &= left - 1) {
      const int bit = __ffs(int(left)) - 1;
      const ListedDetection found = detection(lists, image, class_id, i % words * 32 + bit, score_threshold);
      if (finite(found.box) && found.score > score_threshold)
        ++own;
      else
        bits &= ~(1u << bit);
    }
    const Append at = block_append(own);
    for (int place = count + at.place; bits && place < lists.found.shape.c; ++place, bits &= bits - 1)
      lists.found(image, 0, 0, place) =
          detection(lists, image, class_id, i % words * 32 + __ffs(int(bits)) - 1, score_threshold);
    count += at.total;
  }
  if (threadIdx.x == 0) lists.found_counts[image] = count;
}

}  // namespace

void collect_detections(Stream& s, const DetectionLists& lists, float score_threshold) {
  launch<collect_kernel>(s, {dim3(unsigned(lists.counts.size())), dim3(256)}, lists, score_threshold);
}

}  // namespace osprey::cuda
