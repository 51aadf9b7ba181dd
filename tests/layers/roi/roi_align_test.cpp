#include "cuda/roi_align.h"

#include "tests/layers/roi/rois.h"

namespace osprey::test {
namespace {

struct Case {
  Shape x;
  std::vector<int> counts;
  int places, bins_h, bins_w;
  RoiAlign rule;
};
const Case kCases[] = {
    {{1, 1, 1, 1}, {2}, 2, 1, 1, {1, true}},       // one cell
    {{2, 7, 9, 3}, {5, 3}, 5, 3, 4, {2, true}},    // fewer RoIs than places
    {{2, 7, 9, 8}, {0, 20}, 20, 2, 2, {0, true}},  // no RoI; packs of channels
    {{1, 5, 6, 33}, {9}, 9, 3, 2, {0, false}},     // a row longer than a block
    {{1, 9, 4, 5}, {150}, 150, 2, 3, {2, false}},  // more RoIs than threads of a block
};
constexpr float kScale = .25f;

double sample(const Values& x, Shape in, int image, double h, double w, int c) {
  if (!(h >= -1 && h <= in.h && w >= -1 && w <= in.w)) return 0;
  h = std::min(std::max(h, 0.0), in.h - 1.0), w = std::min(std::max(w, 0.0), in.w - 1.0);
  double sum = 0;
  for (int i = 0; i < in.h; ++i)
    for (int j = 0; j < in.w; ++j)
      sum += std::max(0.0, 1 - std::fabs(h - i)) * std::max(0.0, 1 - std::fabs(w - j)) *
             x[in.index(image, i, j, c)];
  return sum;
}

// The mean of the samples in bin p, q of a RoI.
double bin_mean(const Case& test, const Values& x, int image, Box box, int p, int q, int c) {
  const RoiAlign& rule = test.rule;
  const double half = rule.aligned ? .5 : 0, least = rule.aligned ? 0 : 1;
  double h = double(box.y2 - box.y1) * kScale, w = double(box.x2 - box.x1) * kScale;
  if (rule.aligned && !(h >= 0 && w >= 0)) return 0;
  h = std::max(h, least), w = std::max(w, least);
  const int down = rule.sampling_ratio ? rule.sampling_ratio : int(std::ceil(h / test.bins_h));
  const int right = rule.sampling_ratio ? rule.sampling_ratio : int(std::ceil(w / test.bins_w));
  double sum = 0;
  for (int a = 0; a < down; ++a)
    for (int b = 0; b < right; ++b)
      sum += sample(x, test.x, image, box.y1 * kScale - half + (p + (a + .5) / down) * h / test.bins_h,
                    box.x1 * kScale - half + (q + (b + .5) / right) * w / test.bins_w, c);
  return sum / std::max(down * right, 1);
}

std::vector<double> forward_by_definition(const Case& test, const Values& x, const OwnRois& own, int level) {
  const Shape out = {test.x.n * test.places, test.bins_h, test.bins_w, test.x.c};
  std::vector<double> y(out.size(), 0);
  for (int i = 0; i < out.size(); ++i) {
    const auto [row, p, q, c] = out.pixel(i);
    const int image = row / test.places;
    if (own.rois.on_level(image, row % test.places, level))
      y[i] = bin_mean(test, x, image, own.boxes[row], p, q, c);
  }
  return y;
}

// Positions of up to 10 cells are rounded to floats, by less than 1e-6, and |x| is at most 1; means have few
// terms.
constexpr double kForwardTolerance = 1e-5;
// A cell collects from up to 75 RoIs, whose gradients are at most 1.
constexpr double kBackwardTolerance = 1e-4;

template <class Forward>
void expect_forward(const Case& test, const OwnRois& own, int level, Forward forward) {
  const Shape out = {test.x.n * test.places, test.bins_h, test.bins_w, test.x.c};
  const Values x = coarse_values(test.x.size(), 1);
  const std::vector<double> want = forward_by_definition(test, x, own, level);
  Stream s;
  constexpr float kUntouched = 77;
  Values y(out.size(), kUntouched);
  forward(s, constant(x, test.x), own.rois, RoiMap{level, kScale}, view(y, out), test.rule);
  for (int i = 0; i < out.size(); ++i) {
    const int row = out.pixel(i).n, image = row / test.places, r = row % test.places;
    const bool writes = r < test.counts[image] ? own.rois.on_level(image, r, level) : level == 0;
    ASSERT_NEAR(y[i], writes ? want[i] : kUntouched, kForwardTolerance) << "at " << i;
  }
}

// The numerical derivative of sum(dy y) along each x, in double: as y is linear in x, it is exact for any
// step.
Values gradient_by_differences(const Case& test, const Values& dy, const OwnRois& own, int level) {
  Values dx(test.x.size());
  Values x(test.x.size(), 0);
  for (int i = 0; i < test.x.size(); ++i) {
    x[i] = 1;
    const std::vector<double> y = forward_by_definition(test, x, own, level);  // less f(0), which is 0
    x[i] = 0;
    double slope = 0;
    for (size_t k = 0; k < y.size(); ++k) slope += dy[k] * y[k];
    dx[i] = float(slope);
  }
  return dx;
}

template <class Body>
void for_all_cases(Body body) {
  for (const Case& test : kCases)
    for (const bool two_levels : {false, true}) {
      SCOPED_TRACE(test.x.text() + (two_levels ? ", two levels" : ""));
      const OwnRois own(test.counts, test.places, float(test.x.w) / kScale, float(test.x.h) / kScale,
                        two_levels, 3);
      for (int level = 0; level <= int(two_levels); ++level) body(test, own, level);
    }
}

TEST(RoiAlign, MeansOfBilinearSamples) {
  for_all_cases([](const Case& test, const OwnRois& own, int level) {
    expect_forward(test, own, level, cpu::roi_align_forward);
    in_all_orders([&] { expect_forward(test, own, level, cuda::roi_align_forward); });
  });
}

TEST(RoiAlign, TheGradientIsTheSlope) {
  Stream s;
  for_all_cases([&](const Case& test, const OwnRois& own, int level) {
    const Shape out = {test.x.n * test.places, test.bins_h, test.bins_w, test.x.c};
    Values dy = coarse_values(out.size(), 2);
    for (int i = 0; i < out.size(); ++i)  // rows without a RoI hold anything
      if (out.pixel(i).n % test.places >= test.counts[out.pixel(i).n / test.places]) dy[i] = 1e6f;
    const Values before = coarse_values(test.x.size(), 4),
                 slope = gradient_by_differences(test, dy, own, level);
    const RoiMap map = {level, kScale};
    Values dx = before;
    cpu::roi_align_backward(s, constant(dy, out), own.rois, map, view(dx, test.x), test.rule);
    for (size_t i = 0; i < dx.size(); ++i) ASSERT_NEAR(dx[i], before[i] + slope[i], kBackwardTolerance) << i;
    Values first;
    in_all_orders([&] {
      dx = before;
      cuda::roi_align_backward(s, constant(dy, out), own.rois, map, view(dx, test.x), test.rule);
      for (size_t i = 0; i < dx.size(); ++i)
        ASSERT_NEAR(dx[i], before[i] + slope[i], kBackwardTolerance) << i;
      if (first.empty()) first = dx;
      EXPECT_EQ(dx, first) << "the sum depends on the order of threads";
    });
  });
}

// A RoI of the whole map, with one sample in the middle of each cell, is the map itself.
TEST(RoiAlign, OneBinPerCellIsTheMap) {
  Stream s;
  const Shape shape = {1, 3, 4, 2};
  const Values x = coarse_values(shape.size(), 1);
  Box box = {0, 0, 16, 12};
  int count = 1;
  const Rois rois = {{&box, {1, 1, 1, 1}}, {&count, {1, 1, 1, 1}}, {}};
  Values y(x.size(), NAN);
  cpu::roi_align_forward(s, constant(x, shape), rois, {0, kScale}, view(y, shape), {1, true});
  EXPECT_EQ(y, x);
  cuda::roi_align_forward(s, constant(x, shape), rois, {0, kScale}, view(y, shape), {0, true});
  EXPECT_EQ(y, x);
}

// A box that training blew up neither stalls nor crashes.
TEST(RoiAlign, InfiniteBoxesHaveNoPartInAnything) {
  Stream s;
  const Shape shape = {1, 3, 4, 2};
  const Values x = coarse_values(shape.size(), 1);
  std::vector<Box> boxes = {{-INFINITY, 0, INFINITY, 8}, {0, 0, INFINITY, 8}, {NAN, NAN, NAN, NAN}};
  int count = 3;
  const Rois rois = {{boxes.data(), {1, 1, 1, 3}}, {&count, {1, 1, 1, 1}}, {}};
  for (const bool aligned : {true, false}) {
    Values y(12, 5), dx(shape.size(), 0);
    cuda::roi_align_forward(s, constant(x, shape), rois, {0, kScale}, view(y, {3, 1, 2, 2}), {0, aligned});
    EXPECT_EQ(y, Values(12, 0));
    const Values dy(12, 1);
    cuda::roi_align_backward(s, constant(dy, {3, 1, 2, 2}), rois, {0, kScale}, view(dx, shape), {0, aligned});
    EXPECT_EQ(dx, Values(dx.size(), 0));
  }
}

}  // namespace
}  // namespace osprey::test
