// Images of 16 bits and of any number of channels: PNG, PNM, arrays, and what their channels become.
#include <gtest/gtest.h>

#include "core/npy.h"
#include "data/loader.h"
#include "data/render.h"
#include "data/tiles.h"
#include "tests/data/deep_images.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

void expect_equal(const ByteImage& image, const ByteImage& want) {
  EXPECT_EQ(image.width, want.width);
  EXPECT_EQ(image.height, want.height);
  EXPECT_EQ(image.channels, want.channels);
  EXPECT_EQ(image.value_bytes, want.value_bytes);
  EXPECT_EQ(image.pixels, want.pixels);
}

TEST(DeepImage, EveryValueOf16BitsIsItself) {
  ByteImage all{256, 256, 1, {}, 2};
  for (int i = 0; i < 65536; ++i) all.pixels.insert(all.pixels.end(), {uint8_t(i), uint8_t(i >> 8)});
  const Image units = unit_image(all);
  for (int i = 0; i < 65536; ++i) {
    ASSERT_EQ(unit_value(uint16_t(i)), float(i / 65535.)) << i;
    ASSERT_EQ(units.pixels[size_t(i)], unit_value(uint16_t(i))) << i;
  }
  expect_equal(rounded(units, 2), all);
}

TEST(DeepImage, PngKeeps16Bits) {
  Temporary folder;
  for (int channels = 1; channels <= 4; ++channels) {
    const ByteImage image = random_image(7, 5, channels, 2);
    const std::string path = folder.write("a.png", wide_png(image));
    EXPECT_EQ(image_size(path), std::pair(7, 5));
    expect_equal(load_bytes(path, channels), image);
    expect_equal(load_bytes(path, 0), image);
  }
  const ByteImage grey = random_image(7, 5, 1, 2);
  const Image three = load_image(folder.write("a.png", wide_png(grey)));
  for (size_t i = 0; i < three.pixels.size(); ++i)
    EXPECT_EQ(three.pixels[i], unit_image(grey).pixels[i / 3]) << i;
  const std::string whole = wide_png(random_image(40, 30, 3, 2));
  for (size_t length = 0; length < whole.size(); length += 97)
    EXPECT_THROW(load_image(folder.write("cut.png", whole.substr(0, length))), Error) << length;
}

TEST(DeepImage, PnmKeeps16BitsOfAnyLargestValue) {
  Temporary folder;
  for (const int channels : {1, 3}) {
    const ByteImage image = random_image(7, 5, channels, 2);
    const std::string head = channels == 3 ? "P6\n# deep\n7 5\n65535\n" : "P5 7 5 65535 ";
    expect_equal(load_bytes(folder.write("a.pnm", head + swapped(image)), channels), image);
    expect_in("the image is cut short", error_of([&] {
                load_bytes(folder.write("a.pnm", head + swapped(image).substr(1)), channels);
              }));
  }
  const std::string ten_bits = folder.write("b.pgm", std::string("P5 3 1 1023\n\0\0\x01\xff\x03\xff", 18));
  const Image image = load_image(ten_bits, 1);
  EXPECT_EQ(image.pixels[0], 0);
  EXPECT_NEAR(image.pixels[1], 511 / 1023., .5 / 65535);  // rounded to 16 bits
  EXPECT_EQ(image.pixels[2], 1);
}

TEST(DeepImage, ArraysAreImages) {
  Temporary folder;
  for (const int value_bytes : {1, 2})
    for (const int channels : {1, 3, 6, 64}) {
      const ByteImage image = random_image(7, 5, channels, value_bytes);
      save_array(folder / "a.npy", image);
      expect_equal(load_bytes(folder / "a.npy", channels), image);
      EXPECT_EQ(image_size(folder / "a.npy"), std::pair(7, 5));
    }
  const ByteImage grey = random_image(7, 5, 1, 2);
  write_npy(folder / "flat.npy", {{5, 7}, "<u2", {grey.pixels.begin(), grey.pixels.end()}});
  expect_equal(load_bytes(folder / "flat.npy", 1), grey);
  EXPECT_TRUE(is_image_name("a.NPY"));

  const auto refused = [&](const std::vector<int>& shape, const std::string& type, size_t bytes,
                           const char* part) {
    write_npy(folder / "b.npy", {shape, type, std::vector<char>(bytes)});
    expect_in(std::string("b.npy: ") + part, error_of([&] { load_bytes(folder / "b.npy", 0); }));
  };
  refused({2, 2}, "<f4", 16, "an image is an array of uint8 or uint16 (|u1, <u2), not of type <f4");
  refused({4}, "|u1", 4, "an image has the shape (H,W) or (H,W,C), not (4)");
  refused({1, 1, 65}, "|u1", 65, "an image of 65 channels; 1 to 64 are read");
  refused({0, 3}, "|u1", 0, "an image of 3x0");
  save_array(folder / "c.npy", grey);
  std::string cut;
  std::getline(std::ifstream(folder / "c.npy", std::ios::binary), cut, '\0');
  expect_in("c.npy", error_of([&] { load_bytes(folder.write("c.npy", cut), 1); }));
}

// Grey and RGB become each other and alpha is dropped, as in PNG; nothing else is guessed.
TEST(DeepImage, ChannelsAreAsTheNetworkTakesThem) {
  Temporary folder;
  const ByteImage colour{1, 1, 3, {10, 200, 60}}, clear{1, 1, 4, {10, 200, 60, 5}}, grey{1, 1, 1, {7}};
  save_array(folder / "colour.npy", colour);
  save_array(folder / "clear.npy", clear);
  save_array(folder / "grey.npy", grey);
  save_array(folder / "six.npy", random_image(2, 2, 6, 2));
  save_image(folder / "colour.png", unit_image(colour));
  save_image(folder / "grey.png", unit_image(grey));
  EXPECT_EQ(load_bytes(folder / "colour.npy", 1).pixels, load_bytes(folder / "colour.png", 1).pixels);
  EXPECT_EQ(load_bytes(folder / "clear.npy", 3).pixels, colour.pixels);
  EXPECT_EQ(load_bytes(folder / "grey.npy", 3).pixels, (std::vector<uint8_t>{7, 7, 7}));
  EXPECT_EQ(load_bytes(folder / "grey.png", 0).channels, 1);
  const auto refused = [&](const char* name, int channels, const char* part) {
    expect_in(part, error_of([&] { load_bytes(folder / name, channels); }));
  };
  refused("six.npy", 3, "six.npy: the image has 6 channels, but the network takes 3 (channels=3 in [net])");
  refused("grey.npy", 6, "the image has 1 channel, but the network takes 6");
  refused("grey.npy", 4, "the image has 1 channel, but the network takes 4");
  refused("colour.png", 6, "the image has 3 channels, but the network takes 6");
  refused("grey.png", 65, "an image is read with 1 to 64 channels, not 65");
}

// A grey of 16 bits made of colours has their weights, to the rounding down of one value.
TEST(DeepImage, GreyOf16Bits) {
  Temporary folder;
  const ByteImage colour = random_image(9, 4, 3, 2);
  save_array(folder / "a.npy", colour);
  const Image grey = load_image(folder / "a.npy", 1), rgb = unit_image(colour);
  for (size_t i = 0; i < grey.pixels.size(); ++i)
    EXPECT_NEAR(grey.pixels[i],
                (77 * rgb.pixels[3 * i] + 150 * rgb.pixels[3 * i + 1] + 29 * rgb.pixels[3 * i + 2]) / 256,
                1.01 / 65535);
}

TEST(DeepImage, EyesSeeTheFirstChannels) {
  Image six(2, 1, 6);
  for (size_t i = 0; i < six.pixels.size(); ++i) six.pixels[i] = float(i) / 12;
  const Image seen = visible(six);
  EXPECT_EQ(seen.channels, 3);
  EXPECT_EQ(seen.pixels, (std::vector<float>{0, 1 / 12.f, 2 / 12.f, 6 / 12.f, 7 / 12.f, 8 / 12.f}));
  EXPECT_EQ(visible(Image(2, 2, 2, .5f)).channels, 1);
  Temporary folder;
  expect_in("written with 1 to 4 channels, not 6", error_of([&] { save_image(folder / "a.png", six); }));
}

TEST(DeepImage, TilesKeepEachValue) {
  Temporary folder;
  const ByteImage image = random_image(50, 30, 6, 2);
  save_array(folder / "a.npy", image);
  Dataset set;
  set.samples.push_back({});
  set.samples[0].image = folder / "a.npy";
  set.samples[0].labels = {Label{0, {.2f, .5f, .1f, .1f}, false, false, 0}};
  write_tiles(set, {30, 0}, false, folder / "out", "train");
  expect_equal(load_bytes(folder / "out/train/a_0_0.npy", 6), piece_of(image, {0, 0, 30, 30}));
}

// Images of both depths in one batch, as a device is given them: they begin where their values may lie, and
// what is read there is the image.
TEST(DeepImage, BothDepthsInABatch) {
  Temporary folder;
  Dataset set;
  std::vector<ByteImage> images;
  for (int i = 0; i < 4; ++i) {
    Sample sample;
    sample.image = folder / fmt::format("{}.npy", i);
    images.push_back(random_image(5, 3, 5, i % 2 ? 2 : 1, uint64_t(i)));  // 75 bytes, or 150
    save_array(sample.image, images.back());
    sample.labels = {Label{i, {.5f, .5f, .4f, .4f}, false, false, 0}};
    set.samples.push_back(sample);
  }
  LoaderOptions o;
  o.batch = 4;
  o.width = 5;
  o.height = 3;
  o.channels = 5;
  o.described = true;
  o.shuffle = false;
  Loader loader(set, o);
  const Batch& batch = loader.next();
  for (size_t i = 0; i < 4; ++i) {
    const SamplePart& part = batch.plans[i].part[0];
    EXPECT_EQ(part.offset % 2, 0) << i;
    EXPECT_EQ(part.value_bytes, images[i].value_bytes) << i;
    const std::vector<uint8_t>& pixels = images[i].pixels;
    ASSERT_LE(size_t(part.offset) + pixels.size(), batch.bytes.size());
    EXPECT_TRUE(std::equal(pixels.begin(), pixels.end(), batch.bytes.begin() + part.offset)) << i;
  }
}

}  // namespace
}  // namespace osprey
