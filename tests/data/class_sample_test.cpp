#include "data/class_sample.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "data/loader.h"
#include "data/render.h"
#include "tests/data/drawing.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

Image numbered(int width, int height) {
  Image image(width, height, 1);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = float(i) / 255;
  return image;
}

Image made(const SamplePart& part, const Image& image, const AugmentOptions& o) {
  SamplePlan plan;
  plan.parts = 1;
  plan.part[0] = part;
  Image out(o.width, o.height, image.channels, NAN);
  render(plan, std::span(&image, 1), o.width, o.height, out.pixels.data());
  return out;
}

SamplePart crop_of(const Image& image, const AugmentOptions& o, uint64_t seed) {
  Random random(seed, Purpose::augment);
  return describe_crop({image.width, image.height}, o, random);
}

// Its own size, nothing drawn: the image itself.
TEST(ClassSample, LeavesAnImageThatFitsAsItIs) {
  const Image image = numbered(8, 8);
  AugmentOptions o = input_of(8, 8);
  o.min_crop = o.max_crop = 8;
  const Image same = made(crop_of(image, o, 1), image, o);
  for (size_t i = 0; i < 64; ++i) EXPECT_NEAR(same.pixels[i], image.pixels[i], 1e-6f) << i;
}

// Of 12 x 8 pixels a window of 8 x 8 somewhere within, mirrored or not: rows and columns keep their distance.
TEST(ClassSample, MovesAWindowWithinTheImage) {
  const Image image = numbered(12, 8);
  AugmentOptions o = input_of(8, 8);
  o.min_crop = o.max_crop = 8;
  o.flip = true;
  float least = 99, most = -99;
  int mirrored = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const Image out = made(crop_of(image, o, seed), image, o);
    const float first = 255 * out.at(0, 0, 0), last = 255 * out.at(0, 7, 0);
    EXPECT_NEAR(std::abs(last - first), 7, 1e-3f);
    EXPECT_NEAR(255 * out.at(5, 0, 0) - first, 60, 1e-3f);
    mirrored += last < first;
    least = std::min({least, first, last});
    most = std::max({most, first, last});
  }
  EXPECT_GE(least, -1e-3f);  // never beyond the image's edges, where pixels would repeat,
  EXPECT_LE(most, 11 + 1e-3f);
  EXPECT_LT(least, .5f);  // and as far as to them: 100 draws out of four pixels
  EXPECT_GT(most, 10.5f);
  EXPECT_GT(mirrored, 30);
  EXPECT_LT(mirrored, 70);
}

// The larger the crop, the smaller what is seen of the image.
TEST(ClassSample, ScalesTheShorterSideToTheCrop) {
  const Image image = numbered(12, 8);
  AugmentOptions o = input_of(8, 8);
  o.min_crop = o.max_crop = 16;
  const Image out = made(crop_of(image, o, 3), image, o);
  EXPECT_NEAR(255 * (out.at(4, 5, 0) - out.at(4, 4, 0)), .5f, 1e-3f);
  EXPECT_NEAR(255 * (out.at(5, 4, 0) - out.at(4, 4, 0)), 6, 1e-2f);
}

// A turn by 90 degrees, drawn by a range that has hardly another.
TEST(ClassSample, TurnsAboutTheMiddle) {
  const Image image = numbered(9, 9);
  AugmentOptions o = input_of(9, 9);
  o.min_crop = o.max_crop = 9;
  o.angle = 180;
  SamplePart part = crop_of(image, o, 5);
  const float c = part.turn.xx, s = part.turn.yx;
  EXPECT_NEAR(c * c + s * s, 1, 1e-5f);
  EXPECT_NEAR(part.turn.xy, -s, 1e-6f);
  EXPECT_NEAR(part.turn.yy, c, 1e-6f);
  EXPECT_NEAR(made(part, image, o).at(4, 4, 0), image.at(4, 4, 0), 1e-5f);
}

TEST(ClassSample, StretchesTheAspectRatioEitherWay) {
  const Image image = numbered(16, 16);
  AugmentOptions o = input_of(16, 16);
  o.min_crop = o.max_crop = 16;
  o.aspect = 2;
  bool wider = false, taller = false;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Affine turn = crop_of(image, o, seed).turn;
    const float ratio = turn.xx / turn.yy;
    EXPECT_GE(ratio, .5f - 1e-5f);
    EXPECT_LE(ratio, 2 + 1e-5f);
    EXPECT_LE(std::max(turn.xx, turn.yy), 1 + 1e-5f);  // never more than the image
    wider |= ratio > 1.2f;
    taller |= ratio < 1 / 1.2f;
  }
  EXPECT_TRUE(wider && taller);
}

// Grey images of 0, 1/3, 2/3 and 1, of the classes 0 to 3: the mean pixel tells the shares of the target.
TEST(ClassSample, TargetsAreTheSharesOfWhatIsSeen) {
  std::array<Image, 4> images;
  std::array<Labelled, 4> labelled;
  const std::array<int, 4> classes = {0, 1, 2, 3};
  for (size_t i = 0; i < 4; ++i) {
    images[i] = Image(10, 12, 1, float(i) / 3);
    labelled[i] = {10, 12, {}, {}, std::span(&classes[i], 1)};
  }
  const AugmentOptions o = input_of(20, 30);
  for (const ClassMix mix : {ClassMix::none, ClassMix::mean, ClassMix::paste, ClassMix::mosaic})
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Random random(seed, Purpose::augment);
      const Described sample = describe_class(labelled, mix, o, 4, random);
      Image out(20, 30, 1, NAN);
      render(sample.plan, images, 20, 30, out.pixels.data());
      const float mean = std::accumulate(out.pixels.begin(), out.pixels.end(), 0.f) / 600;
      float expected = 0, sum = 0;
      for (size_t i = 0; i < 4; ++i) {
        expected += sample.classes[i] * float(i) / 3;
        sum += sample.classes[i];
      }
      EXPECT_NEAR(mean, expected, 1e-4f) << int(mix);
      EXPECT_NEAR(sum, 1, 1e-5f);
      EXPECT_EQ(sample.classes[1] > 0, mix != ClassMix::none);
      if (mix == ClassMix::mean) {
        EXPECT_EQ(sample.classes[1], .5f);
      }
      if (mix == ClassMix::paste) {  // 30 to 80 % of each side, less a pixel
        EXPECT_GE(sample.classes[0], .25f * .28f);
        EXPECT_LE(sample.classes[0], .64f);
      }
    }
}

TEST(ClassSample, SmoothingTakesFromTheTrueClassForTheOthers) {
  const int two = 2;
  const Labelled image{8, 8, {}, {}, std::span(&two, 1)};
  AugmentOptions o = input_of(8, 8);
  o.label_smoothing = .1f;
  Random random(1, Purpose::augment);
  const std::vector<float> targets =
      describe_class(std::span(&image, 1), ClassMix::none, o, 5, random).classes;
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(targets[i], i == 2 ? .9f : .025f, 1e-7f);
}

TEST(ClassSample, MixesHalfOfTheSamplesInTheWaysThatAreOn) {
  AugmentOptions o = input_of(8, 8);
  std::array<int, 4> counts{};
  const auto count = [&] {
    counts = {};
    Random random(4, Purpose::augment);
    for (int i = 0; i < 400; ++i) ++counts[size_t(draw_class_mix(o, random))];
  };
  count();
  EXPECT_EQ(counts[0], 400);
  o.cutmix = true;
  count();
  EXPECT_NEAR(counts[0], 200, 40);  // four standard deviations
  EXPECT_EQ(counts[0] + counts[size_t(ClassMix::paste)], 400);
  o.mosaic = true;
  count();
  EXPECT_NEAR(counts[0], 200, 40);
  EXPECT_NEAR(counts[size_t(ClassMix::mosaic)], 100, 35);
}

// One flat image of each class: the batch's targets name the image that is seen.
TEST(ClassSample, TheLoaderGivesTargetsForAnyNumberOfThreads) {
  Temporary folder;
  Dataset set;
  for (int i = 0; i < 5; ++i) {
    Sample sample;
    sample.image = folder / fmt::format("{}.png", i);
    save_image(sample.image, Image(20, 18, 3, float(i) / 5));
    sample.classes = {i};
    set.samples.push_back(sample);
  }
  LoaderOptions o;
  o.batch = 3;
  o.width = o.height = 16;
  o.classes = 5;
  o.seed = 3;
  o.augment.mixup = o.augment.cutmix = o.augment.mosaic = true;
  for (const bool described : {false, true}) {
    o.described = described;
    o.threads = 1;
    Loader one(set, o);
    o.threads = 4;
    Loader four(set, o);
    for (int step = 0; step < 8; ++step) {
      const Batch &a = one.next(), &b = four.next();
      EXPECT_EQ(a.images, b.images);
      EXPECT_EQ(a.bytes, b.bytes);
      ASSERT_EQ(a.targets, b.targets);
      ASSERT_EQ(a.targets.size(), 15u);
      for (size_t n = 0; n < 3 && !described; ++n) {
        float expected = 0, mean = 0;
        for (size_t k = 0; k < 5; ++k) expected += a.targets[n * 5 + k] * float(k) / 5;
        for (size_t i = 0; i < 768; ++i) mean += a.images[n * 768 + i] / 768;
        EXPECT_NEAR(mean, expected, 1e-4f);
      }
    }
  }
}

}  // namespace
}  // namespace osprey
