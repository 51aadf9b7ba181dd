#include "cuda/head.h"

#include "cuda/report.cuh"

namespace osprey::cuda {
namespace {

constexpr int kThreads = 256;

// One thread per value.
__global__ void head_backward_kernel(View<const float> delta, View<float> dx, bool overwrite) {
  const int i = global_thread();
  if (i >= dx.size()) return;
  dx[i] = overwrite ? -delta[i] : dx[i] - delta[i];
}

// One block per part of an image (blocks in x) and image (in y): its threads stride through the slopes of the
// part, and through their share of the image's matches.
__global__ void sum_part_kernel(View<float> delta, SlopeParts kinds, float factor, View<const int> rows,
                                View<const float> overlaps, bool box_from_misfits, View<LossReport> parts) {
  const int image = int(blockIdx.y), part = int(blockIdx.x), thread = int(threadIdx.x);
  LossReport own;
  const int slopes = delta.shape.h * delta.shape.w * delta.shape.c;
  const int end = min(slopes, (part + 1) * kSlopesPerPart);
  for (int i = part * kSlopesPerPart + thread; i < end; i += kThreads) {
    float& slope = delta[image * slopes + i];
    const double square = double(slope) * slope;
    const int entry = i % kinds.row_length;
    if (kinds.of_objectness(entry))
      own.objectness_loss += square;
    else if (!kinds.of_box(entry))
      own.class_loss += square;
    else if (!box_from_misfits)
      own.box_loss += square;
    if (factor != 1) slope *= factor;
  }
  const int slots = rows.shape.w * rows.shape.c;
  for (int i = part * kThreads + thread; i < slots; i += int(gridDim.x) * kThreads) {
    const int slot = image * slots + i;
    if (rows[slot] < 0) continue;
    own.iou += overlaps[2 * slot];
    if (box_from_misfits) own.box_loss += overlaps[2 * slot + 1];
    ++own.matched;
  }
  const LossReport total = block_total(own);
  if (thread == 0) parts[image * int(gridDim.x) + part] = total;
}

// One block: its threads stride through the parts. No other kernel of the stream writes to the report at the
// same time, so a plain addition will do.
__global__ void report_kernel(View<const LossReport> parts, ReportRule rule, LossReport* report) {
  LossReport own;
  for (int i = int(threadIdx.x); i < parts.size(); i += kThreads) add(own, parts[i]);
  LossReport total = block_total(own);
  if (threadIdx.x != 0) return;
  finish(rule, total);
  add(*report, total);
}

}  // namespace

void head_backward(Stream& s, View<const float> delta, View<float> dx, bool overwrite) {
  launch<head_backward_kernel>(s, one_thread_each(dx.size()), delta, dx, overwrite);
}

void add_to_report(Stream& s, View<float> delta, SlopeParts kinds, float factor, const LossWork& work,
                   ReportRule rule, LossReport* report) {
  const Shape shape = delta.shape;
  const View<LossReport> parts = work.reports();
  const Grid blocks = {dim3(unsigned(loss_parts(shape) / shape.n), unsigned(shape.n)), dim3(kThreads)};
  launch<sum_part_kernel>(s, blocks, delta, kinds, factor, View<const int>(work.rows),
                          View<const float>(work.overlaps), rule.box_from_misfits, parts);
  launch<report_kernel>(s, {dim3(1), dim3(kThreads)}, View<const LossReport>(parts), rule, report);
}

}  // namespace osprey::cuda
