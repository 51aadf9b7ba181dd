// TIFF, as libtiff writes it in each of its layouts.
#include <gtest/gtest.h>
#include <tiffio.h>

#include "core/file.h"
#include "data/image.h"
#include "tests/data/deep_images.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

struct Form {
  int compression = COMPRESSION_NONE;
  bool planes = false, tiles = false, pages = false;
  int colours = PHOTOMETRIC_MINISBLACK;
  const char* mode = "w";  // wl, wb: the order of bytes; w8: a big file
  int rows = 4;            // of a strip
};

// The values of some channels, for strips and tiles.
std::vector<uint8_t> channels_of(const ByteImage& image, int first, int count) {
  std::vector<uint8_t> values;
  const size_t size = size_t(count * image.value_bytes), pixel = image.pixel_bytes();
  for (size_t at = size_t(first * image.value_bytes); at < image.pixels.size(); at += pixel)
    values.insert(values.end(), image.pixels.begin() + ptrdiff_t(at),
                  image.pixels.begin() + ptrdiff_t(at + size));
  return values;
}

void write_page(TIFF* tiff, const Form& form, const ByteImage& image, int first, int channels) {
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, image.width);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, image.height);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, channels);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8 * image.value_bytes);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, form.colours);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, form.compression);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, form.planes ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
  const int planes = form.planes ? channels : 1, together = channels / planes;
  const size_t pixel = size_t(together * image.value_bytes);
  constexpr int kTile = 16;
  if (form.tiles) {
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, kTile);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, kTile);
  } else {
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, form.rows);
  }
  for (int plane = 0; plane < planes; ++plane) {
    std::vector<uint8_t> values = channels_of(image, first + plane, together);
    const size_t row = size_t(image.width) * pixel;
    for (int y = 0; !form.tiles && y < image.height; y += form.rows) {
      const size_t size = size_t(std::min(form.rows, image.height - y)) * row;
      std::vector<uint8_t> strip(values.begin() + ptrdiff_t(size_t(y) * row),
                                 values.begin() + ptrdiff_t(size_t(y) * row + size));
      ASSERT_GT(TIFFWriteEncodedStrip(tiff, TIFFComputeStrip(tiff, uint32_t(y), uint16_t(plane)),
                                      strip.data(), tmsize_t(size)),
                0);
    }
    for (int y = 0; form.tiles && y < image.height; y += kTile)
      for (int x = 0; x < image.width; x += kTile) {
        std::vector<uint8_t> tile(kTile * kTile * pixel);
        for (int v = y; v < std::min(y + kTile, image.height); ++v)
          std::copy_n(values.begin() + ptrdiff_t(size_t(v) * row + size_t(x) * pixel),
                      size_t(std::min(kTile, image.width - x)) * pixel,
                      tile.begin() + ptrdiff_t(size_t(v - y) * kTile * pixel));
        ASSERT_GT(
            TIFFWriteEncodedTile(tiff, TIFFComputeTile(tiff, uint32_t(x), uint32_t(y), 0, uint16_t(plane)),
                                 tile.data(), tmsize_t(tile.size())),
            0);
      }
  }
  ASSERT_TRUE(TIFFWriteDirectory(tiff));
}

void write_tiff(const std::string& path, const Form& form, const ByteImage& image) {
  TIFF* tiff = TIFFOpen(path.c_str(), form.mode);
  ASSERT_TRUE(tiff);
  if (form.pages)
    for (int c = 0; c < image.channels; ++c) write_page(tiff, form, image, c, 1);
  else
    write_page(tiff, form, image, 0, image.channels);
  TIFFClose(tiff);
}

class TiffImage : public testing::Test {
 protected:
  std::string written(const Form& form, const ByteImage& image) {
    write_tiff(folder_ / "a.tif", form, image);
    return folder_ / "a.tif";
  }
  void expect_refused(const std::string& path, const std::string& part) {
    expect_in("a.tif: ", error_of([&] { load_bytes(path, 0); }));
    expect_in(part, error_of([&] { load_bytes(path, 0); }));
  }

  Temporary folder_;
};

TEST_F(TiffImage, EveryLayoutIsRead) {
  for (const int compression : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE})
    for (const int value_bytes : {1, 2})
      for (const int channels : {1, 3, 6})
        for (int form = 0; form < 4; ++form)
          for (const char* mode : {"wl", "wb", "w8"}) {
            SCOPED_TRACE(fmt::format("compression {}, {} bytes, {} channels, form {}, {}", compression,
                                     value_bytes, channels, form, mode));
            const ByteImage image = random_image(21, 18, channels, value_bytes);
            const std::string path =
                written({compression, form % 2 == 1, form >= 2, false, PHOTOMETRIC_MINISBLACK, mode}, image);
            const ByteImage read = load_bytes(path, channels);
            EXPECT_EQ(read.value_bytes, value_bytes);
            EXPECT_EQ(read.channels, channels);
            EXPECT_EQ(read.pixels, image.pixels);
            EXPECT_EQ(image_size(path), std::pair(21, 18));
          }
}

TEST_F(TiffImage, PagesOfGreyAreChannels) {
  const ByteImage image = random_image(9, 7, 5, 2);
  Form form;
  form.pages = true;
  EXPECT_EQ(load_bytes(written(form, image), 5).pixels, image.pixels);
  expect_in("the image has 5 channels, but the network takes 3",
            error_of([&] { load_bytes(folder_ / "a.tif"); }));

  // A preview beside the image is no page of it.
  TIFF* tiff = TIFFOpen((folder_ / "a.tif").c_str(), "w");
  TIFFSetField(tiff, TIFFTAG_SUBFILETYPE, FILETYPE_REDUCEDIMAGE);
  write_page(tiff, {}, random_image(3, 2, 3, 1), 0, 3);
  write_page(tiff, {}, image, 0, 5);
  TIFFClose(tiff);
  EXPECT_EQ(load_bytes(folder_ / "a.tif", 5).pixels, image.pixels);
  EXPECT_EQ(image_size(folder_ / "a.tif"), std::pair(9, 7));

  tiff = TIFFOpen((folder_ / "a.tif").c_str(), "w");
  write_page(tiff, {}, image, 0, 1);
  write_page(tiff, {}, random_image(9, 8, 1, 2), 0, 1);
  TIFFClose(tiff);
  expect_refused(folder_ / "a.tif", "its pages differ: 9x7 of 16 bits, and 9x8 of 16");
  tiff = TIFFOpen((folder_ / "a.tif").c_str(), "w");
  write_page(tiff, {}, image, 0, 3);
  write_page(tiff, {}, image, 0, 3);
  TIFFClose(tiff);
  expect_refused(folder_ / "a.tif",
                 "has 2 pages, one of 3 channels; pages are read where each is one channel");
}

TEST_F(TiffImage, WhiteMayBeZero) {
  const ByteImage image = random_image(9, 7, 1, 2);
  Form form;
  form.colours = PHOTOMETRIC_MINISWHITE;
  const Image read = load_image(written(form, image), 1), stored = unit_image(image);
  for (size_t i = 0; i < read.pixels.size(); ++i) EXPECT_NEAR(read.pixels[i], 1 - stored.pixels[i], 1e-7f);
}

// Colours, grey and alpha as in other formats.
TEST_F(TiffImage, ChannelsAreAsTheNetworkTakesThem) {
  Form form;
  form.colours = PHOTOMETRIC_RGB;
  const ByteImage clear = random_image(9, 7, 4, 1), grey = random_image(9, 7, 1, 2);
  const std::vector<uint8_t> rgb = load_bytes(written(form, clear)).pixels;
  for (size_t i = 0; i < rgb.size(); ++i) EXPECT_EQ(rgb[i], clear.pixels[i / 3 * 4 + i % 3]);
  EXPECT_EQ(load_image(written({}, grey)).pixels[5], unit_image(grey).pixels[1]);
}

TEST_F(TiffImage, OthersAreRefused) {
  Form form;
  form.colours = PHOTOMETRIC_SEPARATED;
  expect_refused(written(form, random_image(9, 7, 4, 1)),
                 "its colours are a palette, CMYK, YCbCr or the like");
  expect_refused(written({}, random_image(9, 7, 65, 1)), "an image of 65 channels; 1 to 64 are read");
  const std::string path = folder_ / "a.tif";
  for (const auto& [bits, format, part] :
       {std::tuple(32, SAMPLEFORMAT_IEEEFP,
                   "its values have 32 bits and are floating; whole numbers of 8 and"),
        std::tuple(16, SAMPLEFORMAT_INT, "its values have 16 bits and a sign"),
        std::tuple(1, SAMPLEFORMAT_UINT, "its values have 1 bits;")}) {
    TIFF* tiff = TIFFOpen(path.c_str(), "w");
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, 8);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, 1);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, bits);
    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, format);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    std::vector<uint8_t> row(32);
    TIFFWriteEncodedStrip(tiff, 0, row.data(), bits);
    TIFFClose(tiff);
    expect_refused(path, part);
  }
}

// The directory stands at the end, so that most cuts lose it; the others lose values.
TEST_F(TiffImage, EveryCutIsAnError) {
  for (const int compression : {COMPRESSION_NONE, COMPRESSION_LZW}) {
    Form form;
    form.compression = compression;
    const std::string whole = read_file(written(form, random_image(21, 18, 3, 2)), "TIFF");
    for (size_t length = 4; length < whole.size(); length += 7) {
      const std::string cut = folder_.write("cut.tif", whole.substr(0, length));
      EXPECT_THROW(load_bytes(cut, 0), Error) << length << " of " << whole.size();
      EXPECT_THROW(image_size(cut), Error) << length << " of " << whole.size();
    }
  }
}

// Memory is taken for as many pixels as the file can hold, not for as many as its header claims; a damaged
// byte within compressed values is told.
TEST_F(TiffImage, WhatIsClaimedIsChecked) {
  std::string bytes = read_file(written({}, random_image(21, 18, 1, 1)), "TIFF");
  const auto claim = [&](char tag, uint16_t number) {
    const std::string entry = {tag, '\1', '\3', '\0', '\1', '\0', '\0', '\0'};
    const size_t at = bytes.find(entry);
    ASSERT_NE(at, std::string::npos);
    bytes[at + 8] = char(number);
    bytes[at + 9] = char(number >> 8);
  };
  claim('\0', 60000);  // the width
  claim('\1', 60000);
  expect_refused(folder_.write("a.tif", bytes), "the image is cut short: 60000x60000 pixels of 1 bytes");
  Form form;
  form.compression = COMPRESSION_ADOBE_DEFLATE;
  bytes = read_file(written(form, random_image(21, 18, 1, 1)), "TIFF");
  std::fill_n(bytes.begin() + 40, 20, '\xff');
  expect_refused(folder_.write("a.tif", bytes), "the image is cut short or damaged: ");
}

}  // namespace
}  // namespace osprey
