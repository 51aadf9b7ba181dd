// [roi_pool]: each RoI of a table becomes a grid of bins, of the map of a pyramid that fits its size.
#include "cuda/roi_pool.h"

#include "core/parallel.h"
#include "layers/roi/range_max.h"
#include "layers/roi/roi_maps.h"

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

namespace osprey {
namespace {

class RoiPoolLayer final : public Layer {
 public:
  void keys(Keys& k) override { maps_.keys(k); }

  void plan(Plan& p) override {
    maps_.plan(p);
    p.keep(winner_, p.output_shape());
  }

  void forward(Stream& s) override {
    maps_.read(s, x(0));
    for (int k = 0; k < maps_.count(); ++k)
      on(s, cpu::roi_pool_forward, cuda::roi_pool_forward)(s, x(k + 1), maps_.rois(), maps_.map(k), y,
                                                           winner_);
  }
  void backward(Stream& s) override {
    for (int k = 0; k < maps_.count(); ++k)
      if (dx(k + 1))
        on(s, cpu::roi_pool_backward, cuda::roi_pool_backward)(s, dy, winner_, maps_.rois(), maps_.map(k),
                                                               dx(k + 1));
  }

  LayerSummary summary() const override { return maps_.summary(); }

 private:
  RoiMaps maps_;
  View<int> winner_;  // like y
};

}  // namespace

extern const LayerType roi_pool = {"roi_pool", nullptr, "pools each RoI by the maxima of its bins",
                                   make<RoiPoolLayer>};

}  // namespace osprey
