#include "data/synth.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "data/draw.h"
#include "data/synth_shapes.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

TEST(Synth, ASceneIsAFunctionOfSeedAndIndex) {
  SynthOptions o;
  o.width = 96;
  o.height = 64;
  const SynthScene a = draw_scene(o, 5), b = draw_scene(o, 5), c = draw_scene(o, 6);
  EXPECT_EQ(a.image.pixels, b.image.pixels);
  EXPECT_NE(a.image.pixels, c.image.pixels);
  o.seed = 2;
  EXPECT_NE(a.image.pixels, draw_scene(o, 5).image.pixels);
}

TEST(Synth, ScenesHoldWhatIsAskedFor) {
  const SynthOptions o;
  std::vector<int> count(synth_names().size());
  int total = 0, small = 0;
  for (int i = 0; i < 60; ++i) {
    const SynthScene scene = draw_scene(o, i);
    total += int(scene.labels.size());
    for (const Label& l : scene.labels) {
      ++count[size_t(l.class_id)];
      const Box box = scaled(corners(l.box), 256, 256);
      small += area(box) < 16 * 16;
      ASSERT_TRUE(box.x1 >= 0 && box.y1 >= 0 && box.x2 <= 256 && box.y2 <= 256);
      ASSERT_GE(std::max(box.width(), box.height()), 5);
      ASSERT_LE(box.width(), 58);
    }
  }
  EXPECT_GT(total, 60 * 6);
  EXPECT_LE(total, 60 * 12);
  EXPECT_GT(small, 20);
  for (const int n : count) EXPECT_GT(n, total / 20);  // no kind is rare
}

TEST(Synth, TinyScenesHoldManyTinyObjects) {
  const SynthOptions o = synth_options(SynthKind::tiny);
  std::vector<int> count(synth_names().size());
  int total = 0, of_size[13] = {};
  for (int i = 0; i < 40; ++i) {
    const SynthScene scene = draw_scene(o, i);
    total += int(scene.labels.size());
    for (const Label& l : scene.labels) {
      ++count[size_t(l.class_id)];
      const Box box = scaled(corners(l.box), 256, 256);
      const int longest = int(std::lround(std::max(box.width(), box.height())));
      ASSERT_GE(longest, 3) << "scene " << i;  // drawn with 4 or more, which a turned one need not fill
      ASSERT_LE(longest, 12) << "scene " << i;
      ++of_size[longest];
    }
  }
  EXPECT_GT(total, 40 * 18);  // of 20 to 40; a few find no place
  EXPECT_LE(total, 40 * 40);
  for (int size = 4; size <= 11; ++size) EXPECT_GT(of_size[size], total / 50) << size << " pixels";
  for (const int n : count) EXPECT_GT(n, total / 20);  // no kind is rare
  SynthOptions usual = o;
  usual.kind = SynthKind::usual;
  EXPECT_NE(draw_scene(o, 3).image.pixels, draw_scene(usual, 3).image.pixels);
}

// Drawn alone on a grey ground: what changed by more than half of the paint's share is what the box bounds.
TEST(Synth, BoxesAreTight) {
  Random random(3, Purpose::test);
  for (int i = 0; i < 200; ++i) {
    Shape shape = draw_thing(Thing(i % 5), random);
    for (Part& part : shape) part.colour = {1, 1, 1};  // so that the change tells the share
    Image image(80, 80, 3, 0);
    const Pose pose = {random.uniform(36, 44), random.uniform(36, 44), random.uniform(6, 56),
                       random.uniform(0, 6.28f)};
    const Box box = paint(image, shape, pose, {0, 0});
    Box drawn = {80, 80, 0, 0}, touched = drawn;
    for (int y = 0; y < 80; ++y)
      for (int x = 0; x < 80; ++x) {
        const Box pixel = {float(x), float(y), float(x + 1), float(y + 1)};
        if (image.at(y, x, 0) >= .75f) drawn = enclosing(drawn, pixel);
        if (image.at(y, x, 0) > 0) touched = enclosing(touched, pixel);
      }
    // Overlapping parts add up, so the box lies between the clearly covered and the barely touched pixels.
    EXPECT_EQ(enclosing(box, drawn).width(), box.width()) << i;
    EXPECT_EQ(enclosing(box, drawn).height(), box.height()) << i;
    EXPECT_EQ(enclosing(box, touched).width(), touched.width()) << i;
    // Two soft pixels on each side: a pointed bow or wing tip is thinner than half a pixel before it ends.
    EXPECT_LE(touched.width() - box.width(), 4) << i;
    EXPECT_LE(touched.height() - box.height(), 4) << i;
  }
}

void expect_same(const Dataset& a, const Dataset& b) {
  ASSERT_EQ(a.samples.size(), b.samples.size());
  EXPECT_EQ(a.names, b.names);
  for (size_t i = 0; i < a.samples.size(); ++i) {
    const auto &x = a.samples[i].labels, &y = b.samples[i].labels;
    ASSERT_EQ(x.size(), y.size());
    for (size_t k = 0; k < x.size(); ++k) {
      EXPECT_EQ(x[k].class_id, y[k].class_id);
      EXPECT_NEAR(x[k].box.x, y[k].box.x, 1e-6f);  // text keeps every digit; a few float operations remain
      EXPECT_NEAR(x[k].box.y, y[k].box.y, 1e-6f);
      EXPECT_NEAR(x[k].box.w, y[k].box.w, 1e-6f);
      EXPECT_NEAR(x[k].box.h, y[k].box.h, 1e-6f);
    }
  }
}

TEST(Synth, AllFormatsSayTheSame) {
  Temporary folder;
  SynthOptions o;
  o.images = 6;
  o.valid_images = 3;
  o.width = 160;
  o.height = 128;
  for (const char* format : {"darknet", "voc", "coco"}) {
    o.format = format;
    write_synth(o, folder / format);
  }
  const auto load = [&](const char* format, Split split) {
    return load_dataset(read_data_file(folder / format + "/synth.data"), split, true);
  };
  for (const Split split : {Split::train, Split::valid}) {
    const Dataset darknet = load("darknet", split);
    EXPECT_EQ(darknet.samples.size(), split == Split::train ? 6u : 3u);
    EXPECT_EQ(darknet.names, synth_names());
    expect_same(darknet, load("voc", split));
    expect_same(darknet, load("coco", split));
    const SynthScene scene = draw_scene(o, split == Split::train ? 0 : 6);
    EXPECT_EQ(darknet.samples[0].labels.size(), scene.labels.size());
    EXPECT_EQ(load_image(darknet.samples[0].image).width, 160);
  }
}

TEST(Synth, Messages) {
  SynthOptions o;
  o.format = "yolo";
  expect_in("darknet, voc or coco, not `yolo`", error_of([&] { write_synth(o, "nowhere"); }));
  o = {};
  o.width = 8;
  expect_in("not 8x256", error_of([&] { write_synth(o, "nowhere"); }));
  o = {};
  o.images = 0;
  expect_in("not 0 and 100", error_of([&] { write_synth(o, "nowhere"); }));
  Temporary folder;
  folder.write("file", "");
  expect_in("cannot make the folder", error_of([&] { write_synth({}, folder / "file/set"); }));
}

TEST(Draw, FramesAreWhereTheBoxIs) {
  Image image(100, 80, 3);
  draw_box(image, {10, 30, 50, 60}, {1, 0, 0}, "");
  EXPECT_EQ(image.at(30, 10, 0), 1);
  EXPECT_EQ(image.at(59, 49, 0), 1);
  EXPECT_EQ(image.at(60, 30, 0), 0);
  EXPECT_EQ(image.at(29, 30, 0), 0);
  EXPECT_EQ(image.at(45, 30, 0), 0);
  int red = 0;
  for (int y = 0; y < 80; ++y)
    for (int x = 0; x < 100; ++x) red += image.at(y, x, 0) == 1;
  EXPECT_EQ(red, 2 * 40 + 2 * 30 - 4);
}

TEST(Draw, TextIsDrawnAboveAndAnythingIsCut) {
  Image image(100, 80, 3);
  draw_box(image, {10, 30, 50, 60}, {1, 0, 0}, "ship 0.87");
  int plate = 0, letters = 0;
  for (int y = 19; y < 30; ++y)
    for (int x = 10; x < 50; ++x) (image.at(y, x, 0) == 1 && image.at(y, x, 1) == 0 ? plate : letters) += 1;
  EXPECT_GT(plate, 100);
  EXPECT_GT(letters, 40);
  // Far outside, inside out, not a number, letters that are none, other channel counts: nothing breaks.
  draw_box(image, {-1e30f, -5, 1e30f, 500}, {0, 1, 0}, std::string(3000, 'x'));
  draw_box(image, {50, 50, 20, 20}, {0, 1, 0}, "\xff\x01\n");
  draw_box(image, {0, 0, NAN, 5}, {0, 1, 0}, "x");
  for (const int channels : {1, 4}) {
    Image other(10, 10, channels);
    draw_box(other, {1, 1, 9, 9}, {1, 1, 1}, "x");
    EXPECT_NEAR(other.at(1, 1, 0), 1, 1e-6f);
  }
}

TEST(Draw, ClassColoursDiffer) {
  for (int i = 0; i < 20; ++i) {
    const Rgb a = class_colour(i), b = class_colour(i + 1);
    EXPECT_GT(std::abs(a.r - b.r) + std::abs(a.g - b.g) + std::abs(a.b - b.b), .3f);
  }
}

}  // namespace
}  // namespace osprey
