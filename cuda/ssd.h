// Decoding and the loss of [ssd]: each row (an anchor) has one class or is background, class 0 of its
// softmax. The CPU side is in layers/heads/ssd_loss.cpp, the kernels in cuda/ssd.cu.
//
// In training matching_ssd.h matches the rows, ssd_labels says what each is, cross_entropy (losses.h) what
// that costs, sample_hard (sampler.h) which of the background counts, and ssd_loss makes the gradients.
#pragma once

#include "core/row_box_loss.h"
#include "cuda/box_coder.h"
#include "cuda/truth_lists.h"

namespace osprey {

// R rows of each image.
struct SsdRows {
  View<const float> logits;  // [N,1,R,1 + classes], background first
  View<const float> deltas;  // [N,1,R,4]
};
struct SsdGradients {  // of the same
  View<float> logits, deltas;
};

struct SsdTargets {
  View<const Box> anchors;  // [1,1,1,R], in pixels of the network input
  View<const int> match;    // [N,1,1,R]: a truth of the lists, or one of kBackground, kIgnored
  TruthLists truths;
};

// Which rows count: what ssd_labels, cross_entropy and sample_hard wrote.
struct SsdSample {
  View<const int> labels;     // [N,1,R,1]
  View<const float> losses;   // [N,1,R,1], of the classes
  View<const float> weights;  // [N,1,1,R]: 1 for rows that count, else 0
  View<const int> counts;     // [N,1,1,2]: positive and negative rows
};

struct SsdRule {
  BoxCoder coder = {10, 5, -INFINITY, INFINITY};
  RowBoxLoss box_loss;
  float box_weight = 1;
};

// The loss is divided by the positive rows of the whole mini-batch, and so counts N times, since the
// optimizer divides by images. Without positive rows nothing counts.
HOST_DEVICE inline float ssd_factor(View<const int> counts) {
  int positives = 0;
  for (int n = 0; n < counts.shape.n; ++n) positives += counts[2 * n];
  return positives > 0 ? float(counts.shape.n) / float(positives) : 0;
}

// A part of the loss of an image, summed by itself: this many rows.
constexpr int kSsdRowsPerPart = 128;
inline int ssd_parts_of_image(int rows) { return (rows + kSsdRowsPerPart - 1) / kSsdRowsPerPart; }

// Whether a box overlaps one of an image's truths by at least `threshold`.
HOST_DEVICE inline bool overlaps_truth(Box box, const BoxLists& truths, int image, float threshold) {
  for (int t = 0; t < truths.count(image); ++t)
    if (iou(box, truths.box(image, t)) >= threshold) return true;
  return false;
}

namespace cpu {
// Writes labels [N,1,R,1]: the class of a matched row plus 1, 0 for background, -1 for what is ignored. Rows
// of the background that overlap a truth by `background` or more become kIgnored in match; above 1 none do.
void ssd_labels(Stream&, View<const Box> anchors, TruthLists truths, float background, View<int> match,
                View<int> labels);
// Writes the gradients of all rows, adds to *report, and writes the loss of each image to `losses` [N,1,1,1].
// parts [N,1,1,ssd_parts_of_image(R)] is memory to work in.
void ssd_loss(Stream&, SsdRows rows, SsdTargets targets, SsdSample sample, SsdRule rule,
              View<LossReport> parts, SsdGradients gradients, View<float> losses, LossReport* report);
// Writes rows [N,1,R,5 + classes] as RowEntry (cuda/head.h) has them: the box clipped to the network input of
// this size, in units of it, an objectness of 1, and the softmax but for the background.
void ssd_rows(Stream&, SsdRows from, View<const Box> anchors, BoxCoder, float width, float height,
              View<float> rows);
}  // namespace cpu

namespace cuda {
void ssd_labels(Stream&, View<const Box> anchors, TruthLists truths, float background, View<int> match,
                View<int> labels);
void ssd_loss(Stream&, SsdRows rows, SsdTargets targets, SsdSample sample, SsdRule rule,
              View<LossReport> parts, SsdGradients gradients, View<float> losses, LossReport* report);
void ssd_rows(Stream&, SsdRows from, View<const Box> anchors, BoxCoder, float width, float height,
              View<float> rows);
}  // namespace cuda

}  // namespace osprey
