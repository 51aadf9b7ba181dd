#include "cuda/roi_pool.h"

#include "cuda/launch.h"
#include "cuda/range_max.cuh"
#include "cuda/roi_gather.cuh"

namespace osprey::cuda {
namespace {

// One thread per pack of channels of a bin.
template <class T, int N>
__global__ void roi_pool_forward_kernel(View<const T> x, Rois rois, RoiMap map, View<T> y, View<int> winner) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const auto [row, p, q, c] = y.shape.pixel(i);
  const int image = row / rois.capacity(), r = row % rois.capacity();
  const bool empty = r >= rois.count(image);
  if (empty ? map.level != 0 : !rois.on_level(image, r, map.level)) return;
  CellRange h, w;  // without cells
  if (!empty) {
    const Box box = rois.boxes(image, 0, 0, r);
    h = pool_axis(box.y1, box.y2, map.scale).bin(p, y.shape.h, x.shape.h);
    w = pool_axis(box.x1, box.x2, map.scale).bin(q, y.shape.w, x.shape.w);
  }
  store_range_max<N>(x, image, h, w, y, winner, i);
}

// One thread per pack of channels of a cell, which collects from the bins that it won, in the order of the
// RoIs: cuda/roi_gather.cuh says why. Threads beyond the row only help to find RoIs.
template <class T, int N>
__global__ void roi_pool_backward_kernel(View<const T> dy, View<const int> winner, Rois rois, RoiMap map,
                                         View<T> dx) {
  const Shape cells = dx.shape, bins = dy.shape;
  const RowPart own = row_part(cells, N);
  const int i = cells.index(own.image, own.row, own.column, own.channel);
  Floats<N> sum{};
  if (own.inside) sum = load<N>(dx, i);
  const auto touches = [&](Box box) {
    const PoolAxis h = pool_axis(box.y1, box.y2, map.scale), w = pool_axis(box.x1, box.x2, map.scale);
    return h.bin(0, 1, cells.h).overlaps(own.row, own.row) &&
           w.bin(0, 1, cells.w).overlaps(own.first, own.last);
  };
  for_each_touching_roi(rois, own.image, map.level, touches, [&](int r) {
    if (!own.inside) return;
    const Box box = rois.boxes(own.image, 0, 0, r);
    const PoolAxis h = pool_axis(box.y1, box.y2, map.scale), w = pool_axis(box.x1, box.x2, map.scale);
    for (int p = 0; p < bins.h; ++p) {
      if (!h.bin(p, bins.h, cells.h).overlaps(own.row, own.row)) continue;
      for (int q = 0; q < bins.w; ++q) {
        if (!w.bin(q, bins.w, cells.w).overlaps(own.column, own.column)) continue;
        const int from = bins.index(own.image * rois.capacity() + r, p, q, own.channel);
        add_if_winner<N>(sum, dy, winner, from, own.row * cells.w + own.column);
      }
    }
  });
  if (own.inside) store(dx, i, sum);
}

}  // namespace

void roi_pool_forward(Stream& s, Tensor x, Rois rois, RoiMap map, Tensor y, View<int> winner) {
  with_packs({y.shape.c}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<roi_pool_forward_kernel<T, N>>(s, one_thread_each(y.size() / N), x.view<const T>(), rois, map,
                                          y.view<T>(), winner);
  });
}

void roi_pool_backward(Stream& s, Tensor dy, View<const int> winner, Rois rois, RoiMap map, Tensor dx) {
  with_packs({dx.shape.c}, {dy, dx}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<roi_pool_backward_kernel<T, N>>(s, one_block_per_row_part(dx.shape, N), dy.view<const T>(), winner,
                                           rois, map, dx.view<T>());
  });
}

}  // namespace osprey::cuda
