// Inputs of a network by the kernel and on the CPU, for detection and for training: equal to the last bit.
#include "data/augment.h"

#include <algorithm>
#include <tuple>

#include "cuda/preprocess.h"
#include "data/class_sample.h"
#include "data/render.h"
#include "tests/cuda/kernel_test.h"
#include "tests/data/deep_images.h"

namespace osprey::test {
namespace {

const std::pair<int, int> kSizes[] = {{1, 1}, {2, 3}, {17, 9}, {40, 5}, {6, 31}};

// Of 16 bits where the seed is odd.
ByteImage image_of(std::pair<int, int> size, int channels, uint64_t seed) {
  return random_image(size.first, size.second, channels, seed % 2 ? 2 : 1, seed);
}

// A mini-batch of the plans, whose bytes lie one after the other.
void expect_batch(const std::vector<SamplePlan>& plans, const std::vector<uint8_t>& bytes, const Values& want,
                  Shape shape) {
  Stream s;
  Values y(shape.size(), NAN);
  std::vector<bf16> rounded(shape.size());
  cuda::preprocess(s, bytes.data(), plans.data(), view(y, shape));
  cuda::preprocess(s, bytes.data(), plans.data(), view(rounded, shape));
  ASSERT_EQ(y, want);
  for (int i = 0; i < shape.size(); ++i) ASSERT_EQ(float(rounded[i]), float(bf16(want[i]))) << i;
}

// Twelve samples of up to four random images each: `describe(images, n)` makes the plan of the n-th.
template <class Describe>
void expect_rendered(int width, int height, int channels, const Describe& describe) {
  std::vector<SamplePlan> plans;
  std::vector<uint8_t> bytes;
  Values want;
  for (uint64_t n = 0; n < 12; ++n) {
    std::array<ByteImage, 4> images;
    std::array<Image, 4> units;
    std::array<Labelled, 4> labelled;
    for (size_t i = 0; i < 4; ++i) {
      images[i] = image_of(kSizes[(n + i) % 5], channels, 4 * n + i);
      units[i] = unit_image(images[i]);
      labelled[i] = {images[i].width, images[i].height, {}};
    }
    SamplePlan plan = describe(labelled, n);
    Image made(width, height, channels, NAN);
    render(plan, units, width, height, made.pixels.data());
    want.insert(want.end(), made.pixels.begin(), made.pixels.end());
    for (int k = 0; k < plan.parts; ++k) pack(plan.part[k], images[size_t(k)], bytes);
    plans.push_back(plan);
  }
  in_all_orders([&] { expect_batch(plans, bytes, want, {12, height, width, channels}); });
}

TEST(PreprocessParity, ForDetectionIsFit) {
  for (const Fit fit_kind : {Fit::stretch, Fit::letterbox, Fit::crop})
    for (const auto& [width, height] : {std::pair{1, 1}, {16, 16}, {13, 22}, {17, 9}})
      for (const int channels : {1, 3, 6}) {
        std::vector<SamplePlan> plans;
        std::vector<uint8_t> bytes;
        Values want;
        for (const auto& size : kSizes) {
          const ByteImage image = image_of(size, channels, plans.size());
          plans.push_back(fit_plan(fit_kind, image.width, image.height, width, height));
          pack(plans.back().part[0], image, bytes);
          const Image fitted = fit(unit_image(image), width, height, fit_kind);
          want.insert(want.end(), fitted.pixels.begin(), fitted.pixels.end());
        }
        in_all_orders([&] { expect_batch(plans, bytes, want, {5, height, width, channels}); });
      }
}

TEST(PreprocessParity, ForTrainingIsRender) {
  AugmentOptions o;
  o.jitter = .4f;
  o.resize = 1.5f;
  o.hue = .1f;
  o.saturation = o.exposure = 1.5f;
  o.flip = true;
  for (int form = 0; form < 3; ++form) {  // cropped, letterboxed, mosaic
    o.letter_box = form == 1;
    for (const auto& [width, height, channels] :
         {std::tuple{1, 1, 3}, {12, 10, 3}, {7, 16, 3}, {12, 10, 6}}) {
      o.width = width;
      o.height = height;
      expect_rendered(width, height, channels, [&](const std::array<Labelled, 4>& images, uint64_t n) {
        Random random(3, Purpose::augment, uint64_t(form), n);
        return (form == 2 ? describe_mosaic(images, o, random) : describe(images[0], o, random)).plan;
      });
    }
  }
}

// Turned, scaled and moved; a rectangle of one on another, four together, the mean of two.
TEST(PreprocessParity, ForClassifiersIsRender) {
  AugmentOptions o;
  o.hue = .1f;
  o.saturation = o.exposure = 1.5f;
  o.flip = true;
  o.angle = 30;
  o.aspect = 1.3f;
  for (const ClassMix mix : {ClassMix::none, ClassMix::mean, ClassMix::paste, ClassMix::mosaic})
    for (const auto& [width, height, channels] :
         {std::tuple{1, 1, 3}, {12, 10, 3}, {7, 16, 3}, {12, 10, 6}}) {
      o.width = width;
      o.height = height;
      expect_rendered(width, height, channels, [&](const std::array<Labelled, 4>& images, uint64_t n) {
        Random random(5, Purpose::augment, uint64_t(mix), n);
        SamplePlan plan = describe_class(images, mix, o, 1, random).plan;
        if (n % 2) plan.part[0].noise = .1f, plan.part[0].noise_key = n;
        return plan;
      });
    }
}

}  // namespace
}  // namespace osprey::test
