// From the outputs of heads to the detections of a mini-batch, all in device memory: each head lists its
// candidates (cuda/yolo.cu, cuda/region.cu), cuda/nms.cu says which are kept, and cuda/detections.cu
// collects them. Every list has a fixed capacity beside a count of what there would have been.
#pragma once

#include "core/box.h"
#include "core/stream.h"
#include "core/view.h"

namespace osprey {

// Where the image lies in the network input: its left top corner and its size, in units of the network input.
// An image that was stretched to the whole input lies at 0,0 with size 1,1.
struct Placement {
  float x = 0, y = 0, w = 1, h = 1;
};

struct ImagePlace {
  Placement placement;
  float width = 1, height = 1;  // of the original image, pixels
};

// From units of the network input to those of the image.
HOST_DEVICE inline CentreBox in_image(CentreBox b, Placement p) {
  return {(b.x - p.x) / p.w, (b.y - p.y) / p.h, b.w / p.w, b.h / p.h};
}

HOST_DEVICE inline bool finite(Box b) {  // infinity less itself is not a number, which equals nothing
  return b.x1 - b.x1 == 0 && b.y1 - b.y1 == 0 && b.x2 - b.x2 == 0 && b.y2 - b.y2 == 0;
}

// A row of a head's output that may be an object.
struct CandidateBox {
  Box box;  // in units of the image
  float objectness = 0;
  const float* classes = nullptr;  // what the head's output says of each class
  int only_class = kAllClasses;    // or the one class that it may be an object of

  static constexpr int kAllClasses = -1, kNoClass = -2;

  // 0 unless it is above the threshold.
  HOST_DEVICE float score(int c, float threshold) const {
    if (only_class != kAllClasses && only_class != c) return 0;
    const float probability = objectness * classes[c];
    return probability > threshold ? probability : 0;
  }
};

struct ListedDetection {
  int candidate = 0, class_id = 0;
  float score = 0;
  Box box;  // pixels of the original image
};

// What soft kinds of suppression work in. Where the classes are not apart, there is one list of scores for
// all of them.
struct SoftDetections {
  View<Box> boxes;            // [N,1,1,capacity]
  View<float> decayed;        // [N,1,classes or 1,capacity]: what is left of each score
  View<int> selected;         // like `decayed`
  View<int> selected_counts;  // [N,1,1,classes or 1]
};

// `capacity` candidates of an image; `classes`; as many detections as `found` has columns.
struct DetectionLists {
  View<const ImagePlace> places;  // [N,1,1,1]
  View<CandidateBox> candidates;  // [N,1,1,capacity], in the order of the heads and of their rows
  View<int> counts;               // [N,1,1,1]: of candidates; more than the capacity if they did not fit
  View<unsigned> kept;            // [N,1,classes,(capacity + 31) / 32]: a bit for each candidate
  SoftDetections soft;            // for soft kinds only
  int most_of_class = 0;          // candidates of one class; 0: as many as there are
  View<ListedDetection> found;    // [N,1,1,most], by class and then by candidate
  View<int> found_counts;         // [N,1,1,1]: more than `most` if they did not fit

  HOST_DEVICE int capacity() const { return candidates.shape.c; }
  HOST_DEVICE int classes() const { return kept.shape.w; }
  HOST_DEVICE int count(int image) const { return counts[image] < capacity() ? counts[image] : capacity(); }
  // After suppression.
  HOST_DEVICE float score(int image, int class_id, int candidate, float threshold) const {
    if (!soft.decayed) return candidates(image, 0, 0, candidate).score(class_id, threshold);
    return soft.decayed(image, 0, soft.decayed.shape.w == 1 ? 0 : class_id, candidate);
  }
};

// cuda::nms holds the candidates of an image and a class in the shared memory of a block. Where heads list
// their best boxes only, there may be more, since the lists are as long as they say.
constexpr int kMostCandidates = 4096, kMostBestCandidates = 16384;

namespace cuda {
// Fills found and found_counts from what cuda::nms or cuda::soft_nms kept and left above the threshold. Boxes
// that are not finite are left out.
void collect_detections(Stream&, const DetectionLists&, float score_threshold);
}  // namespace cuda

}  // namespace osprey
