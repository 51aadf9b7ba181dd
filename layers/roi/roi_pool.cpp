#include "cuda/roi_pool.h"

#include "core/parallel.h"
#include "layers/roi/range_max.h"

namespace osprey::cpu {

void roi_pool_forward(Stream&, View<const float> x, Rois rois, RoiMap map, View<float> y, View<int> winner) {
  const Shape bins = y.shape;
  parallel_for(bins.n, 1, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int image = row / rois.capacity(), r = row % rois.capacity();
      const bool empty = r >= rois.count(image);
      if (empty ? map.level != 0 : !rois.on_level(image, r, map.level)) continue;
      PoolAxis h, w;  // without cells
      if (!empty) {
        const Box box = rois.boxes(image, 0, 0, r);
        h = pool_axis(box.y1, box.y2, map.scale), w = pool_axis(box.x1, box.x2, map.scale);
      }
      for (int p = 0; p < bins.h; ++p)
        for (int q = 0; q < bins.w; ++q)
          write_range_max(x, image, h.bin(p, bins.h, x.shape.h), w.bin(q, bins.w, x.shape.w), y, winner,
                          bins.index(row, p, q, 0));
    }
  });
}

// Images are for themselves; within one, RoIs send back in their order.
void roi_pool_backward(Stream&, View<const float> dy, View<const int> winner, Rois rois, RoiMap map,
                       View<float> dx) {
  const Shape bins = dy.shape;
  parallel_for(dx.shape.n, 1, [=](int64_t first, int64_t last) {
    for (int image = int(first); image < int(last); ++image)
      for (int r = 0; r < rois.count(image); ++r) {
        if (!rois.on_level(image, r, map.level)) continue;
        for (int bin = 0; bin < bins.h * bins.w; ++bin) {
          const int row = image * rois.capacity() + r;
          scatter_to_winners(dy, winner, bins.index(row, bin / bins.w, bin % bins.w, 0), dx, image);
        }
      }
  });
}

}  // namespace osprey::cpu
