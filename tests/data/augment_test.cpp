#include "data/augment.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/render.h"
#include "tests/data/deep_images.h"
#include "tests/data/drawing.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

AugmentOptions strong(int width, int height) {
  AugmentOptions o = input_of(width, height);
  o.jitter = .3f;
  o.resize = 1.5f;
  o.hue = .1f;
  o.saturation = o.exposure = 1.5f;
  o.flip = true;
  return o;
}

// A red rectangle on black, and its label.
struct Scene {
  Image image;
  std::vector<Label> labels;
};
Scene scene(int width, int height, int x1, int y1, int x2, int y2) {
  Scene s{Image(width, height, 3), {Label{}}};
  for (int y = y1; y < y2; ++y)
    for (int x = x1; x < x2; ++x) s.image.at(y, x, 0) = 1;
  s.labels[0].class_id = 3;
  s.labels[0].box =
      centre(scaled({float(x1), float(y1), float(x2), float(y2)}, 1.f / float(width), 1.f / float(height)));
  return s;
}

// A sample and its pixels.
std::vector<Truth> augment(const Image& image, std::span<const Label> labels, const AugmentOptions& o,
                           Random& random, float* pixels) {
  const Described sample = describe({image.width, image.height, labels}, o, random);
  render(sample.plan, std::span(&image, 1), o.width, o.height, pixels);
  return sample.truths;
}

std::vector<Truth> mosaic(const std::array<Image, 4>& images, const std::array<std::vector<Label>, 4>& labels,
                          const AugmentOptions& o, Random& random, float* pixels) {
  std::array<Labelled, 4> labelled;
  for (size_t i = 0; i < 4; ++i) labelled[i] = {images[i].width, images[i].height, labels[i]};
  const Described sample = describe_mosaic(labelled, o, random);
  render(sample.plan, images, o.width, o.height, pixels);
  return sample.truths;
}

Image blank(const AugmentOptions& o) { return Image(o.width, o.height, 3, -1); }

// Bounds of the pixels whose strongest channel is at least half of the strongest one's.
Box bright_bounds(const Image& image) {
  const auto light = [&](int y, int x) {
    return std::max({image.at(y, x, 0), image.at(y, x, 1), image.at(y, x, 2)});
  };
  float most = 0;
  for (const float v : image.pixels) most = std::max(most, v);
  Box box = {float(image.width), float(image.height), 0, 0};
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      if (light(y, x) >= most / 2 && most > .1f)
        box = enclosing(box, {float(x), float(y), float(x + 1), float(y + 1)});
  return box;
}

void expect_close(const CentreBox& truth, const Box& drawn, const AugmentOptions& o, float pixels) {
  const Box box = scaled(corners(truth), float(o.width), float(o.height));
  EXPECT_NEAR(box.x1, drawn.x1, pixels);
  EXPECT_NEAR(box.y1, drawn.y1, pixels);
  EXPECT_NEAR(box.x2, drawn.x2, pixels);
  EXPECT_NEAR(box.y2, drawn.y2, pixels);
}

TEST(Augment, NothingAskedForIsAPlainResize) {
  const Scene s = scene(37, 29, 10, 8, 25, 20);
  AugmentOptions o;
  o.width = 64;
  o.height = 48;
  for (const bool letter_box : {false, true}) {
    o.letter_box = letter_box;
    Image out = blank(o);
    Random random(1, Purpose::augment);
    const std::vector<Truth> truths = augment(s.image, s.labels, o, random, out.pixels.data());
    EXPECT_EQ(out.pixels, fit(s.image, 64, 48, letter_box ? Fit::letterbox : Fit::stretch).pixels);
    ASSERT_EQ(truths.size(), 1u);
    const CentreBox expected =
        fitted(letter_box ? Fit::letterbox : Fit::stretch, 37, 29, 64, 48).to_network(s.labels[0].box);
    EXPECT_NEAR(truths[0].box.x, expected.x, 1e-6f);  // a few roundings of numbers below 1
    EXPECT_NEAR(truths[0].box.h, expected.h, 1e-6f);
    EXPECT_EQ(truths[0].class_id, 3);
  }
}

// Corner-aligned resizing displaces pixels by up to half the zoom at the image's edge: two pixels at most
// here.
TEST(Augment, BoxesFollowThePixels) {
  const Scene s = scene(100, 80, 40, 30, 70, 60);
  for (const bool letter_box : {false, true}) {
    AugmentOptions o = strong(96, 128);
    o.letter_box = letter_box;
    int mirrored = 0;
    for (uint64_t i = 0; i < 200; ++i) {
      Random random(5, Purpose::augment, i), again(5, Purpose::augment, i);
      Image out = blank(o);
      const std::vector<Truth> truths = augment(s.image, s.labels, o, random, out.pixels.data());
      mirrored += draw_crop(o, 100, 80, again).flip;
      for (const float v : out.pixels) ASSERT_TRUE(v >= 0 && v <= 1);
      if (letter_box) continue;  // grey margins would count as bright
      ASSERT_EQ(truths.size(), 1u) << i;
      expect_close(truths[0].box, bright_bounds(out), o, 2);
    }
    EXPECT_GT(mirrored, 60);  // of 200 with chance 1/2: 5.7 standard deviations below the mean
    EXPECT_LT(mirrored, 140);
  }
}

TEST(Augment, LetterboxedBoxesFollowThePixels) {
  const Scene s = scene(100, 60, 40, 20, 70, 45);
  AugmentOptions o = strong(96, 96);
  o.letter_box = true;
  o.hue = 0;
  o.saturation = o.exposure = 1;
  for (uint64_t i = 0; i < 100; ++i) {
    Random random(6, Purpose::augment, i);
    Image out = blank(o);
    const std::vector<Truth> truths = augment(s.image, s.labels, o, random, out.pixels.data());
    for (float& v : out.pixels) v = v == .5f ? 0 : v;
    // The margin's grey is gone; green and blue are black.
    ASSERT_EQ(truths.size(), 1u);
    expect_close(truths[0].box, bright_bounds(out), o, 2.5f);  // half a pixel more: see Letterbox
  }
}

TEST(Augment, IsAFunctionOfItsNumbers) {
  const Scene s = scene(60, 40, 10, 10, 30, 30);
  const AugmentOptions o = strong(64, 64);
  const auto once = [&](uint64_t step) {
    Random random(9, Purpose::augment, step, 4);
    Image out = blank(o);
    augment(s.image, s.labels, o, random, out.pixels.data());
    return out.pixels;
  };
  EXPECT_EQ(once(1), once(1));
  EXPECT_NE(once(1), once(2));
}

TEST(Augment, DrawsStayInTheirBounds) {
  AugmentOptions o = strong(64, 64);
  o.resize = 1;
  for (uint64_t i = 0; i < 500; ++i) {
    Random random(2, Purpose::augment, i);
    const Crop c = draw_crop(o, 100, 50, random);
    EXPECT_LE(std::abs(c.left), 30);
    EXPECT_LE(std::abs(c.bottom), 15);
    EXPECT_LE(std::abs(c.colour.hue), .1f);
    EXPECT_GE(c.colour.exposure, 1 / 1.5f - 1e-6f);
    EXPECT_LE(c.colour.exposure, 1.5f);
  }
  o.jitter = 0;
  o.resize = .5f;  // zooms out only: half of the image's size on each side at most
  for (uint64_t i = 0; i < 100; ++i) {
    Random random(2, Purpose::augment, i);
    const Crop c = draw_crop(o, 100, 50, random);
    EXPECT_LE(c.left, 0);
    EXPECT_GE(c.left, -50);
  }
}

TEST(Augment, BoxesOutsideOrBelowAPixelAreDropped) {
  Scene s = scene(100, 100, 40, 40, 60, 60);
  s.labels.resize(4);
  s.labels[1].box = {.5f, .5f, .01f, .5f};    // 0.32 pixels wide at 32
  s.labels[2].box = {.05f, .5f, .32f, .32f};  // cut at the edge: 0 .. 0.21
  s.labels[3].box = {.0f, .0f, 0, 0};
  AugmentOptions o;
  o.width = o.height = 32;
  Image out = blank(o);
  Random random(1, Purpose::augment);
  std::vector<Truth> truths = augment(s.image, s.labels, o, random, out.pixels.data());
  ASSERT_EQ(truths.size(), 2u);
  std::sort(truths.begin(), truths.end(), [](const Truth& a, const Truth& b) { return a.box.x < b.box.x; });
  EXPECT_NEAR(truths[0].box.w, .21f, 1e-6f);
  EXPECT_NEAR(truths[0].box.x, .105f, 1e-6f);
  o.max_boxes = 1;
  EXPECT_EQ(augment(s.image, s.labels, o, random, out.pixels.data()).size(), 1u);
}

TEST(Augment, ChecksItsOptions) {
  AugmentOptions o = strong(64, 64);
  check(o);
  o.letter_box = o.mosaic = true;
  expect_in("mosaic=1 and letter_box=1", error_of([&] { check(o); }));
  o = strong(0, 64);
  expect_in("0x64", error_of([&] { check(o); }));
  o = strong(8, 8);
  o.saturation = 0;
  expect_in("saturation", error_of([&] { check(o); }));
  o = strong(8, 8);
  o.jitter = std::nanf("");
  expect_in("jitter", error_of([&] { check(o); }));
}

// Without jitter the quarters are the images' own parts around the cut, and every pixel is accounted for.
TEST(Mosaic, QuartersShowTheirImages) {
  AugmentOptions o;
  o.width = 60;
  o.height = 40;
  o.mosaic = true;
  std::array<Image, 4> images;
  std::array<std::vector<Label>, 4> labels;
  for (int i = 0; i < 4; ++i) {
    images[size_t(i)] = Image(60, 40, 3, .2f * float(i + 1));
    labels[size_t(i)] = {Label{i, {.5f, .5f, 1, 1}, false, false, 0}};
  }
  for (const bool bound : {false, true}) {
    o.mosaic_bound = bound;
    for (uint64_t n = 0; n < 50; ++n) {
      Random random(3, Purpose::augment, n);
      Image out = blank(o);
      const std::vector<Truth> truths = mosaic(images, labels, o, random, out.pixels.data());
      int cut_x = 0, cut_y = 0;
      while (out.at(0, cut_x, 0) == .2f) ++cut_x;
      while (out.at(cut_y, 0, 0) == .2f) ++cut_y;
      EXPECT_TRUE(cut_x >= 12 && cut_x <= 48 && cut_y >= 8 && cut_y <= 32) << cut_x << " " << cut_y;
      for (int y = 0; y < 40; ++y)
        for (int x = 0; x < 60; ++x)
          ASSERT_EQ(out.at(y, x, 1), .2f * float(1 + (x >= cut_x) + 2 * (y >= cut_y)));
      if (!bound) continue;
      // The label covers its whole image, so it must bound the quarter.
      ASSERT_EQ(truths.size(), 4u);
      for (const Truth& t : truths) {
        const bool west = t.class_id % 2 == 0, north = t.class_id < 2;
        const Box quarter = {west ? 0.f : float(cut_x), north ? 0.f : float(cut_y),
                             west ? float(cut_x) : 60.f, north ? float(cut_y) : 40.f};
        expect_close(t.box, quarter, o, 1.001f);  // edges are cut off to whole pixels
      }
    }
  }
}

TEST(Mosaic, BoxesFollowThePixelsUnderJitter) {
  AugmentOptions o = strong(120, 120);
  o.mosaic = o.mosaic_bound = true;
  const Scene bright = scene(90, 110, 20, 20, 70, 80), dark = scene(90, 110, 0, 0, 0, 0);
  int seen = 0;
  for (uint64_t n = 0; n < 200; ++n) {
    const int which = int(n % 4);
    std::array<Image, 4> images;
    std::array<std::vector<Label>, 4> labels;
    images.fill(dark.image);
    images[size_t(which)] = bright.image;
    labels[size_t(which)] = bright.labels;
    Random random(4, Purpose::augment, n);
    Image out = blank(o);
    const std::vector<Truth> truths = mosaic(images, labels, o, random, out.pixels.data());
    if (truths.empty()) continue;
    ++seen;
    expect_close(truths[0].box, bright_bounds(out), o, 3);  // two of resizing, one of whole pixels
  }
  EXPECT_GT(seen, 150);
}

// Darknet divides in double and rounds once.
TEST(Sample, BytesAreDarknetsNumbers) {
  for (int byte = 0; byte < 256; ++byte) EXPECT_EQ(unit_value(uint8_t(byte)), float(byte / 255.)) << byte;
}

// What pack() keeps of the images makes the same pixels as the whole images: nothing that is read is left
// out.
TEST(Sample, PackedPartsMakeTheSamePixels) {
  const std::pair<int, int> sizes[] = {{1, 1}, {2, 3}, {37, 29}, {100, 7}, {8, 64}};
  size_t packed = 0, whole = 0;
  for (uint64_t n = 0; n < 300; ++n) {
    AugmentOptions o = strong(n % 3 ? 24 : 33, n % 5 ? 16 : 1);
    o.jitter = n % 4 ? .3f : 1.5f;  // crops that leave the image
    o.letter_box = n % 7 == 0;
    Random random(8, Purpose::augment, n);
    std::array<ByteImage, 4> bytes;
    std::array<Image, 4> units;
    std::array<Labelled, 4> labelled;
    for (size_t i = 0; i < 4; ++i) {
      const auto [width, height] = sizes[(n + i) % 5];
      bytes[i] = random_image(width, height, 3, 1, n * 4 + i);
      units[i] = unit_image(bytes[i]);
      labelled[i] = {width, height, {}};
    }
    Described sample =
        n % 2 && !o.letter_box ? describe_mosaic(labelled, o, random) : describe(labelled[0], o, random);
    Image want = blank(o), got = blank(o);
    render(sample.plan, units, o.width, o.height, want.pixels.data());
    render(sample.plan, bytes, o.width, o.height, got.pixels.data());
    ASSERT_EQ(got.pixels, want.pixels) << n;
    std::vector<uint8_t> buffer;
    for (int k = 0; k < sample.plan.parts; ++k) {
      SamplePart& part = sample.plan.part[k];
      pack(part, bytes[size_t(k)], buffer);
      const size_t count = size_t(part.image_width) * size_t(part.image_height) * 3;
      ASSERT_EQ(buffer.size(), size_t(part.offset) + count);
      const auto begin = buffer.begin() + ptrdiff_t(part.offset);
      units[size_t(k)] = unit_image(
          {part.image_height, part.image_width, 3, std::vector<uint8_t>(begin, begin + ptrdiff_t(count))});
      whole += bytes[size_t(k)].pixels.size();
    }
    packed += buffer.size();
    render(sample.plan, units, o.width, o.height, got.pixels.data());
    ASSERT_EQ(got.pixels, want.pixels) << n;
  }
  EXPECT_LT(packed, whole * 2 / 3);  // quarters of a mosaic need about a quarter
}

}  // namespace
}  // namespace osprey
