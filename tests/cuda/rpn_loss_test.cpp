#include "cuda/rpn_loss.h"

#include "tests/cuda/kernel_test.h"
#include "tests/cuda/matching_boxes.h"
#include "tests/cuda/own_proposals.h"

namespace osprey::test {
namespace {

// Two images over two levels, of 12 and 4 anchors; the second image has no truths.
struct OwnLoss {
  OwnLoss() : maps(random_proposals(2, {{2, 3, 2, 2}, {2, 2, 1, 2}})) {
    for (size_t a = 0; a < maps.anchors.size(); ++a) match[a] = a % 4 == 0 ? int(a % 3) : kBackground;
  }

  RpnTargets targets() {
    return {maps.anchor_row(), view(match, {2, 1, 1, 16}), truths.lists, view(sampled, {2, 1, 1, 5}),
            view(counts, {2, 1, 1, 1})};
  }
  LossReport forward(Device device) {
    slopes.assign(2 * 5 * kRpnSlopes, 77);
    LossReport report;
    report.loss = 1;  // it is added to
    Stream s{device};
    on(s, cpu::rpn_loss, cuda::rpn_loss)(s, maps.maps(), targets(), rule, view(slopes, {2, 1, 5, kRpnSlopes}),
                                         &report);
    return report;
  }
  // What is in the gradients, all of which were 3 before.
  OwnProposals backward(Device device) {
    OwnProposals gradients = maps;
    for (auto* levels : {&gradients.objectness, &gradients.deltas})
      for (Values& values : *levels) std::fill(values.begin(), values.end(), 3.f);
    Stream s{device};
    on(s, cpu::rpn_loss_backward, cuda::rpn_loss_backward)(
        s, gradients.maps(), targets().sampled, targets().counts, constant(slopes, {2, 1, 5, kRpnSlopes}));
    return gradients;
  }

  OwnProposals maps;
  OwnBoxLists truths{{{{2, 1, 17, 14}, {-3, 2, 9, 12}, {1, 3, 8, 20}}, {}}, 3};
  std::vector<int> match = std::vector<int>(32, kBackground);
  std::vector<int> sampled = {0, 4, 12, 5, 15, 3, 13, -1, -1, -1}, counts = {5, 2};
  RpnLossRule rule;
  Values slopes;
};

// Central differences of the loss along every number of the maps.
void expect_slopes(OwnLoss& own) {
  own.forward(Device::cpu);
  OwnProposals gradients = own.backward(Device::cpu);
  constexpr float kStep = 1e-2f;
  for (const auto kind : {&OwnProposals::objectness, &OwnProposals::deltas})
    for (size_t level = 0; level < 2; ++level)
      for (size_t i = 0; i < (own.maps.*kind)[level].size(); ++i) {
        float& x = (own.maps.*kind)[level][i];
        const float before = x;
        x = before + kStep;
        const double above = own.forward(Device::cpu).loss;
        x = before - kStep;
        const double below = own.forward(Device::cpu).loss;
        x = before;
        // Float formulas leave some 1e-7 / 1e-2 of noise, and curvature about the step squared.
        EXPECT_NEAR((gradients.*kind)[level][i] - 3, (above - below) / (2 * kStep), 1e-3)
            << "level " << level << ", " << i;
      }
}

TEST(RpnLoss, TheGradientIsThatOfTheLoss) {
  OwnLoss own;
  own.rule.box_weight = .5f;
  own.rule.box_loss.beta = 10;  // no kink nearby
  expect_slopes(own);
}
TEST(RpnLoss, AlsoOfDecodedBoxes) {
  OwnLoss own;
  own.rule.box_loss.on_deltas = false;
  for (const auto kind : {BoxLossRule::Kind::giou, BoxLossRule::Kind::nwd}) {
    own.rule.box_loss.of_boxes.kind = kind;
    expect_slopes(own);
  }
}

// 7 anchors are sampled in 2 images: each counts 2/7. A logit of 0 costs ln 2.
TEST(RpnLoss, IsTheMeanOfWhatIsSampledTimesTheImages) {
  OwnLoss own;
  for (auto* levels : {&own.maps.objectness, &own.maps.deltas})
    for (Values& values : *levels) std::fill(values.begin(), values.end(), 0.f);
  own.rule.box_loss.beta = 0;
  for (const Device device : {Device::cpu, Device::cuda}) {
    const LossReport report = own.forward(device);
    EXPECT_NEAR(report.objectness_loss, 2 * std::log(2.), 1e-6);
    double box = 0, overlap = 0;
    for (const int a : {0, 4, 12}) {
      const Box truth = own.truths.lists.box(0, own.match[size_t(a)]);
      const Deltas t = BoxCoder().encode(truth, own.maps.anchors[size_t(a)]);
      box += std::fabs(t.x) + std::fabs(t.y) + std::fabs(t.w) + std::fabs(t.h);
      overlap += iou(truth, own.maps.anchors[size_t(a)]);
    }
    EXPECT_NEAR(report.box_loss, box * 2 / 7, 1e-5);
    EXPECT_NEAR(report.loss, 1 + report.box_loss + report.objectness_loss, 1e-12);
    EXPECT_NEAR(report.iou, overlap, 1e-5);
    EXPECT_EQ(report.matched, 3);
  }
}

TEST(RpnLoss, NothingSampledCostsNothing) {
  OwnLoss own;
  own.counts = {0, 0};
  for (const Device device : {Device::cpu, Device::cuda}) {
    EXPECT_EQ(own.forward(device).loss, 1);
    const OwnProposals gradients = own.backward(device);
    EXPECT_EQ(gradients.objectness[0], Values(24, 3));
    EXPECT_EQ(gradients.deltas[1], Values(32, 3));
  }
}

// Sums in other orders: some roundings of a double, and of the float exponentials of either compiler.
TEST(RpnLoss, TheGpuAgreesWithTheCpu) {
  OwnLoss own;
  const LossReport want = own.forward(Device::cpu);
  const Values slopes = own.slopes;
  const OwnProposals gradients = own.backward(Device::cpu);
  in_all_orders([&] {
    const LossReport got = own.forward(Device::cuda);
    EXPECT_NEAR(got.loss, want.loss, 1e-6);
    EXPECT_NEAR(got.iou, want.iou, 1e-6);
    for (size_t i = 0; i < slopes.size(); ++i) EXPECT_NEAR(own.slopes[i], slopes[i], 1e-6) << i;
    const OwnProposals of_kernels = own.backward(Device::cuda);
    for (size_t level = 0; level < 2; ++level) {
      for (size_t i = 0; i < gradients.deltas[level].size(); ++i)
        EXPECT_NEAR(of_kernels.deltas[level][i], gradients.deltas[level][i], 1e-6) << i;
      for (size_t i = 0; i < gradients.objectness[level].size(); ++i)
        EXPECT_NEAR(of_kernels.objectness[level][i], gradients.objectness[level][i], 1e-6) << i;
    }
  });
}

}  // namespace
}  // namespace osprey::test
