#include "cuda/roi_align.h"

#include "cuda/launch.h"
#include "cuda/pack.cuh"
#include "cuda/roi_gather.cuh"

namespace osprey::cuda {
namespace {

// Adds `weight` times the pack of channels at a cell.
template <int N, class T>
__device__ void add_cell(Floats<N>& sum, float weight, View<const T> x, int image, int h, int w, int c) {
  const Floats<N> values = load<N>(x, x.shape.index(image, h, w, c));
  for (int k = 0; k < N; ++k) sum[k] += weight * values[k];
}

// One thread per pack of channels of a bin. Neighbouring threads hold neighbouring channels, so that a warp
// reads whole cells.
template <class T, int N>
__global__ void roi_align_forward_kernel(View<const T> x, Rois rois, RoiMap map, View<T> y, RoiAlign rule) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const auto [row, bin_h, bin_w, c] = y.shape.pixel(i);
  const int image = row / rois.capacity(), r = row % rois.capacity();
  const bool empty = r >= rois.count(image);
  if (empty ? map.level != 0 : !rois.on_level(image, r, map.level)) return;
  Floats<N> sum{};
  if (!empty) {
    const Box box = rois.boxes(image, 0, 0, r);
    const AlignAxis along_h = align_axis(box.y1, box.y2, map.scale, y.shape.h, rule);
    const AlignAxis along_w = align_axis(box.x1, box.x2, map.scale, y.shape.w, rule);
    for (int p = 0; p < along_h.samples; ++p) {
      const Interpolation h = interpolation(along_h.point(bin_h, p), x.shape.h);
      for (int q = 0; h.inside && q < along_w.samples; ++q) {
        const Interpolation w = interpolation(along_w.point(bin_w, q), x.shape.w);
        if (!w.inside) continue;
        add_cell<N>(sum, (1 - h.to_high) * (1 - w.to_high), x, image, h.low, w.low, c);
        add_cell<N>(sum, (1 - h.to_high) * w.to_high, x, image, h.low, w.high, c);
        add_cell<N>(sum, h.to_high * (1 - w.to_high), x, image, h.high, w.low, c);
        add_cell<N>(sum, h.to_high * w.to_high, x, image, h.high, w.high, c);
      }
    }
    const float samples = fmaxf(float(along_h.samples) * float(along_w.samples), 1.0f);
    for (int k = 0; k < N; ++k) sum[k] /= samples;
  }
  store(y, i, sum);
}

// One thread per pack of channels of a cell, which collects from the bins of all RoIs over it, in order:
// cuda/roi_gather.cuh says why. Threads beyond the row only help to find RoIs.
template <class T, int N>
__global__ void roi_align_backward_kernel(View<const T> dy, Rois rois, RoiMap map, View<T> dx,
                                          RoiAlign rule) {
  const Shape cells = dx.shape, bins = dy.shape;
  const RowPart own = row_part(cells, N);
  const int i = cells.index(own.image, own.row, own.column, own.channel);
  Floats<N> sum{};
  if (own.inside) sum = load<N>(dx, i);
  const auto along_h = [&](Box box) { return align_axis(box.y1, box.y2, map.scale, bins.h, rule); };
  const auto along_w = [&](Box box) { return align_axis(box.x1, box.x2, map.scale, bins.w, rule); };
  const auto touches = [&](Box box) {
    return along_h(box).reach(0, bins.h - 1, cells.h).overlaps(own.row, own.row) &&
           along_w(box).reach(0, bins.w - 1, cells.w).overlaps(own.first, own.last);
  };
  for_each_touching_roi(rois, own.image, map.level, touches, [&](int r) {
    if (!own.inside) return;
    const Box box = rois.boxes(own.image, 0, 0, r);
    const AlignAxis h = along_h(box), w = along_w(box);
    for (int p = 0; p < bins.h; ++p) {
      if (!h.reach(p, p, cells.h).overlaps(own.row, own.row)) continue;
      const float weight_h = h.weight(p, own.row, cells.h);
      for (int q = 0; weight_h != 0 && q < bins.w; ++q) {
        if (!w.reach(q, q, cells.w).overlaps(own.column, own.column)) continue;
        const float weight = weight_h * w.weight(q, own.column, cells.w);
        if (weight == 0) continue;
        const int from = bins.index(own.image * rois.capacity() + r, p, q, own.channel);
        const Floats<N> gradients = load<N>(dy, from);
        for (int k = 0; k < N; ++k) sum[k] += weight * gradients[k];
      }
    }
  });
  if (own.inside) store(dx, i, sum);
}

}  // namespace

void roi_align_forward(Stream& s, Tensor x, Rois rois, RoiMap map, Tensor y, RoiAlign rule) {
  with_packs({y.shape.c}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<roi_align_forward_kernel<T, N>>(s, one_thread_each(y.size() / N), x.view<const T>(), rois, map,
                                           y.view<T>(), rule);
  });
}

void roi_align_backward(Stream& s, Tensor dy, Rois rois, RoiMap map, Tensor dx, RoiAlign rule) {
  with_packs({dx.shape.c}, {dy, dx}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<roi_align_backward_kernel<T, N>>(s, one_block_per_row_part(dx.shape, N), dy.view<const T>(), rois,
                                            map, dx.view<T>(), rule);
  });
}

}  // namespace osprey::cuda
