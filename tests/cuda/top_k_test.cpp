#include "cuda/top_k.h"

#include <algorithm>
#include <numeric>

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

struct Chosen {
  std::vector<int> indices, counts;
};

Chosen chosen(Device device, const ScoreSegments& segments, int images, int k) {
  Chosen c;
  c.indices.assign(size_t(images * segments.count * k), 77);  // all of these must be overwritten
  c.counts.assign(size_t(images * segments.count), 77);
  Stream s{device};
  on(s, cpu::top_k, cuda::top_k)(s, segments, view(c.indices, {images, 1, segments.count, k}),
                                 view(c.counts, {images, 1, 1, segments.count}));
  return c;
}

// By sorting everything.
Chosen sorted(const ScoreSegments& segments, int images, int k) {
  Chosen c;
  for (int n = 0; n < images; ++n)
    for (int s = 0; s < segments.count; ++s) {
      const ScoreSegment& segment = segments.segments[s];
      std::vector<int> order;
      for (int i = 0; i < segment.length; ++i)
        if (segment.score(n, i) > -INFINITY) order.push_back(i);
      std::stable_sort(order.begin(), order.end(),
                       [&](int a, int b) { return segment.score(n, a) > segment.score(n, b); });
      if (int(order.size()) > k) order.resize(size_t(k));
      c.counts.push_back(int(order.size()));
      order.resize(size_t(k), -1);
      c.indices.insert(c.indices.end(), order.begin(), order.end());
    }
  return c;
}

void expect_sorted(const ScoreSegments& segments, int images, int k) {
  const Chosen want = sorted(segments, images, k);
  const Chosen by_cpu = chosen(Device::cpu, segments, images, k);
  EXPECT_EQ(by_cpu.indices, want.indices);
  EXPECT_EQ(by_cpu.counts, want.counts);
  in_all_orders([&] {
    const Chosen got = chosen(Device::cuda, segments, images, k);
    EXPECT_EQ(got.indices, want.indices);
    EXPECT_EQ(got.counts, want.counts);
  });
}

Values uniform(int count, uint64_t seed) {
  Values v(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) v[size_t(i)] = Random(seed, Purpose::test, 0, uint64_t(i)).uniform(-6, 2);
  return v;
}

TEST(TopK, LargestFirstAndOfEqualsTheFirst) {
  const Values scores = {1, 3, -2, 3, 0, -0.0f, 5, -INFINITY, NAN, -7};
  ScoreSegments segments;
  segments.add(constant(scores, {1, 1, 1, 10}));
  for (const Device device : {Device::cpu, Device::cuda}) {
    EXPECT_EQ(chosen(device, segments, 1, 3).indices, (std::vector<int>{6, 1, 3}));
    EXPECT_EQ(chosen(device, segments, 1, 2).indices, (std::vector<int>{6, 1}));
    const Chosen all = chosen(device, segments, 1, 10);
    EXPECT_EQ(all.indices, (std::vector<int>{6, 1, 3, 0, 4, 5, 2, 9, -1, -1}));
    EXPECT_EQ(all.counts, std::vector<int>{8});
  }
}

// Scores that take few values, so that the last rank is shared, over several rounds of the block; more than
// there are; segments of different lengths, of one score and of none.
TEST(TopK, SegmentsOfARow) {
  const int images = 2, row = 3000;
  const Values scores = coarse_values(images * row, 1);
  ScoreSegments segments;
  segments.add(constant(scores, {images, 1, 1, row}), 0, 2500);
  segments.add(constant(scores, {images, 1, 1, row}), 2500, 499);
  segments.add(constant(scores, {images, 1, 1, row}), 2999, 1);
  segments.add(constant(scores, {images, 1, 1, row}), 100, 0);
  for (const int k : {1, 1025}) expect_sorted(segments, images, k);
}

TEST(TopK, MapsOfLevels) {
  const Values fine = uniform(2 * 12 * 10 * 3, 2), coarse = uniform(2 * 6 * 5 * 3, 3);
  ScoreSegments segments;
  segments.add(constant(fine, {2, 12, 10, 3}));
  segments.add(constant(coarse, {2, 6, 5, 3}));
  expect_sorted(segments, 2, 100);
}

TEST(TopK, NothingTakesPart) {
  const Values scores(50, -INFINITY);
  ScoreSegments segments;
  segments.add(constant(scores, {2, 1, 1, 25}));
  expect_sorted(segments, 2, 4);
}

// As many as the anchors of a fine level, the most that py-faster-rcnn chooses of them. Scores that differ in
// all digits: the lower bits decide too. In one order of the threads, since the sanitizer takes long.
TEST(TopK, ManyOfMany) {
  const int row = 200'000, k = 12'000;
  Values scores = uniform(row, 4);
  for (int i = 0; i < row; i += 3) scores[size_t(i)] = 1 + float(i % 700) * 0x1p-23f;
  ScoreSegments segments;
  segments.add(constant(scores, {1, 1, 1, row}));
  const Chosen want = sorted(segments, 1, k);
  for (const Device device : {Device::cpu, Device::cuda})
    EXPECT_EQ(chosen(device, segments, 1, k).indices, want.indices);
}

}  // namespace
}  // namespace osprey::test
