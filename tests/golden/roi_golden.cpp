// What torchvision pools from regions of interest, by the CPU's loops and by the kernels.
#include "cuda/roi_align.h"
#include "cuda/roi_pool.h"
#include "cuda/spp.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

// The cases have one list of rows (image, corners); we have a list for each image.
struct GoldenRois {
  std::vector<Box> boxes;
  std::vector<int> counts, levels;
  std::vector<int> rows;  // of our output, for each of theirs
  int images, places;

  GoldenRois(const std::vector<float>& rois, int images)
      : counts(images), images(images), places(int(rois.size()) / 5) {
    boxes.resize(images * places);
    for (size_t i = 0; i + 4 < rois.size(); i += 5) {
      const int image = int(rois[i]);
      rows.push_back(image * places + counts[image]++);
      boxes[rows.back()] = {rois[i + 1], rois[i + 2], rois[i + 3], rois[i + 4]};
    }
  }
  Rois view() const {
    const Shape shape = {images, 1, 1, places};
    Rois rois{{boxes.data(), shape}, {counts.data(), {images, 1, 1, 1}}, {}};
    if (!levels.empty()) rois.levels = View<const int>(levels.data(), shape);
    return rois;
  }
  // Rows of `values` each, from theirs to ours and back.
  template <class T>
  std::vector<T> ours(const std::vector<T>& theirs, int values) const {
    std::vector<T> all(boxes.size() * values);
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(theirs.begin() + i * values, values, all.begin() + rows[i] * values);
    return all;
  }
  template <class T>
  std::vector<T> theirs(const std::vector<T>& ours, int values) const {
    std::vector<T> all(rows.size() * values);
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(ours.begin() + rows[i] * values, values, all.begin() + i * values);
    return all;
  }
};

// RoIs of a flat list of corners, all on image 0.
GoldenRois of_one_image(const std::vector<float>& corners) {
  std::vector<float> rois;
  for (size_t i = 0; i + 3 < corners.size(); i += 4) {
    rois.push_back(0);
    rois.insert(rois.end(), corners.begin() + i, corners.begin() + i + 4);
  }
  return {rois, 1};
}

std::vector<int> integers(const std::vector<float>& v) { return {v.begin(), v.end()}; }

View<const float> constant(const std::vector<float>& v, Shape shape) { return {v.data(), shape}; }

GOLDEN_ON_DEVICES(roi_align) {
  const std::vector<int> x_shape = c.shape("x"), bins = c.params().at("output");
  const Shape in = {x_shape[0], x_shape[2], x_shape[3], x_shape[1]};
  const RoiAlign rule = {std::max(c.param("sampling_ratio", 0), 0), c.param("aligned", false)};
  const RoiMap map = {0, c.param("spatial_scale", 1.0f)};
  const GoldenRois rois(c.floats("rois"), in.n);
  const Shape out = {in.n * rois.places, bins[0], bins[1], in.c};
  const int values = bins[0] * bins[1] * in.c;
  const std::vector<int> y_shape = {int(rois.rows.size()), bins[0], bins[1], in.c};

  Stream s{device};
  const std::vector<float> x = golden::nhwc(c.array("x"));
  std::vector<float> y(out.size());
  on(s, cpu::roi_align_forward, cuda::roi_align_forward)(s, constant(x, in), rois.view(), map,
                                                         View<float>(y.data(), out), rule);
  c.expect("y", golden::nchw(rois.theirs(y, values), y_shape));
  const std::vector<float> dy = rois.ours(golden::nhwc(c.array("dy")), values);
  std::vector<float> dx(in.size(), 0);
  on(s, cpu::roi_align_backward, cuda::roi_align_backward)(s, constant(dy, out), rois.view(), map,
                                                           View<float>(dx.data(), in), rule);
  c.expect("dx", golden::nchw(dx, {in.n, in.h, in.w, in.c}));
}

RoiLevelRule level_rule(const golden::Case& c) {
  return {c.param("k_min", 2), c.param("k_max", 5), c.param("k0", 4), c.param("s0", 224.0f)};
}

GOLDEN_ON_DEVICES(fpn_level) {
  const GoldenRois rois = of_one_image(c.floats("boxes"));
  std::vector<int> levels(rois.places);
  Stream s{device};
  on(s, cpu::roi_levels, cuda::roi_levels)(s, rois.view(), View<int>(levels.data(), {1, 1, 1, rois.places}),
                                           level_rule(c));
  c.expect("level", levels);
}

GOLDEN_ON_DEVICES(multiscale_roi_align) {
  const std::vector<int> canonical = c.params().at("canonical"), image = c.params().at("image");
  const int bins = c.param("output", 7);
  const RoiAlign rule = {c.param("sampling_ratio", 0), c.param("aligned", false)};
  GoldenRois rois = of_one_image(c.floats("boxes"));
  std::vector<int> levels(rois.places);
  Stream s{device};
  on(s, cpu::roi_levels, cuda::roi_levels)(s, rois.view(), View<int>(levels.data(), {1, 1, 1, rois.places}),
                                           RoiLevelRule{2, 5, canonical[1], float(canonical[0])});
  rois.levels = levels;
  std::vector<float> y;
  Shape out;
  for (int level = 0; c.has("feat" + std::to_string(level)); ++level) {
    const Array feature = c.array("feat" + std::to_string(level));
    const Shape in = {1, feature.shape[2], feature.shape[3], feature.shape[1]};
    out = {rois.places, bins, bins, in.c};
    const std::vector<float> x = golden::nhwc(feature);
    y.resize(out.size(), NAN);
    on(s, cpu::roi_align_forward, cuda::roi_align_forward)(s, constant(x, in), rois.view(),
                                                           RoiMap{level, map_scale(in.h, image[0])},
                                                           View<float>(y.data(), out), rule);
  }
  c.expect("y", golden::nchw(y, {out.n, out.h, out.w, out.c}));
}

GOLDEN_ON_DEVICES(roi_pool) {
  const std::vector<int> x_shape = c.shape("x"), bins = c.params().at("output");
  const Shape in = {x_shape[0], x_shape[2], x_shape[3], x_shape[1]};
  const RoiMap map = {0, c.param("spatial_scale", 1.0f)};
  const GoldenRois rois(c.floats("rois"), in.n);
  const Shape out = {in.n * rois.places, bins[0], bins[1], in.c};
  const int values = bins[0] * bins[1] * in.c;
  const std::vector<int> y_shape = {int(rois.rows.size()), bins[0], bins[1], in.c};

  Stream s{device};
  const std::vector<float> x = golden::nhwc(c.array("x"));
  std::vector<float> y(out.size());
  std::vector<int> winner(out.size());
  on(s, cpu::roi_pool_forward, cuda::roi_pool_forward)(
      s, constant(x, in), rois.view(), map, View<float>(y.data(), out), View<int>(winner.data(), out));
  c.expect("y", golden::nchw(rois.theirs(y, values), y_shape));
  const std::vector<int> winners = rois.theirs(winner, values);
  c.expect("argmax", integers(golden::nchw({winners.begin(), winners.end()}, y_shape)));
  const std::vector<float> dy = rois.ours(golden::nhwc(c.array("dy")), values);
  std::vector<float> dx(in.size(), 0);
  on(s, cpu::roi_pool_backward, cuda::roi_pool_backward)(s, constant(dy, out),
                                                         View<const int>(winner.data(), out), rois.view(),
                                                         map, View<float>(dx.data(), in));
  c.expect("dx", golden::nchw(dx, {in.n, in.h, in.w, in.c}));
}

// Ours has the channels of a bin side by side; theirs, level by level, the bins of a channel.
std::vector<int> places_in_theirs(Shape out, SppLevels levels) {
  std::vector<int> places;
  for (int n = 0; n < out.n; ++n)
    for (int level = 0, first = 0; level < levels.count; ++level) {
      const int bins = levels.bins[level] * levels.bins[level];
      for (int bin = 0; bin < bins; ++bin)
        for (int channel = 0; channel < out.c; ++channel)
          places.push_back(n * out.w * out.c + first * out.c + channel * bins + bin);
      first += bins;
    }
  return places;
}

GOLDEN_ON_DEVICES(spp_layer) {
  const std::vector<int> x_shape = c.shape("x"), bins = c.params().at("levels");
  const Shape in = {x_shape[0], x_shape[2], x_shape[3], x_shape[1]};
  SppLevels levels;
  levels.count = int(bins.size());
  std::copy(bins.begin(), bins.end(), levels.bins);
  const Shape out = {in.n, 1, levels.total(), in.c};
  const std::vector<int> places = places_in_theirs(out, levels);

  Stream s{device};
  const std::vector<float> x = golden::nhwc(c.array("x")), their_dy = c.floats("dy");
  std::vector<float> y(out.size()), their_y(out.size()), dy(out.size()), dx(in.size(), 0);
  std::vector<int> winner(out.size());
  on(s, cpu::spp_forward, cuda::spp_forward)(s, constant(x, in), View<float>(y.data(), out),
                                             View<int>(winner.data(), out), levels);
  for (size_t i = 0; i < places.size(); ++i) their_y[places[i]] = y[i], dy[i] = their_dy[places[i]];
  c.expect("y", their_y);
  on(s, cpu::spp_backward, cuda::spp_backward)(s, constant(dy, out), View<const int>(winner.data(), out),
                                               View<float>(dx.data(), in), levels);
  c.expect("dx", golden::nchw(dx, {in.n, in.h, in.w, in.c}));
}

}  // namespace
}  // namespace osprey
