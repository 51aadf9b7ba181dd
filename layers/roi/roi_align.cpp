// [roi_align]: each RoI of a table becomes a grid of bins, of the map of a pyramid that fits its size.
#include "cuda/roi_align.h"

#include <algorithm>

#include "core/parallel.h"
#include "layers/roi/roi_maps.h"
#include "layers/vector_loop.h"

namespace osprey::cpu {
namespace {

struct Axes {
  AlignAxis h, w;
};
Axes align_axes(Box box, RoiMap map, Shape bins, RoiAlign rule) {
  return {align_axis(box.y1, box.y2, map.scale, bins.h, rule),
          align_axis(box.x1, box.x2, map.scale, bins.w, rule)};
}

// to[c] += weight * from[c]
void add(float* to, float weight, const float* from, int channels) {
  VECTOR_LOOP
  for (int c = 0; c < channels; ++c) to[c] += weight * from[c];
}

// Adds the means of samples in bin p, q to `mean`, which has a value for each channel.
void add_bin(View<const float> x, int image, Axes axes, int p, int q, float* mean) {
  const float part = 1 / float(axes.h.samples * axes.w.samples);
  for (int a = 0; a < axes.h.samples; ++a) {
    const Interpolation h = interpolation(axes.h.point(p, a), x.shape.h);
    if (!h.inside) continue;
    for (int b = 0; b < axes.w.samples; ++b) {
      const Interpolation w = interpolation(axes.w.point(q, b), x.shape.w);
      if (!w.inside) continue;
      const float above = part * (1 - h.to_high), below = part * h.to_high;
      add(mean, above * (1 - w.to_high), &x(image, h.low, w.low, 0), x.shape.c);
      add(mean, above * w.to_high, &x(image, h.low, w.high, 0), x.shape.c);
      add(mean, below * (1 - w.to_high), &x(image, h.high, w.low, 0), x.shape.c);
      add(mean, below * w.to_high, &x(image, h.high, w.high, 0), x.shape.c);
    }
  }
}

// Adds to row h of dx what bin row p of a RoI, whose gradients are dy(row,...), sends back to it.
void gather_bin_row(View<const float> dy, int row, int p, Axes axes, View<float> dx, int image, int h) {
  const Shape cells = dx.shape;
  if (!axes.h.reach(p, p, cells.h).overlaps(h, h)) return;
  const float weight_h = axes.h.weight(p, h, cells.h);
  if (weight_h == 0) return;
  for (int q = 0; q < dy.shape.w; ++q) {
    const CellRange reached = axes.w.reach(q, q, cells.w);
    for (int w = reached.first; w <= reached.last; ++w) {
      const float weight = weight_h * axes.w.weight(q, w, cells.w);
      if (weight != 0) add(&dx(image, h, w, 0), weight, &dy(row, p, q, 0), cells.c);
    }
  }
}

}  // namespace

void roi_align_forward(Stream&, View<const float> x, Rois rois, RoiMap map, View<float> y, RoiAlign rule) {
  parallel_for(y.shape.n, 1, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int image = row / rois.capacity(), r = row % rois.capacity();
      const bool empty = r >= rois.count(image);
      if (empty ? map.level != 0 : !rois.on_level(image, r, map.level)) continue;
      const int values = y.shape.h * y.shape.w * y.shape.c;
      std::fill_n(y.data + int64_t(row) * values, values, 0.0f);
      if (empty) continue;
      const Axes axes = align_axes(rois.boxes(image, 0, 0, r), map, y.shape, rule);
      for (int p = 0; p < y.shape.h; ++p)
        for (int q = 0; q < y.shape.w; ++q) add_bin(x, image, axes, p, q, &y(row, p, q, 0));
    }
  });
}

// Rows of cells gather from the RoIs over them, so that no two threads write one value and the order of the
// additions is that of the RoIs.
void roi_align_backward(Stream&, View<const float> dy, Rois rois, RoiMap map, View<float> dx, RoiAlign rule) {
  const Shape cells = dx.shape, bins = dy.shape;
  parallel_for(cells.n * cells.h, 1, [=](int64_t first, int64_t last) {
    for (int at = int(first); at < int(last); ++at) {
      const int image = at / cells.h, h = at % cells.h;
      for (int r = 0; r < rois.count(image); ++r) {
        if (!rois.on_level(image, r, map.level)) continue;
        const Axes axes = align_axes(rois.boxes(image, 0, 0, r), map, bins, rule);
        if (!axes.h.reach(0, bins.h - 1, cells.h).overlaps(h, h)) continue;
        for (int p = 0; p < bins.h; ++p)
          gather_bin_row(dy, image * rois.capacity() + r, p, axes, dx, image, h);
      }
    }
  });
}

}  // namespace osprey::cpu

namespace osprey {
namespace {

class RoiAlignLayer final : public Layer {
 public:
  void keys(Keys& k) override {
    maps_.keys(k);
    k.integer("sampling_ratio", rule_.sampling_ratio, 0)
        .between(0, 64)
        .help("sample points per bin and axis; 0: one for each cell that a bin begins");
    k.flag("aligned", rule_.aligned, true)
        .help("0: the older convention, half a cell to the right and down, with RoIs of at least one cell");
  }

  void plan(Plan& p) override { maps_.plan(p); }

  void forward(Stream& s) override {
    maps_.read(s, x(0));
    for (int k = 0; k < maps_.count(); ++k)
      on(s, cpu::roi_align_forward, cuda::roi_align_forward)(s, x(k + 1), maps_.rois(), maps_.map(k), y,
                                                             rule_);
  }
  void backward(Stream& s) override {
    for (int k = 0; k < maps_.count(); ++k)
      if (dx(k + 1))
        on(s, cpu::roi_align_backward, cuda::roi_align_backward)(s, dy, maps_.rois(), maps_.map(k), dx(k + 1),
                                                                 rule_);
  }

  LayerSummary summary() const override { return maps_.summary(); }

 private:
  RoiMaps maps_;
  RoiAlign rule_;
};

}  // namespace

extern const LayerType roi_align = {"roi_align", nullptr, "pools each RoI by bilinear samples",
                                    make<RoiAlignLayer>};

}  // namespace osprey
