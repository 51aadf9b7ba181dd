#include "cuda/rcnn.h"

#include "cuda/block.cuh"
#include "cuda/head.h"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// Adds `share` of the softmax of a row of logits to `mean`, which is shared memory. Every thread of the block
// must call it; each reads and writes the same logits in every call.
__device__ void add_softmax(const float* logits, int count, float share, float* mean) {
  float largest = -INFINITY;
  for (int c = int(threadIdx.x); c < count; c += int(blockDim.x)) largest = fmaxf(largest, logits[c]);
  largest = block_max(largest);
  float sum = 0;
  for (int c = int(threadIdx.x); c < count; c += int(blockDim.x)) sum += expf(logits[c] - largest);
  sum = block_sum(sum);
  for (int c = int(threadIdx.x); c < count; c += int(blockDim.x))
    mean[c] += share * (expf(logits[c] - largest) / sum);
}

// One entry of a row of y. `probability` is that of the row's class, or, where all classes share a box, of
// the entry's.
__device__ float row_entry(int entry, CentreBox box, bool own_class, bool shared_box, float probability) {
  switch (entry) {
    case kX:
      return box.x;
    case kY:
      return box.y;
    case kW:
      return box.w;
    case kH:
      return box.h;
    case kObjectness:
      return shared_box ? 1 : probability;
    default:
      return shared_box ? probability : own_class ? 1.0f : 0.0f;
  }
}

// One block per place of the table: its threads share the logits, then the values of the place's rows.
__global__ void rcnn_rows_kernel(RoiLogits logits, View<const float> deltas, View<const float> table,
                                 RcnnRule rule, View<float> y) {
  float* probabilities = dynamic_shared<float>();  // [K+1]
  const int place = int(blockIdx.x), count = rule.classes + 1;
  for (int c = int(threadIdx.x); c < count; c += int(blockDim.x)) probabilities[c] = 0;
  for (int k = 0; k < logits.count; ++k)
    add_softmax(&logits.of_stage[k][place * count], count, 1.0f / float(logits.count), probabilities);
  __syncthreads();  // all probabilities are there
  const RoiRow roi = roi_of_row(table, place);
  const int length = kClasses + rule.classes, boxes = rule.boxes_of_roi();
  for (int i = int(threadIdx.x); i < boxes * length; i += int(blockDim.x)) {
    const int own = i / length, entry = i % length;
    CentreBox box;
    const bool good =
        roi.match != kNoRoi &&
        detected(rule, deltas_at(&deltas[place * rule.deltas + rule.deltas_of(own)]), roi.box, box);
    const int entry_class = entry - kClasses, class_id = boxes == 1 ? max(entry_class, 0) : own;
    y[place * boxes * length + i] = good ? row_entry(entry, box, entry_class == own, rule.deltas == 4,
                                                     probabilities[rule.logit_of(class_id)])
                                         : 0;
  }
}

// One thread per place.
__global__ void rcnn_refine_kernel(View<const float> logits, View<const float> deltas,
                                   View<const float> table, RcnnRule rule, View<float> refined_table) {
  const int i = global_thread();
  if (i >= table.shape.rows()) return;
  RoiRow roi = roi_of_row(table, i);
  if (roi.match != kNoRoi) {
    const int first = i * (rule.classes + 1);
    int best = 0;
    for (int c = 1; c < rule.boxes_of_roi(); ++c)
      if (logits[first + rule.logit_of(c)] > logits[first + rule.logit_of(best)]) best = c;
    roi.box = refined(rule, deltas_at(&deltas[i * rule.deltas + rule.deltas_of(best)]), roi.box);
    roi.match = kBackground;
  }
  set_roi(refined_table, i, roi);
}

constexpr unsigned kThreads = 128;

}  // namespace

void rcnn_rows(Stream& s, RoiLogits logits, View<const float> deltas, View<const float> table, RcnnRule rule,
               View<float> y) {
  const size_t shared = size_t(rule.classes + 1) * sizeof(float);
  launch<rcnn_rows_kernel>(s, {dim3(unsigned(table.shape.rows())), dim3(kThreads), shared}, logits, deltas,
                           table, rule, y);
}

void rcnn_refine(Stream& s, View<const float> logits, View<const float> deltas, View<const float> table,
                 RcnnRule rule, View<float> refined) {
  launch<rcnn_refine_kernel>(s, one_thread_each(table.shape.rows()), logits, deltas, table, rule, refined);
}

}  // namespace osprey::cuda
