// Every key of the losses of [yolo] and [Gaussian_yolo] that Darknet knows does something, on both devices: a
// head with the key learns otherwise than one without, and the kernels learn the same as the loops. What it
// does is held to numbers by the recorded cases.
#include <gtest/gtest.h>

#include <algorithm>

#include "layers/heads/head.h"
#include "tests/data/temporary.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

struct KeyCase {
  const char* key;
  const char* beside = "";  // what the key needs to have an effect
  bool in_gaussian = true;
};

void PrintTo(const KeyCase& c, std::ostream* out) { *out << c.key; }

const KeyCase kKeys[] = {
    {"ignore_thresh=.1"},
    {"truth_thresh=.2"},
    {"iou_thresh=.2"},
    {"iou_thresh_kind=giou", "iou_thresh=.4"},
    {"scale_x_y=1.5"},
    {"objectness_smooth=1", "ignore_thresh=.1"},
    {"iou_loss=iou"},
    {"iou_loss=giou"},
    {"iou_loss=diou"},
    {"iou_loss=ciou"},
    {"iou_normalizer=.2"},
    {"obj_normalizer=.2"},
    {"counters_per_class=9,3,1"},
    {"cls_normalizer=.2", "counters_per_class=9,3,1"},
    {"max_delta=.05", "iou_loss=ciou"},
    {"max_delta=2", "counters_per_class=9,3,1"},
    {"label_smooth_eps=.1"},
    {"delta_normalizer=.5"},
    {"mask=1,2", "anchors=4,4, 12,20, 20,9, 16,8\nnum=4\nmask=0,3"},
    {"new_coords=1", "", false},
    {"focal_loss=1", "", false},
};

// A mask given first counts, as in Darknet; the other keys of `beside` stay.
Values learnt(const std::string& section, const std::string& keys, Device device) {
  const bool own_anchors = keys.find("anchors") != std::string::npos;
  const std::string cfg =
      "[" + section + "]\nclasses=3\nmax=4\n" + keys + (own_anchors ? "" : "\nnum=2\nanchors=12,6, 6,12");
  const int row = (section == "yolo" ? 5 : 9) + 3;
  const Shape shape = {1, 3, 3, 2 * row};
  SingleLayer layer(cfg, {shape}, device);
  const Values truths = {.5f, .5f, .5f, .3f,  0, .5f, .5f, .4f, .3f, 1,
                         .2f, .8f, .1f, .15f, 2, .8f, .2f, .4f, .7f, 1};
  layer.truth_counts[0] = 4;
  std::copy(truths.begin(), truths.end(), layer.truths.begin());
  Values x = random_values(shape, 5);
  for (float& v : x) v = v / 2 + .5f;  // in 0..1, as new_coords needs it
  layer.forward(x);
  return layer.backward_overwriting(Values(x.size(), 0))[0];
}

class YoloKey : public testing::TestWithParam<KeyCase> {};

TEST_P(YoloKey, HasItsEffectOnBothDevices) {
  const auto& [key, beside, in_gaussian] = GetParam();
  for (const std::string section : {"yolo", "Gaussian_yolo"}) {
    if (section != "yolo" && !in_gaussian) continue;
    SCOPED_TRACE(section);
    const std::string with = std::string(key) + "\n" + beside;
    const Values loop = learnt(section, with, Device::cpu);
    EXPECT_NE(loop, learnt(section, beside, Device::cpu));
    // Formulas are one for both, but may be fused otherwise: a few roundings.
    expect_equal(learnt(section, with, Device::cuda), loop, {4e-6f, 2e-6f});
    EXPECT_NE(learnt(section, with, Device::cuda), learnt(section, beside, Device::cuda));
  }
}

INSTANTIATE_TEST_SUITE_P(keys, YoloKey, testing::ValuesIn(kKeys), [](const auto& info) {
  std::string name = info.param.key;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

TEST(YoloKeys, NormalizerOfDeviationsAndPointAreGaussians) {
  for (const std::string key : {"uc_normalizer=.3", "yolo_point=left_top", "yolo_point=right_bottom"}) {
    SCOPED_TRACE(key);
    const Values loop = learnt("Gaussian_yolo", key, Device::cpu);
    EXPECT_NE(loop, learnt("Gaussian_yolo", "", Device::cpu));
    expect_equal(learnt("Gaussian_yolo", key, Device::cuda), loop, {4e-6f, 2e-6f});
  }
}

// In Darknet cls_normalizer is dead without counters_per_class, and shipped files count on that.
TEST(YoloKeys, ClassNormalizerAloneHasNone) {
  EXPECT_EQ(learnt("yolo", "cls_normalizer=.2", Device::cpu), learnt("yolo", "", Device::cpu));
}

}  // namespace
}  // namespace osprey
