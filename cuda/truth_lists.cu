#include "cuda/truth_lists.h"

#include "cuda/detections.cuh"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One block per image: a thread reads a truth, and all append in order.
__global__ void list_truths_kernel(Truths truths, float width, float height, int classes, TruthLists lists) {
  const int image = int(blockIdx.x), capacity = lists.boxes.shape.c;
  const int all = min(truths.counts[image], capacity);
  int listed = 0;
  for (int first = 0; first < all; first += int(blockDim.x)) {
    const int t = first + int(threadIdx.x);
    Truth truth;
    const bool good = t < all && read_truth(truths, image, t, classes, truth);
    const Append at = block_append(good);
    if (good) {
      lists.boxes(image, 0, 0, listed + at.place) = scaled(corners(truth.box), width, height);
      lists.labels(image, 0, 0, listed + at.place) = truth.class_id;
    }
    listed += at.total;
  }
  if (threadIdx.x == 0) lists.counts[image] = listed;
}

}  // namespace

void list_truths(Stream& s, Truths truths, float width, float height, int classes, TruthLists lists) {
  launch<list_truths_kernel>(s, {dim3(unsigned(truths.counts.size())), dim3(128)}, truths, width, height,
                             classes, lists);
}

}  // namespace osprey::cuda
