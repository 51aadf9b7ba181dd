// The kernels of [ssd] against the CPU's loops, which golden tests and finite differences check.
#include "cuda/ssd.h"

#include "cuda/losses.h"
#include "cuda/matching_ssd.h"
#include "cuda/sampler.h"
#include "tests/cuda/kernel_test.h"
#include "tests/cuda/matching_boxes.h"

namespace osprey::test {
namespace {

// A mini-batch with everything that training makes of it, in memory of the test's own.
struct Batch {
  Batch(int images, int rows, int classes, const std::vector<int>& truth_counts, float background)
      : images(images), rows(rows), classes(classes), counts(truth_counts), background(background) {
    for (int r = 0; r < rows; ++r) {
      const float x = float(Random(5, Purpose::test, 0, r).below(48)), y = float(r % 7) * 6;
      anchors.push_back({x, y, x + 8 + float(r % 3) * 8, y + 12});
    }
    for (int n = 0; n < images; ++n)
      for (int t = 0; t < kCapacity; ++t) {
        const float x = float(4 * n + 9 * t);
        boxes.push_back({x, x, x + 14, x + 11});
        truth_labels.push_back((n + t) % classes);
      }
    logits = coarse_values(with(1 + classes).size(), 1);
    for (size_t i = 0; i < logits.size(); ++i) logits[i] += 1e-3f * float(i % 97);  // no two losses tie
    deltas = coarse_values(with(4).size(), 2);
  }

  Shape with(int channels) const { return {images, 1, rows, channels}; }
  Shape row() const { return {images, 1, 1, rows}; }
  View<const Box> anchor_view() const { return {anchors.data(), {1, 1, 1, rows}}; }
  TruthLists truths() {
    return {{boxes.data(), {images, 1, 1, kCapacity}},
            {truth_labels.data(), {images, 1, 1, kCapacity}},
            {counts.data(), {images, 1, 1, 1}}};
  }
  SsdRows from() { return {constant(logits, with(1 + classes)), constant(deltas, with(4))}; }

  static constexpr int kCapacity = 4;
  int images, rows, classes;
  std::vector<int> counts;
  float background;
  std::vector<Box> anchors, boxes;
  std::vector<int> truth_labels;
  Values logits, deltas;
};

struct Results {
  std::vector<int> match, labels, counts;
  Values logit_gradients, delta_gradients, losses, rows;
  LossReport report;
};

Results run(Batch& b, Device device) {
  Stream s{device};
  const int parts = ssd_parts_of_image(b.rows);
  Results r;
  std::vector<int> chosen(size_t(b.images) * Batch::kCapacity);
  Values costs(b.row().size(), NAN), weights(b.row().size(), NAN);
  std::vector<LossReport> reports(size_t(b.images) * parts);
  for (LossReport& report : reports) report.box_loss = NAN;
  r.match.resize(b.row().size());
  r.labels.resize(b.row().size());
  r.counts.resize(2 * b.images);
  r.logit_gradients.assign(b.logits.size(), NAN);
  r.delta_gradients.assign(b.deltas.size(), NAN);
  r.losses.assign(b.images, NAN);
  r.rows.assign(b.with(kClasses + b.classes).size(), NAN);
  r.report.loss = 100;  // is added to
  const View<float> cost_view = view(costs, b.row());
  on(s, cpu::ssd_matching, cuda::ssd_matching)(s, b.anchor_view(), b.truths().lists(), 0.5f,
                                               view(chosen, {b.images, 1, 1, Batch::kCapacity}),
                                               view(r.match, b.row()), SsdMatching::each);
  on(s, cpu::ssd_labels, cuda::ssd_labels)(s, b.anchor_view(), b.truths(), b.background,
                                           view(r.match, b.row()), view(r.labels, b.with(1)));
  on(s, cpu::cross_entropy, cuda::cross_entropy)(s, b.from().logits, view(r.labels, b.with(1)), RowClasses{},
                                                 View<float>(costs.data(), b.with(1)));
  on(s, cpu::sample_hard, cuda::sample_hard)(s, view(r.match, b.row()), cost_view, HardNegativeRule{},
                                             view(weights, b.row()), view(r.counts, {b.images, 1, 1, 2}));
  SsdRule rule;
  rule.box_loss.beta = 0.5f;
  rule.box_weight = 2;
  on(s, cpu::ssd_loss, cuda::ssd_loss)(
      s, b.from(), SsdTargets{b.anchor_view(), view(r.match, b.row()), b.truths()},
      SsdSample{view(r.labels, b.with(1)),
                {costs.data(), b.with(1)},
                view(weights, b.row()),
                view(r.counts, {b.images, 1, 1, 2})},
      rule, view(reports, {b.images, 1, 1, parts}),
      SsdGradients{view(r.logit_gradients, b.with(1 + b.classes)), view(r.delta_gradients, b.with(4))},
      view(r.losses, {b.images, 1, 1, 1}), &r.report);
  on(s, cpu::ssd_rows, cuda::ssd_rows)(s, b.from(), b.anchor_view(), rule.coder, 64.0f, 48.0f,
                                       view(r.rows, b.with(kClasses + b.classes)));
  return r;
}

// Exponentials and logarithms in float err by a few units in the last place of values up to about 10.
void expect_near(const Values& got, const Values& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], 2e-5 * (1 + std::fabs(want[i]))) << "at " << i;
}

void expect_same(Batch batch) {
  const Results want = run(batch, Device::cpu);
  in_all_orders([&] {
    const Results got = run(batch, Device::cuda);
    EXPECT_EQ(got.match, want.match);
    EXPECT_EQ(got.labels, want.labels);
    EXPECT_EQ(got.counts, want.counts);
    expect_near(got.logit_gradients, want.logit_gradients);
    expect_near(got.delta_gradients, want.delta_gradients);
    expect_near(got.losses, want.losses);
    expect_near(got.rows, want.rows);
    EXPECT_NEAR(got.report.loss, want.report.loss, 1e-4 * want.report.loss);
    EXPECT_NEAR(got.report.class_loss, want.report.class_loss, 1e-4 * want.report.class_loss);
    EXPECT_NEAR(got.report.box_loss, want.report.box_loss, 1e-4 * want.report.box_loss);
    EXPECT_NEAR(got.report.iou, want.report.iou, 1e-4 * want.report.iou);
    EXPECT_EQ(got.report.matched, want.report.matched);
  });
}

TEST(SsdKernels, AgreeWithTheLoops) {
  expect_same(Batch(1, 1, 1, {1}, 0.5f));
  expect_same(Batch(2, 30, 3, {2, 4}, 0.5f));
  expect_same(Batch(3, 150, 40, {3, 0, 1}, 0.5f));  // two parts, two classes per lane, an image without
}

TEST(SsdKernels, IgnoreBackgroundThatOverlapsATruth) {
  Batch batch(2, 150, 3, {3, 2}, 0.2f);
  const Results r = run(batch, Device::cpu);
  int ignored = 0;
  for (size_t i = 0; i < r.match.size(); ++i) {
    EXPECT_EQ(r.match[i] == kIgnored, r.labels[i] == -1);
    if (r.match[i] != kIgnored) continue;
    ++ignored;
    for (int c = 0; c < 4; ++c) EXPECT_EQ(r.logit_gradients[4 * i + c], 0);
  }
  EXPECT_GT(ignored, 0);
  expect_same(batch);
}

TEST(SsdKernels, LearnNothingWithoutTruths) {
  Batch batch(2, 140, 5, {0, 0}, 0.5f);
  expect_same(batch);
  const Results r = run(batch, Device::cpu);
  EXPECT_EQ(r.logit_gradients, Values(r.logit_gradients.size(), 0));
  EXPECT_EQ(r.delta_gradients, Values(r.delta_gradients.size(), 0));
  EXPECT_EQ(r.losses, Values(2, 0));
  EXPECT_EQ(r.report.loss, 100);
}

}  // namespace
}  // namespace osprey::test
