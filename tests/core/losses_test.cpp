// Losses: drawn examples, and every slope against differences, in double, of the definitions.
#include "core/losses.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/iou_loss.h"
#include "tests/core/numerical_slopes.h"

namespace osprey {
namespace {

using test::Corners;
using Kind = BoxLossRule::Kind;

double softplus(double x) { return std::log1p(std::exp(x)); }

// The loss, and its slope by central differences, within some last bits of floats.
template <class Definition>
void expect_cost(LossAndSlope got, double x, Definition&& loss) {
  constexpr double kStep = 1e-5;
  const double slope = (loss(x + kStep) - loss(x - kStep)) / (2 * kStep);
  EXPECT_NEAR(got.loss, loss(x), 1e-6 * (1 + std::abs(loss(x)))) << "loss at " << x;
  EXPECT_NEAR(got.slope, slope, 2e-6 * (1 + std::abs(slope))) << "slope at " << x;
}

TEST(ValueLoss, IsItsDefinition) {
  for (float x = -9.71f; x < 10; x += 0.53f) {  // never at a kink
    for (const float beta : {0.0f, 1 / 9.0f, 2.0f})
      expect_cost(smooth_l1(x, 0.25f, beta), x, [&](double v) {
        const double size = std::abs(v - 0.25);
        return size < beta ? size * size / (2.0 * beta) : size - beta / 2.0;
      });
    for (const float target : {0.0f, 0.3f, 1.0f})
      expect_cost(bce_with_logits(x, target), x,
                  [&](double v) { return target * softplus(-v) + (1.0 - target) * softplus(v); });
    for (const float target : {0.0f, 1.0f})
      for (const float alpha : {0.25f, -1.0f})
        for (const float gamma : {0.0f, 0.5f, 2.0f})
          expect_cost(sigmoid_focal(x, target, alpha, gamma), x, [&](double v) {
            const double ce = softplus(target > 0 ? -v : v), weight = target > 0 ? alpha : 1.0 - alpha;
            return (alpha < 0 ? 1 : weight) * std::pow(1 - std::exp(-ce), double(gamma)) * ce;
          });
  }
}

TEST(ValueLoss, StaysFiniteFarOut) {
  EXPECT_FLOAT_EQ(bce_with_logits(200, 0).loss, 200);
  EXPECT_EQ(bce_with_logits(200, 1).loss, 0);
  EXPECT_FLOAT_EQ(sigmoid_focal(-200, 1, 0.25f, 2).loss, 50);
  EXPECT_FLOAT_EQ(sigmoid_focal(-200, 1, 0.25f, 2).slope, -0.25f);
  EXPECT_EQ(sigmoid_focal(200, 1, 0.25f, 0.5f).slope, 0);
  EXPECT_EQ(smooth_l1(3, 3, 0).slope, 0);
  // An object seen with 0.9.
  EXPECT_NEAR(sigmoid_focal(std::log(9.0f), 1, 0.25f, 2).loss, 0.25 * 0.01 * 0.1053605, 1e-8);
}

// The family by the papers' formulas, in double. `alpha` is CIoU's, given where it is held for a constant.
double box_loss(Kind kind, const Corners& p, const Corners& t, const double* alpha) {
  const auto size = [](const Corners& b, size_t axis) { return b[axis + 2] - b[axis]; };
  double i = 1, e = 1, d = 0, c = 0, sizes = 0, relative_sizes = 0;
  for (size_t axis = 0; axis < 2; ++axis) {
    i *= std::max(0.0, std::min(p[axis + 2], t[axis + 2]) - std::max(p[axis], t[axis]));
    const double enclosing = std::max(p[axis + 2], t[axis + 2]) - std::min(p[axis], t[axis]);
    e *= enclosing;
    c += enclosing * enclosing;
    d += std::pow((p[axis] + p[axis + 2] - t[axis] - t[axis + 2]) / 2, 2);
    sizes += std::pow((size(p, axis) - size(t, axis)) / 2, 2);
    relative_sizes += std::pow((size(p, axis) - size(t, axis)) / enclosing, 2);
  }
  const double u = size(p, 0) * size(p, 1) + size(t, 0) * size(t, 1) - i, iou = i / u;
  const double angle = std::atan(size(t, 0) / size(t, 1)) - std::atan(size(p, 0) / size(p, 1));
  const double v = 4 / (M_PI * M_PI) * angle * angle, squared = d + sizes + 1e-7;
  switch (kind) {
    case Kind::iou:
      return 1 - iou;
    case Kind::iou_log:
      return -std::log(std::max(iou, 1e-6));
    case Kind::iou_square:
      return 1 - iou * iou;
    case Kind::giou:
      return 1 - iou + (e - u) / e;
    case Kind::diou:
      return 1 - iou + d / c;
    case Kind::ciou:
    case Kind::whole_ciou:
      return 1 - iou + d / c + (alpha ? *alpha : v / (1 - iou + v)) * v;
    case Kind::eiou:
      return 1 - iou + d / c + relative_sizes;
    case Kind::nwd:
      return 1 - std::exp(-std::sqrt(squared) / double(12.8f));
    case Kind::nwd_sqrt:
      return std::sqrt(squared);
    case Kind::nwd_log:
      return std::log(squared + 1);
  }
  return 0;
}

constexpr Kind kKinds[] = {Kind::iou,  Kind::iou_log,  Kind::iou_square, Kind::giou,
                           Kind::diou, Kind::ciou,     Kind::whole_ciou, Kind::eiou,
                           Kind::nwd,  Kind::nwd_sqrt, Kind::nwd_log};

// Differences of floats of up to 60 leave five digits, and a small intersection fewer of its logarithm.
TEST(BoxLoss, IsItsDefinitionOverlappingOrNot) {
  for (const Kind kind : kKinds) {
    SCOPED_TRACE("kind " + std::to_string(int(kind)));
    BoxLossRule rule;
    rule.kind = kind;
    for (const auto& [p, t] : test::pairs_of_boxes(60, 5)) {
      const Corners target = test::exact(t), at = test::exact(p);
      const double v = aspect_distance(p, t), alpha = v / (1 - iou(p, t) + v);
      const double* constant = kind == Kind::ciou ? &alpha : nullptr;
      const auto loss = [&](const Corners& c) { return box_loss(kind, c, target, constant); };
      const BoxCost got = rule.cost(p, t);
      const Corners slopes = test::exact(got.slopes), want = test::numerical_slopes(loss, at);
      EXPECT_NEAR(got.loss, loss(at), 1e-5 * (1 + loss(at)));
      for (size_t i = 0; i < 4; ++i)
        EXPECT_NEAR(slopes[i], want[i], 2e-5 + 2e-4 * std::abs(want[i])) << "corner " << i;
    }
  }
}

// Half of each slope where corners are equal; none of IoU's where boxes touch; nothing but numbers for
// points.
TEST(BoxLoss, TakesSidesOfTies) {
  const Box a = {0, 0, 4, 2};
  const Box same = iou_slopes(a, a);  // I' and U' are both half of the area's
  EXPECT_FLOAT_EQ(same.x1, 0);
  const Box wider = iou_slopes(a, {0, 0, 8, 2});  // I = 8, U = 16: x1 is tied
  EXPECT_FLOAT_EQ(wider.x1, (-1.0f * 16 + 1.0f * 8) / 256);
  EXPECT_FLOAT_EQ(wider.x2, 2.0f * 16 / 256);
  const Box touching = iou_slopes(a, {4, 0, 8, 2});
  EXPECT_EQ(touching.x1, 0);
  EXPECT_EQ(touching.x2, 0);
  EXPECT_GT(giou_slopes(a, {6, 0, 8, 2}).x2, 0);  // pulled over the gap
  for (const Kind kind : kKinds)
    for (const Box& point : {Box{1, 1, 1, 1}, Box{9, 9, 9, 9}}) {
      BoxLossRule rule;
      rule.kind = kind;
      for (const BoxCost& cost : {rule.cost(point, point), rule.cost(point, a), rule.cost(a, point)}) {
        EXPECT_TRUE(std::isfinite(cost.loss)) << int(kind);
        for (const double slope : test::exact(cost.slopes)) EXPECT_TRUE(std::isfinite(slope)) << int(kind);
      }
    }
}

// Against the library in double: within a few roundings of a float, of the smallest results, too.
TEST(ValueLoss, LogarithmOf1Plus) {
  for (double x = 1e-30; x < 1; x *= 1.01) {
    const double want = std::log1p(double(float(x)));
    EXPECT_NEAR(logarithm_of_1_plus(float(x)), want, 3e-7 * want) << x;
  }
  EXPECT_EQ(logarithm_of_1_plus(0), 0);
  EXPECT_FLOAT_EQ(logarithm_of_1_plus(1), 0.69314718f);
}

// Focal-EIoU weighs each box by its overlap, and the weight has no slope.
TEST(BoxLoss, FocalWeighsByOverlap) {
  BoxLossRule plain, focal;
  plain.kind = focal.kind = Kind::eiou;
  focal.focal = .5f;
  const Box p = {0, 0, 8, 8}, t = {0, 0, 8, 2}, apart = {9, 0, 12, 8};
  const BoxCost whole = plain.cost(p, t), half = focal.cost(p, t);  // IoU 1/4
  EXPECT_FLOAT_EQ(whole.loss, .75f + 9 / 128.f + 36 / 64.f);
  EXPECT_FLOAT_EQ(half.loss, whole.loss / 2);
  const test::Corners of_whole = test::exact(whole.slopes), of_half = test::exact(half.slopes);
  for (size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(float(of_half[i]), float(of_whole[i] / 2));
  EXPECT_GT(plain.cost(p, apart).loss, 1);
  EXPECT_EQ(focal.cost(p, apart).loss, 0);
}

// [yolo]'s slopes are along centre and size, and those of the size are not halved.
TEST(BoxLoss, EiouOfDarknetsHeadsIsExactButForHalves) {
  int overlapping = 0;
  for (const auto& [p, t] : test::pairs_of_boxes(60, 5)) {
    const CentreBox got = iou_ascent(BoxLoss::eiou, centre(p), centre(t));
    const Box exact = eiou_slopes(p, t);
    if (iou(p, t) > 0) ++overlapping;
    EXPECT_NEAR(got.x, exact.x1 + exact.x2, 1e-5);
    EXPECT_NEAR(got.y, exact.y1 + exact.y2, 1e-5);
    EXPECT_NEAR(got.w, exact.x2 - exact.x1, 1e-5);
    EXPECT_NEAR(got.h, exact.y2 - exact.y1, 1e-5);
  }
  EXPECT_GT(overlapping, 5);
  EXPECT_LT(overlapping, 55);
}

}  // namespace
}  // namespace osprey
