#include "cuda/box_coder.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Boxes of 1 to 21 pixels, some of them beyond an image of 40x30.
Values rows_of_boxes(int count, uint64_t seed) {
  Values rows;
  for (int i = 0; i < count; ++i) {
    Random random(seed, Purpose::test, 1, i);
    const float x = random.uniform(-5, 35), y = random.uniform(-5, 25);
    rows.insert(rows.end(), {x, y, x + random.uniform(1, 21), y + random.uniform(1, 21)});
  }
  return rows;
}

struct CentreOf {
  double x, y, w, h;
  explicit CentreOf(const float* b)
      : x((double(b[0]) + b[2]) / 2),
        y((double(b[1]) + b[3]) / 2),
        w(double(b[2]) - b[0]),
        h(double(b[3]) - b[1]) {}
};

// Corners of up to 60 from differences of floats: 1e-5 of them.
void expect_near(const Values& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-5 * (5 + std::fabs(want[i]))) << i;
}

constexpr BoxCoder kCoder = {10, 5, -1, 1};

struct BoxCoderKernel : testing::TestWithParam<std::tuple<int, bool>> {
  const int images = 3, count = std::get<0>(GetParam());
  const bool shared = std::get<1>(GetParam());
  const Shape shape = {images, 1, count, 4}, anchor_shape = {shared ? 1 : images, 1, count, 4};
  const Values anchors = rows_of_boxes(anchor_shape.rows(), 1), boxes = rows_of_boxes(shape.rows(), 2);
  const Values sizes = {40, 30, 30, 20, 50, 60};  // width and height of three images
  Stream s;

  CentreOf anchor(int image, int i) const {
    return CentreOf(&anchors[4 * size_t(i + (shared ? 0 : image * count))]);
  }
};

TEST_P(BoxCoderKernel, Encodes) {
  std::vector<double> want;
  for (int n = 0, row = 0; n < images; ++n)
    for (int i = 0; i < count; ++i, ++row) {
      const CentreOf a = anchor(n, i), g(&boxes[4 * size_t(row)]);
      want.insert(want.end(), {10 * (g.x - a.x) / a.w, 10 * (g.y - a.y) / a.h, 5 * std::log(g.w / a.w),
                               5 * std::log(g.h / a.h)});
    }
  in_all_orders([&] {
    Values deltas(want.size(), NAN);
    cuda::box_encode(s, constant(boxes, shape), constant(anchors, anchor_shape), kCoder, view(deltas, shape));
    expect_near(deltas, want);
  });
}

// Deltas within and beyond the bounds of sizes; boxes within and beyond the image.
TEST_P(BoxCoderKernel, DecodesAndTeaches) {
  Values deltas = coarse_values(shape.size(), 3);
  for (float& d : deltas) d *= 8;
  const Values dboxes = coarse_values(shape.size(), 4), before = coarse_values(shape.size(), 5);
  for (const bool clips : {false, true}) {
    const BoxClip clip = {clips ? constant(sizes, {images, 1, 1, 2}) : View<const float>()};
    std::vector<double> want, want_deltas(before.begin(), before.end());
    for (int n = 0, row = 0; n < images; ++n)
      for (int i = 0; i < count; ++i, ++row) {
        const CentreOf a = anchor(n, i);
        for (int corner = 0; corner < 4; ++corner) {
          const bool is_y = corner % 2;
          const size_t centre = 4 * size_t(row) + is_y, size = centre + 2;
          const double extent = is_y ? a.h : a.w, half = corner < 2 ? -0.5 : 0.5;
          const double ratio = std::min(1.0, std::max(-1.0, deltas[size] / 5.0)),
                       grown = extent * std::exp(ratio);
          const double at = (is_y ? a.y : a.x) + deltas[centre] / 10.0 * extent + half * grown;
          const double edge = clips ? sizes[2 * size_t(n) + is_y] : 1e9, low = clips ? 0 : -1e9;
          want.push_back(std::min(edge, std::max(low, at)));
          if (at < low || at > edge) continue;
          const double dy = dboxes[4 * size_t(row) + size_t(corner)];
          want_deltas[centre] += dy * extent / 10;
          if (std::fabs(deltas[size] / 5) <= 1) want_deltas[size] += dy * half * grown / 5;
        }
      }
    in_all_orders([&] {
      Values decoded(want.size(), NAN), ddeltas = before;
      const auto d = constant(deltas, shape), a = constant(anchors, anchor_shape);
      cuda::box_decode(s, d, a, kCoder, clip, view(decoded, shape));
      cuda::box_decode_backward(s, d, a, kCoder, clip, constant(dboxes, shape), view(ddeltas, shape));
      expect_near(decoded, want);
      expect_near(ddeltas, want_deltas);
    });
  }
}

// One box, and more than the threads of a block.
INSTANTIATE_TEST_SUITE_P(Sizes, BoxCoderKernel,
                         testing::Combine(testing::Values(1, 97), testing::Values(true, false)));

}  // namespace
}  // namespace osprey::test
