#include "cuda/soft_nms.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

constexpr float kGone = SoftNmsRule::kGone;

struct Lists {
  std::vector<Box> boxes;
  std::vector<int> counts, selected, selected_counts;
  Values scores;
  SoftNmsLists lists;

  Lists(std::vector<Box> b, std::vector<int> n, Values v, int classes, int places, bool own_boxes)
      : boxes(std::move(b)), counts(std::move(n)), scores(std::move(v)) {
    const int images = int(counts.size());
    selected.assign(scores.size(), -9);
    selected_counts.assign(images * classes, -9);
    const Shape shape = {images, 1, classes, places};
    lists = {{boxes.data(), {images, 1, own_boxes ? classes : 1, places}},
             {counts.data(), {images, 1, 1, 1}},
             view(scores, shape),
             view(selected, shape),
             view(selected_counts, {images, 1, 1, classes})};
  }
};

// Corners at multiples of 1/8, so that areas are exact, and some boxes are equal, touch or have no area.
std::vector<Box> coarse_boxes(int count, uint64_t seed) {
  std::vector<Box> boxes;
  for (int i = 0; i < count; ++i) {
    Random random(seed, Purpose::test, 1, i);
    const float x = float(random.below(12)) / 8, y = float(random.below(12)) / 8;
    boxes.push_back({x, y, x + float(random.below(6)) / 8, y + float(random.below(6)) / 8});
  }
  return boxes;
}

TEST(SoftNms, EachKindTakesItsPart) {
  const Box a = {0, 0, 4, 2}, third = {2, 0, 6, 2}, apart = {4, 0, 8, 2};  // IoU 1/3 and 0
  SoftNmsRule rule{SoftNmsKind::linear, .3f, false, .5f, .001f};
  EXPECT_FLOAT_EQ(rule.decayed(.6f, a, third), .4f);
  EXPECT_EQ(rule.decayed(.6f, a, apart), .6f);
  EXPECT_EQ(rule.decayed(.6f, a, a), kGone);
  rule.threshold = .4f;
  EXPECT_EQ(rule.decayed(.6f, a, third), .6f);
  rule.threshold = iou(a, third);
  EXPECT_EQ(rule.decayed(.6f, a, third), .6f);
  rule.from_threshold = true;
  EXPECT_FLOAT_EQ(rule.decayed(.6f, a, third), .4f);
  rule.min_score = .5f;
  EXPECT_EQ(rule.decayed(.6f, a, third), kGone);
  rule = {SoftNmsKind::gaussian, .9f, false, .25f, .001f};
  EXPECT_FLOAT_EQ(rule.decayed(.6f, a, third), .6f * std::exp(-4 / 9.0f));
  EXPECT_EQ(rule.decayed(.6f, a, apart), .6f);
  rule = {SoftNmsKind::hard, .3f, false, .5f, -10};
  EXPECT_EQ(rule.decayed(-2, a, third), kGone);
  EXPECT_EQ(rule.decayed(-2, a, apart), -2);
}

// The drawn example: the second best overlaps the best, and falls behind the third.
TEST(SoftNms, ABoxMayComeLater) {
  Stream s;
  const std::vector<Box> boxes = {{2, 0, 6, 2}, {10, 0, 14, 2}, {0, 0, 4, 2}, {0, 0, 4, 2}};
  for (const Device device : {Device::cpu, Device::cuda}) {
    Lists own(boxes, {4}, {.6f, .5f, .9f, .8f}, 1, 4, false);
    s.device = device;
    on(s, cpu::soft_nms, cuda::soft_nms)(s, own.lists, SoftNmsRule{});
    EXPECT_EQ(own.selected, (std::vector<int>{2, 1, 0, -1}));
    EXPECT_EQ(own.selected_counts[0], 3);
    EXPECT_FLOAT_EQ(own.scores[0], .4f);
    EXPECT_EQ(own.scores[3], kGone);  // equal to the best
  }
}

struct Wanted {
  Values scores;
  std::vector<int> selected;
  int count = 0;
};
// Of one class, by searching all boxes each time.
Wanted by_definition(const Box* boxes, int filled, Values scores, SoftNmsRule rule) {
  const int places = int(scores.size());
  Wanted want{scores, std::vector<int>(places, -1)};
  std::vector<char> waits(places, 1);
  for (int i = 0; i < places; ++i)
    if (i >= filled || !(want.scores[i] >= rule.min_score)) want.scores[i] = kGone;
  for (;; ++want.count) {
    int best = -1;
    for (int i = 0; i < places; ++i)
      if (waits[i] && want.scores[i] > (best < 0 ? kGone : want.scores[best])) best = i;
    if (best < 0) return want;
    want.selected[want.count] = best;
    waits[best] = 0;
    for (int i = 0; i < places; ++i)
      if (waits[i] && want.scores[i] != kGone)
        want.scores[i] = rule.decayed(want.scores[i], boxes[best], boxes[i]);
  }
}

// The same formula on exact areas, and comparisons: equal bits.
void expect_definition(void (*soft_nms)(Stream&, SoftNmsLists, SoftNmsRule), int places, bool own_boxes,
                       SoftNmsRule rule) {
  Stream s;
  constexpr int kClasses = 2;
  const std::vector<int> counts = {places, places / 2, 0,
                                   places + 5};  // the last more than there is room for
  const int images = int(counts.size());
  Values scores = coarse_values(images * kClasses * places, 2);  // half of them below 0; many ties
  for (size_t i = 0; i < scores.size(); i += 29) scores[i] = NAN;
  Lists own(coarse_boxes(images * (own_boxes ? kClasses : 1) * places, 1), counts, scores, kClasses, places,
            own_boxes);
  soft_nms(s, own.lists, rule);
  for (int image = 0; image < images; ++image)
    for (int c = 0; c < kClasses; ++c) {
      SCOPED_TRACE("image " + std::to_string(image) + ", class " + std::to_string(c));
      const int list = image * kClasses + c;
      const auto first = scores.begin() + list * places;
      const Wanted want = by_definition(own.boxes.data() + (own_boxes ? list : image) * places, counts[image],
                                        {first, first + places}, rule);
      EXPECT_EQ(own.selected_counts[list], want.count);
      for (int i = 0; i < places; ++i) {
        ASSERT_EQ(own.selected[list * places + i], want.selected[i]) << "at " << i;
        ASSERT_EQ(own.scores[list * places + i], want.scores[i]) << "at " << i;
      }
    }
}

TEST(SoftNms, BothDevicesSelectWhatTheDefinitionSelects) {
  const SoftNmsRule rules[] = {{SoftNmsKind::linear, .3f, false, .5f, .001f},
                               {SoftNmsKind::linear, .25f, true, .5f, .2f},
                               {SoftNmsKind::gaussian, 0, false, .5f, .05f},
                               {SoftNmsKind::hard, .25f, false, .5f, kGone}};  // negative scores too
  // Fewer and more than the threads of a block.
  for (const int places : {1, 20, 150})
    for (const SoftNmsRule& rule : rules)
      for (const bool own_boxes : {false, true}) {
        SCOPED_TRACE(std::to_string(places) + " places, kind " + std::to_string(int(rule.kind)));
        expect_definition(cpu::soft_nms, places, own_boxes, rule);
        in_all_orders([&] { expect_definition(cuda::soft_nms, places, own_boxes, rule); });
      }
}

}  // namespace
}  // namespace osprey::test
