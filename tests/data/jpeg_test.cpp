// JPEG, as libjpeg writes it in each of its forms; and what is damaged.

// clang-format off
#include <cstdio>
#include <jpeglib.h>  // needs cstdio before it
// clang-format on

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "core/file.h"
#include "data/image.h"
#include "data/loader.h"
#include "tests/data/deep_images.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

struct Form {
  const char* name = "plain";
  std::function<void(jpeg_compress_struct&)> ask = [](jpeg_compress_struct&) {};
  J_COLOR_SPACE space = JCS_RGB;  // of the values that are given
};

// Values that change slowly, which every form keeps nearly as they are.
ByteImage slopes(int width, int height, int channels) {
  ByteImage image{height, width, channels, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.pixels.push_back(uint8_t(110 + 90 * std::sin(.05 * x + c) * std::cos(.04 * y + c)));
  return image;
}

std::string encoded(const ByteImage& image, const Form& form) {
  jpeg_compress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = JDIMENSION(image.width);
  jpeg.image_height = JDIMENSION(image.height);
  jpeg.input_components = image.channels;
  jpeg.in_color_space = form.space;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 98, TRUE);
  form.ask(jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  for (int y = 0; y < image.height; ++y) {
    auto* row = const_cast<JSAMPLE*>(image.pixels.data() + size_t(y) * image.row_bytes());
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return text;
}

std::function<void(jpeg_compress_struct&)> sampled(int across, int down) {
  return [=](jpeg_compress_struct& jpeg) {
    jpeg.comp_info[0].h_samp_factor = across;
    jpeg.comp_info[0].v_samp_factor = down;
  };
}

const Form kForms[] = {
    {"4:4:4", sampled(1, 1)},
    {"4:2:2", sampled(2, 1)},
    {"4:2:0", sampled(2, 2)},
    {"4:1:1", sampled(4, 1)},
    {"progressive", [](jpeg_compress_struct& jpeg) { jpeg_simple_progression(&jpeg); }},
    {"restarts", [](jpeg_compress_struct& jpeg) { jpeg.restart_interval = 3; }},
    {"own tables", [](jpeg_compress_struct& jpeg) { jpeg.optimize_coding = TRUE; }},
    {"red, green, blue", [](jpeg_compress_struct& jpeg) { jpeg_set_colorspace(&jpeg, JCS_RGB); }}};

ByteImage decoded(const std::string& path, int channels = 3) {
  return load_bytes(path, channels, JpegReader::libjpeg);
}

class Jpeg : public ::testing::Test {
 protected:
  std::string written(const std::string& bytes) { return folder_.write("a.jpg", bytes); }
  std::string written(const ByteImage& image, const Form& form) { return written(encoded(image, form)); }
  std::string refusal(const std::string& bytes) {
    return error_of([&] { decoded(written(bytes)); });
  }
  Temporary folder_;
};

void expect_close(const ByteImage& got, const ByteImage& want, int levels) {
  ASSERT_EQ(std::tuple(got.width, got.height, got.channels, got.value_bytes),
            std::tuple(want.width, want.height, want.channels, 1));
  for (size_t i = 0; i < want.pixels.size(); ++i)
    ASSERT_NEAR(got.pixels[i], want.pixels[i], levels) << "value " << i;
}

// Quantisation at quality 98 and chroma at half or a quarter of the places move values by up to 7 levels
// here. The two readers differ by up to 3, and by 6 in the last column of 4:2:2, where stb_image weighs the
// wrong neighbour more.
TEST_F(Jpeg, EveryFormIsRead) {
  for (const auto& [width, height] : {std::pair{1, 1}, {67, 43}, {16, 64}})
    for (const Form& form : kForms) {
      SCOPED_TRACE(form.name);
      const ByteImage image = slopes(width, height, 3);
      const std::string path = written(image, form);
      expect_close(decoded(path), image, 8);
      expect_close(decoded(path), load_bytes(path), 6);
      EXPECT_EQ(decoded(path).pixels, decoded(path, 0).pixels);
      EXPECT_EQ(image_size(path), std::pair(width, height));
    }
}

TEST_F(Jpeg, ReachesTrainingByLibjpeg) {
  const std::string path = written(slopes(40, 30, 3), kForms[2]);
  Dataset set;
  set.samples.resize(1);
  set.samples[0].image = path;
  LoaderOptions options;
  options.width = 40;
  options.height = 30;
  Loader loader(set, options);
  EXPECT_EQ(loader.next().images, unit_image(decoded(path)).pixels);
  EXPECT_NE(decoded(path).pixels, load_bytes(path).pixels);
}

TEST_F(Jpeg, GreyAndColourBecomeEachOther) {
  const ByteImage grey = slopes(30, 20, 1), colour = slopes(30, 20, 3);
  const std::string of_grey = written(grey, {"grey", [](jpeg_compress_struct&) {}, JCS_GRAYSCALE});
  expect_close(decoded(of_grey, 0), grey, 3);
  const ByteImage three = decoded(of_grey, 3);
  ASSERT_EQ(three.channels, 3);
  for (size_t i = 0; i < grey.pixels.size(); ++i)
    for (size_t c = 0; c < 3; ++c) ASSERT_EQ(three.pixels[3 * i + c], decoded(of_grey, 1).pixels[i]);
  for (const Form& form : {kForms[0], kForms[7]}) {  // whose first channel is the grey image, and not
    SCOPED_TRACE(form.name);
    ByteImage want{20, 30, 1, {}};
    for (size_t i = 0; i < colour.pixels.size(); i += 3)
      want.pixels.push_back(
          uint8_t(.299 * colour.pixels[i] + .587 * colour.pixels[i + 1] + .114 * colour.pixels[i + 2]));
    expect_close(decoded(written(colour, form), 1), want, 5);
  }
}

// Not libjpeg but stb_image makes colours of four inks, and adds the transparency that a JPEG does not have.
TEST_F(Jpeg, InksAndTransparencyAreReadByStb) {
  const ByteImage inks = slopes(24, 18, 4);  // as Adobe has them: 255 is none
  ByteImage want{18, 24, 3, {}};
  for (size_t i = 0; i < inks.pixels.size(); i += 4)
    for (size_t c = 0; c < 3; ++c)
      want.pixels.push_back(uint8_t(inks.pixels[i + c] * inks.pixels[i + 3] / 255));
  expect_close(decoded(written(inks, {"inks", [](jpeg_compress_struct&) {}, JCS_CMYK})), want, 6);
  const ByteImage colour = slopes(24, 18, 3);
  const std::string path = written(colour, kForms[0]);
  const ByteImage clear = decoded(path, 4);
  ASSERT_EQ(clear.channels, 4);
  for (size_t i = 0; i < colour.pixels.size() / 3; ++i) ASSERT_EQ(clear.pixels[4 * i + 3], 255);
  expect_in("channels", error_of([&] { decoded(path, 6); }));
}

// A camera's orientation, and bytes that mean nothing before the end, are passed over.
TEST_F(Jpeg, WhatDoesNotConcernThePixelsIsPassedOver) {
  const std::string whole = encoded(slopes(40, 30, 3), kForms[2]);
  const std::vector<uint8_t> pixels = decoded(written(whole)).pixels;
  const char exif[] =
      "\xFF\xE1\0\x22"
      "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0";
  std::string turned = whole;
  turned.insert(2, exif, sizeof(exif));
  EXPECT_EQ(decoded(written(turned)).pixels, pixels);
  EXPECT_EQ(image_size(written(turned)), std::pair(40, 30));
  std::string padded = whole;
  padded.insert(whole.size() - 2, "\x11\x22\x33");
  EXPECT_EQ(decoded(written(padded)).pixels, pixels);
}

TEST_F(Jpeg, EveryCutIsAnError) {
  for (const Form& form : kForms) {
    SCOPED_TRACE(form.name);
    const std::string whole = encoded(slopes(40, 30, 3), form);
    for (size_t length = 2; length < whole.size(); length += 11) {
      EXPECT_THROW(decoded(written(whole.substr(0, length))), Error) << length << " of " << whole.size();
      // Its end behind what is left makes it no better; a progressive file may end so, and is less sharp.
      if (form.name != std::string("progressive") && length + 40 < whole.size()) {
        EXPECT_THROW(decoded(written(whole.substr(0, length) + "\xFF\xD9")), Error)
            << length << " and the end";
      }
    }
    EXPECT_NO_THROW(decoded(written(whole)));
  }
  const std::string whole = encoded(slopes(40, 30, 3), kForms[0]);
  expect_in("a.jpg: the image is cut short", refusal(whole.substr(0, whole.size() - 1)));
  expect_in("a.jpg: the image is cut short", refusal(whole.substr(0, whole.size() / 2) + "\xFF\xD9"));
}

TEST_F(Jpeg, DamageIsTold) {
  const std::string whole = encoded(slopes(40, 30, 3), kForms[0]);
  const size_t frame = whole.find("\xFF\xC0"), table = whole.find("\xFF\xC4"), scan = whole.find("\xFF\xDA");
  ASSERT_LT(std::max({frame, table, scan}), whole.size());
  std::string deep = whole, bogus = whole, huge = whole, noisy = whole;
  deep[frame + 4] = 12;
  expect_in("a.jpg: not a readable image: Unsupported JPEG data precision 12", refusal(deep));
  std::fill_n(bogus.begin() + ptrdiff_t(table) + 5, 16, '\x20');  // 512 codes
  expect_in("a.jpg: not a readable image: Bogus Huffman table definition", refusal(bogus));
  std::fill_n(huge.begin() + ptrdiff_t(frame) + 5, 4, '\x7F');
  expect_in("a.jpg: the image is cut short: 32639x32639 pixels cannot be in", refusal(huge));
  for (size_t at = scan + 20; at + 40 < whole.size(); at += 2)
    noisy.replace(at, 2, "\xFF\0", 2);  // ones alone
  expect_in("a.jpg: not a readable image: Corrupt JPEG data: bad Huffman code", refusal(noisy));
  std::string lost = encoded(slopes(90, 30, 3), kForms[5]);
  lost[lost.find("\xFF\xD2") + 1] = '\xD6';
  expect_in("a.jpg: not a readable image: Corrupt JPEG data: found marker 0xd6", refusal(lost));
  expect_in("a.jpg: the image is cut short", refusal("\xFF\xD8 and no more"));
}

}  // namespace
}  // namespace osprey
