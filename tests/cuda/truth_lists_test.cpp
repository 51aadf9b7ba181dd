#include "cuda/truth_lists.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// More truths than the kernel has threads, of which every third cannot be learnt: no area, or a strange
// class.
TEST(TruthLists, HoldWhatCanBeLearntWithoutGaps) {
  constexpr int kCapacity = 300;
  Stream s;
  Values rows(3 * kCapacity * 5);
  std::vector<int> counts = {kCapacity, 4, 0};
  for (int i = 0; i < 3 * kCapacity; ++i) {
    const int t = i % kCapacity;
    float* row = &rows[size_t(i) * 5];
    row[0] = row[1] = float(t % 8) / 8;
    row[2] = t % 9 == 0 ? 0 : 0.25f;
    row[3] = t % 9 == 3 ? -0.5f : 0.5f;
    row[4] = t % 9 == 6 ? float(t % 2 ? 5 : -1) : float(t % 5);
  }
  const Truths truths = {view(rows, {3, 1, kCapacity, 5}), {counts.data(), {3, 1, 1, 1}}};
  const auto expect_listed = [&](auto list) {
    std::vector<Box> boxes(3 * kCapacity);
    std::vector<int> labels(boxes.size(), -7), listed(3, -7);
    const Shape shape = {3, 1, 1, kCapacity};
    list(s, truths, 64.0f, 32.0f, 5,
         TruthLists{view(boxes, shape), view(labels, shape), view(listed, {3, 1, 1, 1})});
    EXPECT_EQ(listed, (std::vector<int>{200, 2, 0}));
    for (int n = 0; n < 2; ++n)
      for (int i = 0; i < listed[n]; ++i) {
        const int t = i / 2 * 3 + 1 + i % 2;  // each third one is missing
        const Box& box = boxes[n * kCapacity + i];
        ASSERT_EQ(labels[n * kCapacity + i], t % 5) << i;
        ASSERT_EQ(box.x1, float(t % 8) * 8 - 8) << i;
        ASSERT_EQ(box.x2, float(t % 8) * 8 + 8) << i;
        ASSERT_EQ(box.y1, float(t % 8) * 4 - 8) << i;
        ASSERT_EQ(box.y2, float(t % 8) * 4 + 8) << i;
      }
  };
  expect_listed(cpu::list_truths);
  in_all_orders([&] { expect_listed(cuda::list_truths); });
}

}  // namespace
}  // namespace osprey::test
