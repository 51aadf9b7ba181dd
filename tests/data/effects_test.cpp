// Turns, blur, noise and mixup: what they do to pixels and boxes.
#include "data/effects.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/augment.h"
#include "data/loader.h"
#include "data/render.h"
#include "tests/data/drawing.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

// Corners turned one by one, and the box around them.
Box around_corners(const Box& box, double x, double y, double angle) {
  Box all{1e9f, 1e9f, -1e9f, -1e9f};
  for (const double px : {double(box.x1), double(box.x2)})
    for (const double py : {double(box.y1), double(box.y2)}) {
      const double dx = px - x, dy = py - y;
      const float qx = float(x + std::cos(angle) * dx + std::sin(angle) * dy);
      const float qy = float(y - std::sin(angle) * dx + std::cos(angle) * dy);
      all = enclosing(all, {qx, qy, qx, qy});
    }
  return all;
}

TEST(Effects, ATurnedBoxIsTheBoxAroundItsCorners) {
  for (const float angle : {0.f, .1f, -.7f, 1.5707963f, 2.5f}) {
    const Box box{10, 20, 40, 30}, turned = turned_box(box, 32, 18, angle);
    const Box expected = around_corners(box, 32, 18, angle);
    EXPECT_NEAR(turned.x1, expected.x1, 1e-4f) << angle;
    EXPECT_NEAR(turned.y1, expected.y1, 1e-4f);
    EXPECT_NEAR(turned.x2, expected.x2, 1e-4f);
    EXPECT_NEAR(turned.y2, expected.y2, 1e-4f);
  }
}

// A white rectangle on black, turned with all else that detectors have: its box bounds what is bright, up to
// the half pixels of corner-aligned resizing.
TEST(Effects, BoxesFollowTurnedPixels) {
  Image image(120, 90, 3);
  for (int y = 30; y < 55; ++y)
    for (int x = 40; x < 75; ++x)
      for (int c = 0; c < 3; ++c) image.at(y, x, c) = 1;
  Label label;
  label.box = centre(scaled({40, 30, 75, 55}, 1.f / 120, 1.f / 90));
  AugmentOptions o = input_of(96, 128);
  o.jitter = .15f;
  o.flip = true;
  o.angle = 60;
  float most = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed, Purpose::augment), more(seed, Purpose::test);
    const Effects effects = draw_effects(o, more);
    most = std::max(most, std::abs(effects.turn));
    const Described sample = describe({120, 90, std::span(&label, 1)}, o, random, effects);
    Image out(96, 128, 3, NAN);
    render(sample.plan, std::span(&image, 1), 96, 128, out.pixels.data());
    Box bright{96, 128, 0, 0};
    for (int y = 0; y < 128; ++y)
      for (int x = 0; x < 96; ++x)
        if (out.at(y, x, 0) >= .5f)
          bright = enclosing(bright, {float(x), float(y), float(x + 1), float(y + 1)});
    ASSERT_EQ(sample.truths.size(), 1u);
    const Box box = scaled(corners(sample.truths[0].box), 96, 128);
    EXPECT_NEAR(box.x1, bright.x1, 2) << seed;  // corners of a turned rectangle are rounded off
    EXPECT_NEAR(box.y1, bright.y1, 2) << seed;
    EXPECT_NEAR(box.x2, bright.x2, 2) << seed;
    EXPECT_NEAR(box.y2, bright.y2, 2) << seed;
  }
  EXPECT_GT(most, .95f);  // of 60 degrees, 1.047
  EXPECT_LE(most, 1.0472f);
}

// Turned by nothing, the image is what resizing makes of it, but for its last row, which Darknet cuts.
TEST(Effects, ATurnByNothingIsResizing) {
  Image image(7, 6, 1);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = float(i * i % 50) / 50;
  for (const bool flip : {false, true}) {
    SamplePart part;
    part.shown = part.place = {0, 0, 13, 9};
    part.window = {1, -1, 5, 8};
    part.mirror = flip;
    part.image_width = 7;
    part.image_height = 6;
    SamplePlan plain, turned;
    plain.parts = turned.parts = 1;
    plain.part[0] = turned.part[0] = part;
    turn(turned.part[0], 0);
    Image a(13, 9, 1), b(13, 9, 1);
    render(plain, std::span(&image, 1), 13, 9, a.pixels.data());
    render(turned, std::span(&image, 1), 13, 9, b.pixels.data());
    for (int i = 0; i < 13 * 8; ++i) EXPECT_NEAR(a.pixels[size_t(i)], b.pixels[size_t(i)], 1e-5f) << i;
  }
}

TEST(Effects, NoiseHasItsDeviationAndGoesBothWays) {
  double sum = 0, squares = 0, fourth = 0;
  const int count = 100000;
  for (int i = 0; i < count; ++i) {
    const double v = noise_at(77, i);
    sum += v;
    squares += v * v;
    fourth += v * v * v * v;
  }
  EXPECT_NEAR(sum / count, 0, .015);          // five standard deviations of a mean
  EXPECT_NEAR(squares / count, 1, .02);       // likewise
  EXPECT_NEAR(fourth / count, 3 - .15, .15);  // 3 of a normal distribution, less 1.2 / 8 of a sum of eight
  EXPECT_NE(noise_at(77, 0), noise_at(78, 0));
  EXPECT_NE(noise_at(77, 0), noise_at(77, 1));
}

TEST(Effects, HalfOfTheImagesGetNoise) {
  AugmentOptions o = input_of(8, 8);
  o.gaussian_noise = 51;
  o.blur = 5;
  int noisy = 0, kinds[3] = {};
  Random random(1, Purpose::test);
  for (int i = 0; i < 600; ++i) {
    const Effects effects = draw_effects(o, random);
    noisy += effects.noise > 0;
    EXPECT_NEAR(effects.noise, effects.noise > 0 ? .2f : 0, 1e-6f);
    ++kinds[int(effects.blur)];
    EXPECT_EQ(effects.turn, 0);
  }
  EXPECT_NEAR(noisy, 300, 50);  // four standard deviations
  for (const int kind : kinds) EXPECT_NEAR(kind, 200, 50);
}

TEST(Effects, BlurLeavesSmallObjectsSharp) {
  EXPECT_EQ(blur_of(BlurKind::all, 9, {}).side, 9);
  EXPECT_EQ(blur_of(BlurKind::all, 8, {}).side, 9);
  EXPECT_EQ(blur_of(BlurKind::all, 9, {{0, 0, 60, 50}}).side, 5);  // 50 / 8 is 6
  EXPECT_EQ(blur_of(BlurKind::all, 9, {{0, 0, 60, 20}}).side, 0);
  EXPECT_EQ(blur_of(BlurKind::all, 1, {}).side, 0);
  EXPECT_EQ(blur_of(BlurKind::none, 9, {}).side, 0);
  EXPECT_EQ(blur_of(BlurKind::background, 1, {{0, 0, 60, 20}}).side, 17);
}

// A white point spreads over the kernel and keeps its sum; within a box it stays as it is.
TEST(Effects, BlurSpreadsAPointButForBoxes) {
  ByteImage image{21, 21, 1, std::vector<uint8_t>(441)};
  image.pixels[10 * 21 + 10] = 255;
  SamplePart part;
  part.shown = {2, 3, 9, 8};
  part.from_x = 4;
  part.place = part.window = {0, 0, 21, 21};
  part.image_width = part.image_height = 21;
  const SamplePart before = part;
  const ByteImage soft = blurred_canvas(part, image, 21, 21, {5, {}});
  int sum = 0, lit = 0;
  for (const uint8_t v : soft.pixels) sum += v, lit += v > 0;
  EXPECT_NEAR(sum, 255, 12);  // 25 roundings to bytes
  EXPECT_EQ(lit, 25);
  EXPECT_EQ(soft.pixels[10 * 21 + 8], soft.pixels[8 * 21 + 10]);
  EXPECT_LT(soft.pixels[10 * 21 + 8], soft.pixels[10 * 21 + 9]);
  EXPECT_EQ(part.shown.left, 2);  // what is shown of the canvas stays
  EXPECT_EQ(part.from_x, 4);
  SamplePart again = before;
  const ByteImage kept = blurred_canvas(again, image, 21, 21, {5, {{9.5f, 9.5f, 10.5f, 11}}});
  EXPECT_EQ(kept.pixels[10 * 21 + 10], 255);
  EXPECT_GT(kept.pixels[10 * 21 + 12], 0);
}

TEST(Effects, MixupIsTheMeanOfTwoWithTheTruthsOfBoth) {
  std::array<Image, 2> images = {Image(10, 10, 1, .2f), Image(20, 10, 1, .6f)};
  std::array<std::vector<Label>, 2> labels;
  for (size_t i = 0; i < 2; ++i)
    for (int k = 0; k < 3; ++k) labels[i].push_back({int(i), {.5f, .5f, .4f, .4f}});
  AugmentOptions o = input_of(16, 16);
  o.max_boxes = 5;
  Random random(1, Purpose::augment);
  Described first = describe({10, 10, labels[0]}, o, random);
  const Described sample = mean_of(std::move(first), describe({20, 10, labels[1]}, o, random), o);
  Image out(16, 16, 1, NAN);
  render(sample.plan, images, 16, 16, out.pixels.data());
  for (const float v : out.pixels) EXPECT_NEAR(v, .4f, 1e-6f);
  ASSERT_EQ(sample.truths.size(), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(sample.truths[i].class_id, i < 3 ? 0 : 1);
}

// All of it together is a function of the seed and the step, and other draws stay where they were.
TEST(Effects, TheLoaderDrawsThemForAnyNumberOfThreads) {
  Temporary folder;
  Dataset set;
  for (int i = 0; i < 6; ++i) {
    Sample sample;
    sample.image = folder / fmt::format("{}.png", i);
    save_image(sample.image, Image(30 + i, 26, 3, float(i) / 6));
    sample.labels = {Label{i, {.5f, .5f, .4f, .4f}, false, false, 0}};
    set.samples.push_back(sample);
  }
  LoaderOptions o;
  o.batch = 4;
  o.width = o.height = 24;
  o.max_boxes = 9;
  o.augment.jitter = .2f;
  o.augment.flip = true;
  Loader plain(set, o);
  o.augment.mixup = true;
  o.augment.angle = 20;
  o.augment.blur = 3;
  o.augment.gaussian_noise = 20;
  for (const bool mosaic : {false, true})
    for (const bool described : {false, true}) {
      o.augment.mosaic = mosaic;
      o.described = described;
      o.threads = 1;
      Loader one(set, o);
      o.threads = 4;
      Loader four(set, o);
      int mixed = 0;
      for (int step = 0; step < 6; ++step) {
        const Batch &a = one.next(), &b = four.next();
        EXPECT_EQ(a.images, b.images);
        EXPECT_EQ(a.bytes, b.bytes);
        EXPECT_EQ(a.truths, b.truths);
        for (const int count : a.counts) mixed += count > 1;
        if (mosaic || described) continue;
        const Batch& before = plain.next();
        EXPECT_EQ(a.paths, before.paths);
        EXPECT_NE(a.images, before.images);
      }
      EXPECT_GT(mixed, 4);  // of 24, half of which are expected
      EXPECT_TRUE(mosaic || mixed < 20);
    }
}

}  // namespace
}  // namespace osprey
