#include "cuda/matching_ota.h"

#include "tests/cuda/kernel_test.h"
#include "tests/cuda/matching_points.h"

namespace osprey::test {
namespace {

constexpr int B = kBackground;

struct OtaMatched {
  std::vector<int> match, rows;
  Values overlap, supply;
  std::vector<double> cost;
};

OtaMatched matched(Device device, const OwnPoints& points, const OwnBoxLists& truths,
                   const std::vector<int>& labels, OtaRule rule = {}) {
  const int images = truths.lists.boxes.shape.n, capacity = truths.lists.capacity(), count = points.count();
  const int m = capacity + 1;
  OtaMatched r = {std::vector<int>(size_t(images * count), 77), std::vector<int>(size_t(images), 77),
                  Values(size_t(images * count), 77), Values(size_t(images * m), 77),
                  std::vector<double>(size_t(images * count * m), 77)};
  std::vector<double> u(size_t(images * m), 77), v(size_t(images * count), 77),
      largest(size_t(images * m), 77);
  const OtaScratch scratch = {view(r.cost, {images, 1, m, count}), view(r.supply, {images, 1, 1, m}),
                              view(r.rows, {images, 1, 1, 1}),     view(u, {images, 1, 1, m}),
                              view(v, {images, 1, 1, count}),      view(largest, {images, 1, 1, m})};
  Stream s{device};
  on(s, cpu::ota_matching, cuda::ota_matching)(
      s, points.predictions, truths.lists, View<const int>(labels.data(), {images, 1, 1, capacity}), rule,
      scratch, view(r.match, {images, 1, 1, count}), view(r.overlap, {images, 1, 1, count}));
  return r;
}

// Six cells of 8 pixels in a row.
class OtaByHand : public testing::TestWithParam<Device> {
 protected:
  OtaMatched with(const std::vector<Box>& boxes, const Values& logits, const std::vector<Box>& truths,
                  const std::vector<int>& labels, OtaRule rule = {}) {
    return matched(GetParam(), OwnPoints(row_of_cells(6), boxes, logits, {}),
                   OwnBoxLists({truths}, int(truths.size())), labels, rule);
  }
  const Box whole = {0, 0, 24, 8}, half = {0, 0, 12, 8}, most = {0, 0, 18, 8}, none = {90, 90, 91, 91};
};
INSTANTIATE_TEST_SUITE_P(Devices, OtaByHand, testing::Values(Device::cpu, Device::cuda));

// Overlaps of 1, 1/2 and 3/4 inside the truth make 2; background serves the other points.
TEST_P(OtaByHand, ATruthSuppliesWhatItsPredictionsDeserve) {
  const OtaMatched m = with({whole, half, most, whole, none, none}, Values(6, 0), {whole}, {0});
  EXPECT_EQ(m.match, (std::vector<int>{0, B, 0, B, B, B}));
  EXPECT_EQ(m.overlap, (Values{1, 0, .75f, 0, 0, 0}));
  EXPECT_EQ(m.supply, (Values{2, 4}));
  // Focal losses of p = 1/2: .25 and .75 of (1/2)^2 ln 2.
  EXPECT_NEAR(m.cost[2], .25 * .25 * .693147 + 1.5 * .287682, 1e-5);
  EXPECT_NEAR(m.cost[3], 1e6 + .25 * .25 * .693147, 1e-5);
  EXPECT_NEAR(m.cost[6], .75 * .25 * .693147, 1e-6);
  OtaRule one;
  one.best_overlaps = 1;
  EXPECT_EQ(with({whole, half, most, whole, none, none}, Values(6, 0), {whole}, {0}, one).supply,
            (Values{1, 5}));
}

TEST_P(OtaByHand, ClassesDecideBetweenTruths) {
  const std::vector<Box> boxes(6, whole);
  Values logits(6 * 2, -4);
  logits[0] = logits[3] = logits[5] = 4;  // the first point is of class 0, the next two of class 1
  OtaRule rule;
  rule.best_overlaps = 1;
  EXPECT_EQ(with(boxes, logits, {whole, whole}, {1, 0}, rule).match[0], 1);
  EXPECT_EQ(with(boxes, logits, {whole, whole}, {0, 1}, rule).match[0], 0);
}

// More than 2.5 strides from the centre, in the truth; within 2.5, out of it; on its border.
TEST_P(OtaByHand, InTheBoxAndInTheSquare) {
  const OtaRule rule;
  const auto outside = [&](Box truth) {
    const OtaMatched m = with(std::vector<Box>(6, whole), Values(6, 0), {truth}, {0});
    std::vector<int> result;
    for (size_t p = 0; p < 6; ++p) result.push_back(m.cost[p] > 1e5);
    return result;
  };
  EXPECT_EQ(outside({-20, 0, 100, 8}), (std::vector<int>{1, 1, 1, 0, 0, 0}));  // centre 40: more than 20
  EXPECT_EQ(outside({16, 0, 32, 8}), (std::vector<int>{1, 1, 0, 0, 1, 1}));
  EXPECT_EQ(outside({11.995f, 0, 28.02f, 8}), (std::vector<int>{1, 1, 0, 0, 1, 1}));  // by less than .01
}

// No point lies in the truth: every cost has the million, and still the best prediction is found.
TEST_P(OtaByHand, ATruthWithoutPointsTakesItsBestPrediction) {
  const Box between = {15, 0, 17, 8};
  std::vector<Box> boxes(6, none);
  for (size_t i = 0; i < 6; ++i) boxes[i] = {15, 0, i == 4 ? 17.5f : 18.f, 8};
  const OtaMatched m = with(boxes, Values(6, 0), {between}, {0});
  EXPECT_EQ(m.match, (std::vector<int>{B, B, B, B, 0, B}));
  EXPECT_EQ(m.supply, (Values{1, 5}));
}

TEST_P(OtaByHand, WithoutTruthsAllIsBackground) {
  const OwnPoints points(row_of_cells(6), std::vector<Box>(6, whole), Values(6, 0), {});
  const OtaMatched m = matched(GetParam(), points, OwnBoxLists({{}}, 2), {9, 9});
  EXPECT_EQ(m.match, std::vector<int>(6, B));
  EXPECT_EQ(m.overlap, Values(6, 0));
  EXPECT_EQ(m.supply, (Values{6, 77, 77}));
}

// Logits without ties: sums of the plan round otherwise on the two devices.
TEST(Ota, TheGpuAgreesWithTheCpu) {
  OtaRule rule;
  rule.sinkhorn.iterations = 10;
  for (const int count : {20, 300}) {
    const OwnBoxLists truths({coarse_boxes(7, 1), {}, coarse_boxes(3, 2)}, 5);
    const std::vector<int> labels = {0, 1, 2, 0, 1, 9, 9, 9, 9, 9, 2, 1, 0, 9, 9};
    Values logits;
    for (int i = 0; i < 3 * count * 3; ++i)
      logits.push_back(Random(3, Purpose::test, 4, uint64_t(i)).uniform(-4, 1));
    const OwnPoints points(coarse_cells(count), coarse_boxes(3 * count, 5), logits, {});
    const OtaMatched want = matched(Device::cpu, points, truths, labels, rule);
    in_all_orders([&] {
      const OtaMatched got = matched(Device::cuda, points, truths, labels, rule);
      EXPECT_EQ(got.match, want.match) << count;
      EXPECT_EQ(got.overlap, want.overlap) << count;
      EXPECT_EQ(got.supply, want.supply) << count;
      EXPECT_EQ(got.rows, want.rows) << count;
    });
  }
}

}  // namespace
}  // namespace osprey::test
