#include "cuda/sampler.h"

#include <numeric>

#include "cuda/soft_nms.h"
#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

using Ints = std::vector<int>;

struct Sampled {
  Values weights;
  Ints counts, rows, listed;
  bool operator==(const Sampled&) const = default;
};

// How the rows are chosen; everything that the ops write starts as 77.
struct Sampling {
  enum class Kind { random, ohem, hard } kind;
  SampleRule rule;
  HardNegativeRule hard;
  Values losses;
  Step step;
  uint64_t layer = 3;
  int capacity = 8;  // of the list

  Sampled of(Device device, const Ints& match, int images = 1) const {
    const int rows = int(match.size()) / images;
    Sampled r = {Values(match.size(), 77), Ints(size_t(images) * 2, 77), Ints(size_t(images * capacity), 77),
                 Ints(size_t(images), 77)};
    const View<const int> m(match.data(), {images, 1, 1, rows});
    const View<const float> of_loss(losses.data(), m.shape);
    const View<float> weights = view(r.weights, m.shape);
    const View<int> counts = view(r.counts, {images, 1, 1, 2});
    Stream s{device};
    if (kind == Kind::random)
      on(s, cpu::sample_random, cuda::sample_random)(s, m, rule, &step, layer, weights, counts);
    else if (kind == Kind::ohem)
      on(s, cpu::sample_ohem, cuda::sample_ohem)(s, m, of_loss, rule, weights, counts);
    else
      on(s, cpu::sample_hard, cuda::sample_hard)(s, m, of_loss, hard, weights, counts);
    on(s, cpu::list_sampled, cuda::list_sampled)(s, m, weights, view(r.rows, {images, 1, 1, capacity}),
                                                 view(r.listed, {images, 1, 1, 1}));
    return r;
  }
};

Sampling random_sampling(SampleRule rule, uint64_t seed = 1) {
  Sampling s{Sampling::Kind::random, rule, {}, {}, {}};
  s.step.seed = seed;
  return s;
}

class SamplerByHand : public testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Devices, SamplerByHand, testing::Values(Device::cpu, Device::cuda));

constexpr int B = kBackground, I = kIgnored;

// Counts as torchvision's sampler has them.
TEST_P(SamplerByHand, QuotasOfRandomRows) {
  const auto counts = [&](SampleRule rule, Ints match) {
    return random_sampling(rule).of(GetParam(), match).counts;
  };
  EXPECT_EQ(counts({4, .5f}, {0, 1, 0, 1, B, B, B, I}), (Ints{2, 2}));
  EXPECT_EQ(counts({5, .5f}, {0, 1, 0, 1, B, B, B, I}), (Ints{2, 3}));  // int(2.5) positives
  EXPECT_EQ(counts({6, .5f}, {0, I, B, B, B, B, B, B}), (Ints{1, 5}));  // negatives take what is left
  EXPECT_EQ(counts({6, .5f}, {0, 0, 0, 0, 0, B, I, I}), (Ints{3, 1}));  // positives do not
  EXPECT_EQ(counts({4, .25f}, {I, I, I, I}), (Ints{0, 0}));
  EXPECT_EQ(counts({4, .0f}, {0, 0, B, B}), (Ints{0, 2}));
  EXPECT_EQ(counts({4, .5f, false}, {0, 0, 0, 0, 0, I}), (Ints{4, 0}));
  EXPECT_EQ(counts({4, .5f, false}, {0, B, I}), (Ints{1, 1}));
}

TEST_P(SamplerByHand, HardNegativesOfSsd) {
  Sampling s{Sampling::Kind::hard, {}, {2}, {9, 1, 4, 5, 4, 8, 4, NAN}, {}};
  const Ints match = {B, 0, B, B, B, I, B, B};
  EXPECT_EQ(s.of(GetParam(), match).weights, (Values{1, 1, 0, 1, 0, 0, 0, 0}));  // the positive loses least
  s.hard.ratio = 3;  // of equal losses the first row
  EXPECT_EQ(s.of(GetParam(), match).weights, (Values{1, 1, 1, 1, 0, 0, 0, 0}));
  s.hard.ratio = 100;
  const Sampled all = s.of(GetParam(), match);
  EXPECT_EQ(all.weights, (Values{1, 1, 1, 1, 1, 0, 1, 1}));
  EXPECT_EQ(all.counts, (Ints{1, 6}));
  EXPECT_EQ(all.rows, (Ints{1, 0, 2, 3, 4, 6, 7, -1}));
  EXPECT_EQ(all.listed, (Ints{7}));
  EXPECT_EQ(s.of(GetParam(), Ints(8, B)).counts, (Ints{0, 0}));  // an image without truths adds nothing
}

TEST_P(SamplerByHand, HardExamples) {
  Sampling s{Sampling::Kind::ohem, {4, .25f}, {}, {.5f, 3, 2, 1, -INFINITY, 4, .25f, 5}, {}};
  const Ints match = {0, 1, 0, B, B, B, B, I};
  EXPECT_EQ(s.of(GetParam(), match).weights, (Values{0, 1, 0, 1, 0, 1, 1, 0}));
  s.rule.apart = false;
  const Sampled best = s.of(GetParam(), match);
  EXPECT_EQ(best.weights, (Values{0, 1, 1, 1, 0, 1, 0, 0}));
  EXPECT_EQ(best.counts, (Ints{2, 2}));
  s.rule.count = 100;  // all but the ignored and what soft_nms() took
  EXPECT_EQ(s.of(GetParam(), match).weights, (Values{1, 1, 1, 1, 0, 1, 1, 0}));
  s.losses = {1, 9, 2, 8, 7, 3, 4, 6};
  s.rule.count = 3;  // a mini-batch taken as one image, or as two
  EXPECT_EQ(s.of(GetParam(), Ints(8, B), 1).weights, (Values{0, 1, 0, 1, 1, 0, 0, 0}));
  EXPECT_EQ(s.of(GetParam(), Ints(8, B), 2).weights, (Values{0, 1, 1, 1, 1, 0, 1, 1}));
}

// Rows that cover the same object share its loss: of them only the worst teaches.
TEST_P(SamplerByHand, LossesAreSuppressedAsThePaperDoes) {
  const std::vector<Box> boxes = {{0, 0, 10, 10}, {0, 0, 10, 9}, {20, 0, 30, 10}, {0, 0, 10, 6}};
  Ints count = {4}, selected(4), selected_count(1);
  Sampling s{Sampling::Kind::ohem, {3, 1, false}, {}, {2, -3, 1, 1.5f}, {}};
  SoftNmsRule rule;
  rule.kind = SoftNmsKind::hard;
  rule.threshold = .7f;
  rule.min_score = -INFINITY;
  Stream stream{GetParam()};
  const SoftNmsLists lists = {{boxes.data(), {1, 1, 1, 4}},
                              channels(count),
                              channels(s.losses),
                              channels(selected),
                              channels(selected_count)};
  on(stream, cpu::soft_nms, cuda::soft_nms)(stream, lists, rule);
  EXPECT_EQ(s.of(GetParam(), {B, B, 0, 0}).rows, (Ints{2, 3, 0, -1, -1, -1, -1, -1}));
}

TEST_P(SamplerByHand, AListThatIsTooShortTakesTheFirst) {
  Sampling s{Sampling::Kind::hard, {}, {1}, {1, 2, 3, 4, 5, 6}, {}};
  s.capacity = 3;
  const Sampled r = s.of(GetParam(), {B, B, 0, B, B, 1});
  EXPECT_EQ(r.rows, (Ints{2, 5, 3}));
  EXPECT_EQ(r.listed, (Ints{3}));
}

// 2000 choices of 2 of 8 rows: a row is chosen 500 times, give or take 5 standard deviations of 19.4.
TEST(Sampler, EveryRowIsAsLikely) {
  Sampling s = random_sampling({2, 0});
  Ints times(8, 0);
  for (s.step.pass = 0; s.step.pass < 2000; ++s.step.pass) {
    const Sampled r = s.of(Device::cpu, Ints(8, B));
    for (size_t i = 0; i < 8; ++i) times[i] += r.weights[i] > 0;
  }
  for (const int t : times) EXPECT_NEAR(t, 500, 97);
  EXPECT_EQ(std::accumulate(times.begin(), times.end(), 0), 4000);
}

// Seed, pass, layer and image each choose others, and nothing else does.
TEST(Sampler, ChoicesAreFunctionsOfSeedPassAndLayer) {
  const Ints match(400, B);
  const Sampling s = random_sampling({20, .5f});
  const auto weights = [&](const Sampling& other) { return other.of(Device::cpu, match, 2).weights; };
  const Values first = weights(s);
  EXPECT_EQ(weights(s), first);
  EXPECT_NE(Values(first.begin(), first.begin() + 200), Values(first.begin() + 200, first.end()));
  Sampling other = s;
  other.step.pass = 1;
  EXPECT_NE(weights(other), first);
  other = s;
  other.step.seed = 2;
  EXPECT_NE(weights(other), first);
  other = s;
  other.layer = 4;
  EXPECT_NE(weights(other), first);
  other = s;
  other.step.iteration = other.step.seen = 9;
  EXPECT_EQ(weights(other), first);
}

// Losses at multiples of 1/8, so that many tie and their index decides, down to its lowest byte; fewer rows
// than threads and more.
TEST(Sampler, TheGpuAgreesWithTheCpu) {
  for (const int rows : {1, 100, 700}) {
    const int images = 3;
    Ints match;
    for (int i = 0; i < images * rows; ++i) {
      const int draw = Random(4, Purpose::test, 0, uint64_t(i)).below(8);
      match.push_back(i < rows ? B : draw == 0 ? 2 : draw == 1 ? I : B);
    }
    Sampling s = random_sampling({40, .25f}, 7);
    s.losses = coarse_values(images * rows, 5);
    s.capacity = 50;
    for (const auto kind : {Sampling::Kind::random, Sampling::Kind::ohem, Sampling::Kind::hard})
      for (const bool apart : {true, false}) {
        s.kind = kind;
        s.rule.apart = apart;
        const Sampled want = s.of(Device::cpu, match, images);
        in_all_orders([&] { EXPECT_EQ(s.of(Device::cuda, match, images), want) << rows; });
      }
  }
}

}  // namespace
}  // namespace osprey::test
