#include "data/image.h"

#include "data/jpeg_tables.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/file.h"
#include "core/random.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

Image pattern(int width, int height, int channels) {
  Image image(width, height, channels);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = float((i * 37) % 101) / 101.f;
  return image;
}

// Worked out by a program of its own from the formula of Darknet's resize_image, in NumPy's float32, one
// rounding per operation. Equal bits are meant.
TEST(Image, ResizesAsDarknetToTheBit) {
  const std::vector<float> to_7x3 = {0x0.0p+0f,
                                     0x1.7720f40000000p-2f,
                                     0x1.f42bf00000000p-2f,
                                     0x1.8144700000000p-3f,
                                     0x1.4981440000000p-1f,
                                     0x1.5f78d40000000p-2f,
                                     0x1.dc83ce0000000p-2f,
                                     0x1.a9d2600000000p-1f,
                                     0x1.2605100000000p-2f,
                                     0x1.4e93020000000p-1f,
                                     0x1.c4dbb40000000p-2f,
                                     0x1.e6a7480000000p-2f,
                                     0x1.dc83ce0000000p-1f,
                                     0x1.30288e0000000p-2f,
                                     0x1.faee400000000p-2f,
                                     0x1.720f340000000p-2f,
                                     0x1.446f840000000p-2f,
                                     0x1.0872e80000000p-1f,
                                     0x1.389b740000000p-2f,
                                     0x1.0288de0000000p-1f,
                                     0x1.d772100000000p-2f,
                                     0x1.4e93020000000p-2f,
                                     0x1.3b24540000000p-1f,
                                     0x1.ed699c0000000p-2f,
                                     0x1.353a4a0000000p-1f,
                                     0x1.46201c0000000p-1f,
                                     0x1.b3f5dc0000000p-2f,
                                     0x1.958b680000000p-1f,
                                     0x1.faee420000000p-1f,
                                     0x1.6cfd780000000p-2f,
                                     0x1.9faee40000000p-1f,
                                     0x1.6cfd780000000p-3f,
                                     0x1.446f880000000p-1f,
                                     0x1.5555580000000p-2f,
                                     0x1.d260520000000p-2f,
                                     0x1.a4c0a20000000p-1f,
                                     0x1.1be1940000000p-2f,
                                     0x1.4981440000000p-1f,
                                     0x1.bab8380000000p-2f,
                                     0x1.dc83cc0000000p-2f,
                                     0x1.d772100000000p-1f,
                                     0x1.2605120000000p-2f};
  const std::vector<float> to_3x6 = {0x0.0p+0f,
                                     0x1.7720f40000000p-2f,
                                     0x1.dc83ce0000000p-2f,
                                     0x1.a9d2600000000p-1f,
                                     0x1.dc83ce0000000p-1f,
                                     0x1.30288e0000000p-2f,
                                     0x1.9792820000000p-2f,
                                     0x1.509a1c0000000p-3f,
                                     0x1.0dafe80000000p-2f,
                                     0x1.42686c0000000p-1f,
                                     0x1.7519da0000000p-1f,
                                     0x1.63dd880000000p-1f,
                                     0x1.312c180000000p-1f,
                                     0x1.4c8bee0000000p-3f,
                                     0x1.0ba8d20000000p-2f,
                                     0x1.b5fcf40000000p-2f,
                                     0x1.0dafe80000000p-1f,
                                     0x1.c940620000000p-1f,
                                     0x1.93844c0000000p-2f,
                                     0x1.1eec3c0000000p-1f,
                                     0x1.519daa0000000p-1f,
                                     0x1.ce521c0000000p-3f,
                                     0x1.4c8be80000000p-2f,
                                     0x1.61d66e0000000p-1f,
                                     0x1.2f25040000000p-1f,
                                     0x1.1de8ac0000000p-1f,
                                     0x1.509a1a0000000p-1f,
                                     0x1.b1eec80000000p-2f,
                                     0x1.0ba8d00000000p-1f,
                                     0x1.f4d8f40000000p-2f,
                                     0x1.faee420000000p-1f,
                                     0x1.6cfd780000000p-2f,
                                     0x1.d260520000000p-2f,
                                     0x1.a4c0a20000000p-1f,
                                     0x1.d772100000000p-1f,
                                     0x1.2605120000000p-2f};
  EXPECT_EQ(resize(pattern(5, 4, 2), 7, 3).pixels, to_7x3);
  EXPECT_EQ(resize(pattern(5, 4, 2), 3, 6).pixels, to_3x6);
}

TEST(Image, ResizingToTheSameSizeCopies) {
  const Image image = pattern(9, 7, 3);
  EXPECT_EQ(resize(image, 9, 7).pixels, image.pixels);
}

// Darknet adds nothing from below to the last row; where (h-1) * ((H-1)/(h-1)) rounds below H-1 it is nearly
// black.
TEST(Image, LastRowKeepsDarknetsQuirk) {
  const Image white(2, 2, 1, 1.f);
  const Image tall = resize(white, 2, 42);
  EXPECT_EQ(tall.at(40, 0, 0), 1.f);
  EXPECT_LT(tall.at(41, 0, 0), 1e-6f);
}

TEST(Image, ResizesFromAndToSinglePixels) {
  EXPECT_EQ(resize(Image(1, 1, 3, .25f), 4, 5).pixels, std::vector<float>(60, .25f));
  const Image image = pattern(5, 4, 1);
  EXPECT_EQ(resize(image, 1, 1).at(0, 0, 0), image.at(0, 4, 0));  // the last column, the first row
  expect_in("0x5", error_of([&] { resize(image, 0, 5); }));
  expect_in("cannot be resized", error_of([] { resize(Image(), 3, 3); }));
}

TEST(Image, WindowEqualsCuttingAndResizing) {
  const Image image = pattern(11, 9, 3);
  const ImageWindow window = {-3, 2, 12, 10};  // hangs over on the left and below
  Image cut(window.width, window.height, 3);
  for (int y = 0; y < cut.height; ++y)
    for (int x = 0; x < cut.width; ++x)
      for (int c = 0; c < 3; ++c) cut.at(y, x, c) = image.at(std::min(y + 2, 8), std::clamp(x - 3, 0, 10), c);
  const Image expected = resize(cut, 7, 13);
  Image plain(7, 13, 3), mirrored(7, 13, 3);
  resize_window(image, window, false, plain.pixels.data(), 7, 13, 21);
  resize_window(image, window, true, mirrored.pixels.data(), 7, 13, 21);
  EXPECT_EQ(plain.pixels, expected.pixels);
  for (int y = 0; y < 13; ++y)
    for (int x = 0; x < 7; ++x)
      for (int c = 0; c < 3; ++c) ASSERT_EQ(mirrored.at(y, x, c), expected.at(y, 6 - x, c));
}

// Darknet's own example: 640x427 into 608x608 is 608x405 from row 101.
TEST(Image, LetterboxGeometry) {
  const Letterbox wide = fitted(Fit::letterbox, 640, 427, 608, 608);
  EXPECT_EQ(wide.new_width, 608);
  EXPECT_EQ(wide.new_height, 405);
  EXPECT_EQ(wide.top(), 101);
  EXPECT_EQ(wide.left(), 0);
  const Letterbox tall = fitted(Fit::letterbox, 100, 400, 416, 416);
  EXPECT_EQ(tall.new_width, 104);
  EXPECT_EQ(tall.left(), 156);
  EXPECT_EQ(fitted(Fit::letterbox, 5000, 1, 32, 32).new_height, 1);  // never nothing
  const Letterbox stretched = fitted(Fit::stretch, 640, 427, 608, 352);
  EXPECT_EQ(stretched.new_width, 608);
  EXPECT_EQ(stretched.new_height, 352);
}

TEST(Image, LetterboxMapsBoxesBack) {
  const Letterbox place = fitted(Fit::letterbox, 640, 427, 608, 608);
  // (608 - 405) / 2 = 101.5 pixels, not the 101 at which it is pasted.
  const CentreBox network = {.5f, 101.5f / 608 + .25f * 405 / 608, .5f, .5f * 405 / 608};
  const CentreBox image = place.to_image(network);
  const float near = 1e-6f;  // a few roundings of numbers below 1
  EXPECT_NEAR(image.x, .5f, near);
  EXPECT_NEAR(image.y, .25f, near);
  EXPECT_NEAR(image.w, .5f, near);
  EXPECT_NEAR(image.h, .5f, near);
  const CentreBox there = place.to_network(image);
  EXPECT_NEAR(there.y, network.y, near);
  EXPECT_NEAR(there.h, network.h, near);
}

TEST(Image, LetterboxIsGreyAroundTheResizedImage) {
  const Image image = pattern(8, 4, 3), boxed = letterbox(image, 6, 7);
  const Image inner = resize(image, 6, 3);
  for (int y = 0; y < 7; ++y)
    for (int x = 0; x < 6; ++x)
      for (int c = 0; c < 3; ++c)
        ASSERT_EQ(boxed.at(y, x, c), y < 2 || y >= 5 ? .5f : inner.at(y - 2, x, c)) << y << " " << x;
}

TEST(Image, HsvThereAndBack) {
  Random random(1, Purpose::test);
  for (int i = 0; i < 10000; ++i) {
    const Rgb c = {random.uniform(), random.uniform(), random.uniform()};
    const Rgb back = hsv_to_rgb(rgb_to_hsv(c));
    // Some ten roundings of numbers up to 6; an h next to a multiple of 1/6 moves by one rounding of it.
    ASSERT_NEAR(back.r, c.r, 2e-6f);
    ASSERT_NEAR(back.g, c.g, 2e-6f);
    ASSERT_NEAR(back.b, c.b, 2e-6f);
  }
}

// Darknet's formulas as it writes them, in six cases.
Rgb in_six_cases(const Recolour& colour, Rgb c) {
  const float most = std::max({c.r, c.g, c.b}), range = most - std::min({c.r, c.g, c.b});
  float h = 0, s = 0;
  if (range > 0) {
    h = c.r == most ? (c.g - c.b) / range : c.g == most ? 2 + (c.b - c.r) / range : 4 + (c.r - c.g) / range;
    if (h < 0) h += 6;
    h /= 6;
    s = range / most;
  }
  h += colour.hue;
  if (h > 1) h -= 1;
  if (h < 0) h += 1;
  s *= colour.saturation;
  const float v = most * colour.exposure;
  const int sixth = int(6 * h);
  const float f = 6 * h - float(sixth), p = v * (1 - s), q = v * (1 - s * f), t = v * (1 - s * (1 - f));
  const Rgb cases[] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
  const Rgb rgb = cases[std::min(sixth, 5)];
  return {std::clamp(rgb.r, 0.f, 1.f), std::clamp(rgb.g, 0.f, 1.f), std::clamp(rgb.b, 0.f, 1.f)};
}

TEST(Image, ColoursAreDarknetsToTheBit) {
  std::vector<float> pixels;
  for (int r = 0; r <= 255; r += 15)
    for (int g = 0; g <= 255; g += 15)
      for (int b = 0; b <= 255; b += 15)
        for (const int level : {r, g, b}) pixels.push_back(unit_value(uint8_t(level)));
  // Reds whose hue rounds to a whole turn, or to nearly none.
  for (const float little : {2e-8f, 1e-7f, 1e-5f}) pixels.insert(pixels.end(), {.5f, .2f, .2f + little});
  Random random(2, Purpose::test);
  for (int i = 0; i < 200; ++i) {
    const Recolour colour = {i < 4 ? 0 : random.uniform(-1, 1), random.uniform(.2f, 3),
                             random.uniform(.2f, 3)};
    std::vector<float> got = pixels;
    recolour(got.data(), got.size(), 3, colour);
    for (size_t at = 0; at < pixels.size(); at += 3) {
      const Rgb want = in_six_cases(colour, {pixels[at], pixels[at + 1], pixels[at + 2]});
      ASSERT_TRUE(got[at] == want.r && got[at + 1] == want.g && got[at + 2] == want.b)
          << "pixel " << at / 3 << ", hue " << colour.hue;
    }
  }
}

TEST(Image, HsvOfKnownColours) {
  const Hsv green = rgb_to_hsv({0, .5f, 0}), violet = rgb_to_hsv({1, 0, .5f});
  EXPECT_FLOAT_EQ(green.h, 1.f / 3);
  EXPECT_EQ(green.s, 1);
  EXPECT_EQ(green.v, .5f);
  EXPECT_FLOAT_EQ(violet.h, 5.5f / 6);
  const Hsv grey = rgb_to_hsv({.3f, .3f, .3f}), black = rgb_to_hsv({0, 0, 0});
  EXPECT_EQ(grey.s, 0);
  EXPECT_EQ(black.v, 0);
  EXPECT_EQ(hsv_to_rgb(grey).g, .3f);
}

TEST(Image, ColoursAreDistortedAndClamped) {
  std::vector<float> red = {1, .5f, .5f, .4f, .4f, .4f};
  recolour(red.data(), red.size(), 3, {1.f / 3, 2, 1.5f});
  EXPECT_NEAR(red[0], 0, 1e-6);  // saturation 1: red has become pure green, 1.5 is cut to 1
  EXPECT_EQ(red[1], 1);
  EXPECT_NEAR(red[3], .6f, 1e-6);  // grey stays grey
  EXPECT_EQ(red[3], red[5]);
  std::vector<float> grey = {.2f, .9f};
  recolour(grey.data(), grey.size(), 1, {.3f, 2, 2});
  EXPECT_EQ(grey, (std::vector<float>{.4f, 1}));
}

TEST(ImageFile, PngIsExact) {
  Temporary folder;
  Image image(3, 2, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = float(double(i * 13) / 255.);
  save_image(folder / "a.png", image);
  const Image back = load_image(folder / "a.png");
  EXPECT_EQ(back.width, 3);
  EXPECT_EQ(back.height, 2);
  EXPECT_EQ(back.pixels, image.pixels);
  EXPECT_EQ(image_size(folder / "a.png"), std::pair(3, 2));
  EXPECT_EQ(load_image(folder / "a.png", 1).pixels.size(), 6u);
}

TEST(ImageFile, JpegIsClose) {
  Temporary folder;
  save_image(folder / "a.JPG", Image(40, 30, 3, .5f));
  const Image back = load_image(folder / "a.JPG");
  for (const float v : back.pixels) ASSERT_NEAR(v, .5f, 2.f / 255);  // flat, so only quantisation is left
}

TEST(ImageFile, GreyIsReplicatedAndAlphaDropped) {
  Temporary folder;
  Image grey(2, 1, 1), clear(1, 1, 4);
  grey.pixels = {.2f, 1};
  clear.pixels = {1, 0, .4f, 0};
  save_image(folder / "grey.png", grey);
  save_image(folder / "clear.png", clear);
  EXPECT_EQ(load_image(folder / "grey.png").pixels, (std::vector<float>{.2f, .2f, .2f, 1, 1, 1}));
  EXPECT_EQ(load_image(folder / "clear.png").pixels, (std::vector<float>{1, 0, .4f}));
}

TEST(ImageFile, EveryCutIsAnError) {
  Temporary folder;
  const Image image = pattern(40, 30, 3);
  for (const char* name : {"a.jpg", "a.png"}) {
    save_image(folder / name, image);
    std::ifstream file(folder / name, std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(file)), {});
    for (size_t length = 0; length < whole.size(); length += 7) {
      const std::string cut = folder.write(std::string("cut-") + name, whole.substr(0, length));
      EXPECT_THROW(load_image(cut), Error) << name << " cut to " << length << " of " << whole.size();
    }
  }
}

// Memory is taken for as many pixels as the file can hold, not for as many as its header claims.
TEST(ImageFile, SizesThatTheFileCannotHoldAreRefused) {
  Temporary folder;
  const std::string huge = folder.write("a.ppm", "P6 40000 40000 255\n123");
  EXPECT_EQ(image_size(huge), std::make_pair(40000, 40000));
  expect_in("a.ppm: the image is cut short: 40000x40000 pixels cannot be in 22 bytes",
            error_of([&] { load_bytes(huge); }));
  // A part of a PNG says that it has 2 GB; the length stands before its name.
  save_image(folder / "part.png", Image(4, 4, 3, 1));
  std::string part = read_file(folder / "part.png", "an image");
  part[part.find("IDAT") - 4] = 0x7F;
  expect_in("the image is cut short", error_of([&] { load_bytes(folder.write("part.png", part)); }));
  // The densest that there is: no pixel of it differs from another.
  for (const char* name : {"blank.png", "blank.jpg"}) {
    save_image(folder / name, Image(3000, 2000, 3, 1));
    EXPECT_EQ(load_bytes(folder / name).pixels, std::vector<uint8_t>(3000 * 2000 * 3, 255)) << name;
  }
}

// Of 24 bits; rows of `pixels` are a multiple of 4 bytes.
std::string bmp(int32_t width, int32_t height, const std::string& pixels) {
  const auto number = [](uint32_t value) {
    return std::string{char(value), char(value >> 8), char(value >> 16), char(value >> 24)};
  };
  return "BM" + number(uint32_t(54 + pixels.size())) + number(0) + number(54) + number(40) +
         number(uint32_t(width)) + number(uint32_t(height)) + std::string("\1\0\x18\0", 4) + number(0) +
         number(uint32_t(pixels.size())) + std::string(16, '\0') + pixels;
}

// A height below zero says that the uppermost row comes first.
TEST(ImageFile, ABmpMayBeginWithItsUppermostRow) {
  Temporary folder;
  const std::string upper = "\1\2\3\4\5\6\7\x8\x9\xA\xB\xC", lower(12, '\x20');  // blue, green, red
  const std::string down = folder.write("down.bmp", bmp(4, -2, upper + lower)),
                    up = folder.write("up.bmp", bmp(4, 2, lower + upper));
  EXPECT_EQ(image_size(down), std::make_pair(4, 2));
  EXPECT_EQ(load_bytes(down).pixels, load_bytes(up).pixels);
  EXPECT_EQ(load_bytes(down).pixels[0], 3);
  const std::string huge = folder.write("huge.bmp", bmp(65280, -3335, upper));
  expect_in("huge.bmp: the image is cut short: 65280x3335 pixels cannot be in 66 bytes",
            error_of([&] { load_bytes(huge); }));
  for (const int32_t side : {0, -3, INT32_MIN, 70000}) {
    const std::string wrong = folder.write("wrong.bmp", bmp(side, 2, upper + lower));
    EXPECT_THROW(image_size(wrong), Error) << side;
    EXPECT_THROW(load_bytes(wrong), Error) << side;
  }
  EXPECT_THROW(image_size(folder.write("tall.bmp", bmp(4, INT32_MIN, upper))), Error);
}

// What stb_image would take at its word, and write or read where it must not.
TEST(ImageFile, WhatTheDecoderDoesNotCheckIsChecked) {
  Temporary folder;
  save_image(folder / "a.jpg", pattern(40, 30, 3));
  std::ifstream file(folder / "a.jpg", std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  ASSERT_TRUE(has_sound_tables(whole));
  size_t tables = 0;
  for (size_t at = whole.find("\xFF\xC4"); at != std::string::npos; at = whole.find("\xFF\xC4", at + 1)) {
    std::string damaged = whole;
    std::fill_n(damaged.begin() + int64_t(at) + 5, 16, '\x20');  // 512 codes
    const std::string path = folder.write("damaged.jpg", damaged);
    expect_in("its Huffman tables are damaged", error_of([&] { load_bytes(path); }));
    expect_in("its Huffman tables are damaged", error_of([&] { image_size(path); }));
    EXPECT_FALSE(has_sound_tables(damaged.substr(0, at + 14)));  // the end of a file is no end to that
    ++tables;
  }
  EXPECT_GT(tables, 0u);
  constexpr char kOther[] = "\xFF\xD8\xFF\xE1\0\x16\xFF\xC4\0\x14 what a camera says";
  EXPECT_TRUE(has_sound_tables({kOther, sizeof(kOther)}));
  EXPECT_TRUE(has_sound_tables("BM\xFF\xC4"));
}

TEST(ImageFile, Messages) {
  Temporary folder;
  expect_in("gone.png: cannot open the image: No such file",
            error_of([&] { load_image(folder / "gone.png"); }));
  const std::string text = folder.write("text.jpg", "no image at all");
  expect_in("text.jpg: not a readable image", error_of([&] { load_image(text); }));
  expect_in("folder", error_of([&] { load_image(folder / ""); }));
  expect_in("written as .png", error_of([&] { save_image(folder / "a.gif", Image(1, 1, 3)); }));
  expect_in("cannot be written", error_of([&] { save_image(folder / "no/such/a.png", Image(1, 1, 3)); }));
}

// The shorter side comes to the input's by whole-number arithmetic, and the middle is taken: Darknet's
// resize_min and crop.
TEST(Fit, CropShowsTheMiddle) {
  Image image(9, 4, 1);
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 9; ++x) image.at(y, x, 0) = float(10 * y + x) / 100;
  const Image same = fit(image, 4, 4, Fit::crop);  // columns 2 to 5 of 9
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 4; ++x) EXPECT_EQ(same.at(y, x, 0), image.at(y, x + 2, 0));
  const Letterbox half = fitted(Fit::crop, 9, 4, 2, 2);
  EXPECT_EQ(half.new_width, 4);
  EXPECT_EQ(half.new_height, 2);
  EXPECT_EQ(half.left(), -1);
  const Letterbox tall = fitted(Fit::crop, 30, 70, 10, 10);
  EXPECT_EQ(std::pair(tall.new_width, tall.new_height), std::pair(10, 23));
  const Letterbox wide_input = fitted(Fit::crop, 30, 30, 20, 10);
  EXPECT_EQ(std::pair(wide_input.new_width, wide_input.new_height), std::pair(20, 20));
}

}  // namespace
}  // namespace osprey
