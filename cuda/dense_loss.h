// Decoding and the losses of heads that judge every row of every level ([retina] and its kin). The CPU side
// is in layers/heads/dense_loss.cpp, the kernels in cuda/dense_loss.cu.
#pragma once

#include "core/feedback.h"
#include "core/row_box_loss.h"
#include "core/row_coder.h"
#include "cuda/box_coder.h"
#include "cuda/truth_lists.h"

namespace osprey {

// What the head's third map of a level, one number per row, learns of a row.
enum class RowQuality {
  none,        // there is no such map
  centerness,  // of a positive row: how central its anchor's centre lies in the truth (FCOS, ATSS)
  iou,         // of a positive row: the overlap of its box with the truth (PAA, OTA)
  objectness,  // of every row: whether it is positive (YOLOX)
};

// sqrt(min(l,r)/max(l,r) min(t,b)/max(t,b)), where l, t, r, b are the distances of a point to the sides of a
// box around it; 0 for a point outside. "FCOS", Tian et al., ICCV 2019, eq. 3.
HOST_DEVICE inline float centerness(float x, float y, Box box) {
  const float l = x - box.x1, t = y - box.y1, r = box.x2 - x, b = box.y2 - y;
  if (!(l > 0 && t > 0 && r > 0 && b > 0)) return 0;
  return sqrtf(fminf(l, r) / fmaxf(l, r) * (fminf(t, b) / fmaxf(t, b)));
}

// R rows of each image.
struct DenseRows {
  View<const float> logits;   // [N,1,R,classes]
  View<const float> deltas;   // [N,1,R,4]
  View<const float> quality;  // [N,1,R,1], logits; empty for RowQuality::none
};
struct DenseGradients {  // of the same
  View<float> logits, deltas, quality;
};

struct DenseTargets {
  View<const Box> anchors;  // [1,1,1,R]
  View<const int> match;    // [N,1,1,R]: a truth of the lists, kBackground or kIgnored
  TruthLists truths;
};

struct DenseRule {
  RowCoder coder;
  ValueLoss class_loss = {ValueLoss::Kind::focal};
  bool soft_classes = false;  // the true class learns the overlap of box and truth instead of 1
  RowBoxLoss box_loss;
  RowQuality quality = RowQuality::none;
  float box_weight = 1, quality_weight = 1;
  // Sums are divided by the number of positive rows, at least 1: of each image by itself (torchvision), or of
  // the mini-batch (detectron2, mmdetection), which then counts N times, since the optimizer divides by
  // images. A box loss weighted by quality is divided by the sum of these weights instead.
  bool per_image = true;
  Feedback feedback;

  // The weight of a positive row's box loss, and what its quality learns.
  HOST_DEVICE float row_weight(Box anchor, Box predicted, Box truth) const {
    if (quality == RowQuality::centerness) {
      const CentreBox a = centre(anchor);
      return centerness(a.x, a.y, truth);
    }
    return quality == RowQuality::iou ? iou(predicted, truth) : 1.0f;
  }
};

// Memory that the loss works in; nothing of use is in it before.
struct DenseWork {
  View<float> weights;        // [N,1,1,R]: row_weight() of positive rows
  View<float> class_targets;  // [N,1,1,R]: what their true class learns
  View<float> sums;           // [N,1,1,2]: positive rows, and the sum of their weights
  Tensor parts;               // bytes for dense_parts(rows) reports

  View<LossReport> reports() const {
    const int bytes = int(sizeof(LossReport));
    return {static_cast<LossReport*>(parts.data), {1, 1, 1, parts.size() / bytes}};
  }
};

// A part of the loss of an image, summed in order by itself: this many rows.
constexpr int kRowsPerPart = 128;
inline int parts_of_image(int rows) { return (rows + kRowsPerPart - 1) / kRowsPerPart; }
inline int dense_parts(Shape rows) { return rows.n * parts_of_image(rows.w); }

// What the sums of an image are divided by, or rather multiplied with.
struct DenseFactors {
  float count, weight;
};
HOST_DEVICE inline DenseFactors dense_factors(View<const float> sums, int image, bool per_image) {
  float count = 0, weight = 0;
  const int first = per_image ? image : 0, last = per_image ? image : sums.shape.n - 1;
  for (int n = first; n <= last; ++n) count += sums[2 * n], weight += sums[2 * n + 1];
  const float images = per_image ? 1.0f : float(sums.shape.n);
  return {images / fmaxf(count, 1.0f), weight > 0 ? images / weight : 0};
}

namespace cpu {
// Writes boxes [N,1,1,R], in pixels of the network input.
void decode_boxes(Stream&, View<const float> deltas, View<const Box> anchors, RowCoder, View<Box> boxes);
// Writes rows [N,1,R,5 + classes] as RowEntry (cuda/head.h) has them: the box clipped to the network input of
// this size, in units of it; as objectness the logistic of the quality, or 1; the classes' logistics. With
// `roots` of all of them, so that a score is the root of the product.
void dense_rows(Stream&, DenseRows from, View<const Box> anchors, RowCoder, bool roots, float width,
                float height, View<float> rows);
// Writes the gradients of all rows, adds to *report, moves the share of the feedback, and writes the loss of
// each image to `losses` [N,1,1,1].
void dense_loss(Stream&, DenseRows rows, DenseTargets targets, const DenseRule& rule, DenseWork work,
                DenseGradients gradients, View<float> losses, LossReport* report);
// Writes what each row that is matched with a truth costs, class loss and box loss without factors, and 0 for
// others: [N,1,1,R].
void dense_costs(Stream&, DenseRows rows, DenseTargets targets, const DenseRule& rule, View<float> costs);
}  // namespace cpu

namespace cuda {
void decode_boxes(Stream&, View<const float> deltas, View<const Box> anchors, RowCoder, View<Box> boxes);
void dense_rows(Stream&, DenseRows from, View<const Box> anchors, RowCoder, bool roots, float width,
                float height, View<float> rows);
void dense_loss(Stream&, DenseRows rows, DenseTargets targets, const DenseRule& rule, DenseWork work,
                DenseGradients gradients, View<float> losses, LossReport* report);
void dense_costs(Stream&, DenseRows rows, DenseTargets targets, const DenseRule& rule, View<float> costs);
}  // namespace cuda

}  // namespace osprey
