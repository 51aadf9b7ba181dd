#include "cuda/matching_simota.h"

#include "tests/cuda/kernel_test.h"
#include "tests/cuda/matching_points.h"

namespace osprey::test {
namespace {

constexpr int B = kBackground;

struct SimOtaMatched {
  std::vector<int> match, last;
  Values overlap, cost;
  bool operator==(const SimOtaMatched&) const = default;
};

SimOtaMatched matched(Device device, const OwnPoints& points, const OwnBoxLists& truths,
                      const std::vector<int>& labels, SimOtaRule rule) {
  const int images = truths.lists.boxes.shape.n, capacity = truths.lists.capacity(), count = points.count();
  SimOtaMatched m = {std::vector<int>(size_t(images * count), 77),
                     std::vector<int>(size_t(images * capacity), 77), Values(size_t(images * count), 77),
                     Values(size_t(images * count * capacity), 77)};
  Stream s{device};
  on(s, cpu::simota_matching, cuda::simota_matching)(
      s, points.predictions, truths.lists, View<const int>(labels.data(), {images, 1, 1, capacity}), rule,
      view(m.cost, {images, 1, capacity, count}), view(m.last, {images, 1, 1, capacity}),
      view(m.match, {images, 1, 1, count}), view(m.overlap, {images, 1, 1, count}));
  return m;
}

// Six cells of 8 pixels in a row.
class SimOtaByHand : public testing::TestWithParam<Device> {
 protected:
  SimOtaMatched with(SimOtaRule rule, const std::vector<Box>& boxes, const Values& probabilities,
                     const std::vector<Box>& truths, const std::vector<int>& labels) {
    const OwnPoints points(row_of_cells(6), boxes, probabilities, {});
    return matched(GetParam(), points, OwnBoxLists({truths}, int(truths.size())), labels, rule);
  }
  static SimOtaRule squares_only() {
    SimOtaRule rule = SimOtaRule::yolox();
    rule.logits = false;
    return rule;
  }
  const Box whole = {0, 0, 24, 8}, half = {0, 0, 12, 8}, most = {0, 0, 18, 8}, none = {90, 90, 91, 91};
};
INSTANTIATE_TEST_SUITE_P(Devices, SimOtaByHand, testing::Values(Device::cpu, Device::cuda));

// Overlaps of 1, 1/2 and 3/4 make k = 2.
TEST_P(SimOtaByHand, ATruthTakesTheCheapestPoints) {
  const std::vector<Box> boxes = {whole, half, most, whole, none, none};
  Values likely(6, .25f);
  SimOtaMatched m = with(squares_only(), boxes, likely, {whole}, {0});
  EXPECT_EQ(m.match, (std::vector<int>{0, B, 0, B, B, B}));  // 3 is outside of the square
  EXPECT_EQ(m.overlap, (Values{1, 0, .75f, 0, 0, 0}));
  EXPECT_EQ(m.cost[3], INFINITY);
  // -ln(sqrt(.25)) and 3 times -ln(.75).
  EXPECT_NEAR(m.cost[2], .693147 + 3 * .287682, 1e-5);
  likely[1] = .9f;  // -ln(sqrt(.9)) - 3 ln(.5) = 2.1, and the third point's 1.6 becomes 3.1
  likely[2] = .0121f;
  m = with(squares_only(), boxes, likely, {whole}, {0});
  EXPECT_EQ(m.match, (std::vector<int>{0, 0, B, B, B, B}));
}

TEST_P(SimOtaByHand, KIsAtLeastOneAndAtMostTheCandidates) {
  const Values likely(6, .25f);
  EXPECT_EQ(with(squares_only(), std::vector<Box>(6, none), likely, {whole}, {0}).match,
            (std::vector<int>{0, B, B, B, B, B}));
  SimOtaRule rule = squares_only();
  rule.best_overlaps = 1;
  EXPECT_EQ(with(rule, std::vector<Box>(6, whole), likely, {whole}, {0}).match,
            (std::vector<int>{0, B, B, B, B, B}));
  const Box narrow = {11, 0, 13, 8};
  rule.radius = .1f;  // one candidate, and no truth can have more
  EXPECT_EQ(with(rule, std::vector<Box>(6, narrow), likely, {narrow}, {0}).match,
            (std::vector<int>{B, 0, B, B, B, B}));
  const Box between = {15, 0, 17, 8};  // no candidate at all
  const SimOtaMatched m = with(rule, std::vector<Box>(6, between), likely, {between}, {0});
  EXPECT_EQ(m.match, std::vector<int>(6, B));
  EXPECT_EQ(m.last, (std::vector<int>{-1}));
}

// The first two truths take the third point, but it costs the last one least, which has better ones.
TEST_P(SimOtaByHand, APointOfSeveralTruthsGoesToTheCheapestOfAll) {
  const std::vector<Box> boxes = {most, most, most, none, none, none};
  Values likely(6 * 3, .1f);
  likely[2] = likely[5] = .99f;
  likely[6] = likely[7] = .5f;
  likely[8] = .9f;
  const SimOtaMatched m = with(squares_only(), boxes, likely, {whole, whole, whole}, {0, 1, 2});
  EXPECT_EQ(m.last, (std::vector<int>{0, 0, 1}));  // each takes two: 2 and 0, 2 and 0, 0 and 1
  EXPECT_EQ(m.match, (std::vector<int>{2, 2, 2, B, B, B}));
}

// The paper's form: in the box or in the square, and better in both.
TEST_P(SimOtaByHand, BoxesAndSquares) {
  const Values likely(6, .25f);
  const Box wide = {0, 0, 48, 8}, small = {24, 0, 32, 8};
  SimOtaRule rule;
  rule.radius = .9f;
  SimOtaMatched m = with(rule, std::vector<Box>(6, wide), likely, {wide}, {0});
  EXPECT_EQ(m.match, std::vector<int>(6, 0));  // k = 6 takes those outside of the square, too
  EXPECT_NEAR(m.cost[0] - m.cost[2], rule.outside_cost, .01);
  rule.best_overlaps = 2;
  EXPECT_EQ(with(rule, std::vector<Box>(6, wide), likely, {wide}, {0}).match,
            (std::vector<int>{B, B, 0, 0, B, B}));
  rule.radius = 1.5f;  // in the square, outside of the box
  m = with(rule, std::vector<Box>(6, small), likely, {small}, {0});
  EXPECT_EQ(m.match, (std::vector<int>{B, B, 0, 0, B, B}));
  EXPECT_NEAR(m.cost[4] - m.cost[3], rule.outside_cost, .01);
  EXPECT_EQ(m.cost[1], INFINITY);
}

TEST_P(SimOtaByHand, ProbabilitiesOfLogits) {
  SimOtaRule rule = SimOtaRule::yolox();
  const OwnPoints points(row_of_cells(1), {{0, 0, 8, 8}}, {1.5f, -2}, {.5f});
  const auto p = [](double x, double o) { return std::sqrt(1 / (1 + std::exp(-x)) / (1 + std::exp(-o))); };
  const double want = -std::log(p(1.5, .5)) - std::log(1 - p(-2, .5));
  EXPECT_NEAR(matched(GetParam(), points, OwnBoxLists({{{0, 0, 8, 8}}}, 1), {0}, rule).cost[0], want, 1e-6);
  rule.class_weight = 2;
  EXPECT_NEAR(matched(GetParam(), points, OwnBoxLists({{{0, 0, 8, 8}}}, 1), {0}, rule).cost[0], 2 * want,
              2e-6);
  // Beyond float: logarithms end at -100.
  const OwnPoints sure(row_of_cells(1), {{0, 0, 8, 8}}, {-300, 300}, {300});
  EXPECT_EQ(matched(GetParam(), sure, OwnBoxLists({{{0, 0, 8, 8}}}, 1), {0}, rule).cost[0], 2 * 200);
}

// The same formulas in the same order: equal to the last bit. Coarse values, so that costs tie; what is no
// number must do no harm.
TEST(SimOta, TheGpuAgreesWithTheCpu) {
  for (const int count : {1, 100, 300})
    for (const bool today : {false, true}) {
      SimOtaRule rule = today ? SimOtaRule::yolox() : SimOtaRule();
      const OwnBoxLists truths({coarse_boxes(7, 1), {}, coarse_boxes(3, 2)}, 5);
      const std::vector<int> labels = {0, 1, 2, 0, 1, 9, 9, 9, 9, 9, 2, 1, 0, 9, 9};
      Values classes = coarse_values(3 * count * 3, 3), objectness = coarse_values(3 * count, 4);
      if (!today) {
        for (float& v : classes) v = (v + 1) / 2;
        objectness.clear();
      }
      std::vector<Box> boxes = coarse_boxes(3 * count, 5);
      boxes[0].x2 = NAN;
      classes[4] = NAN;
      const OwnPoints points(coarse_cells(count), boxes, classes, objectness);
      const SimOtaMatched want = matched(Device::cpu, points, truths, labels, rule);
      in_all_orders([&] {
        const SimOtaMatched got = matched(Device::cuda, points, truths, labels, rule);
        EXPECT_EQ(got.match, want.match) << count;
        EXPECT_EQ(got.overlap, want.overlap) << count;
        EXPECT_EQ(got.last, want.last) << count;
      });
    }
}

}  // namespace
}  // namespace osprey::test
