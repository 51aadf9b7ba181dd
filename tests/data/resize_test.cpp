// Rows of a resized window beside the formula written out, which image_test.cpp holds against Darknet's
// numbers.
#include "data/resize.h"

#include <gtest/gtest.h>

#include "tests/data/deep_images.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

const std::pair<int, int> kSizes[] = {{1, 1}, {2, 3}, {17, 9}, {40, 5}, {6, 31}};
const ImageWindow kWindows[] = {
    {0, 0, 0, 0}, {-3, 2, 12, 10}, {1, -40, 3, 90}, {90, 90, 5, 4}};  // 0: the image

// A value of the result, from the four of the image around it.
float formula(const Image& image, const Resizing& r, int row, int column, int channel) {
  const Tap across = column_tap(r.mirror ? r.width - 1 - column : column, r.width, r.window.width,
                                tap_scale(r.width, r.window.width));
  const Tap down = row_tap(row, r.height, r.window.height, tap_scale(r.height, r.window.height));
  const auto blended = [&](int y) {
    const auto at = [&](int x) {
      return image.at(clamped(r.window.top + y, image.height), clamped(r.window.left + x, image.width),
                      channel);
    };
    return across.first_share * at(across.first) + across.second_share * at(across.second);
  };
  return down.first_share * blended(down.first) + down.second_share * blended(down.second);
}

TEST(ResizedRows, AreTheFormulaToTheBit) {
  uint64_t seed = 0;
  for (const auto& [image_width, image_height] : kSizes)
    for (const ImageWindow& window : kWindows)
      for (const int channels : {1, 2, 3, 4, 5, 7})
        for (const int value_bytes : {1, 2}) {
          const ByteImage bytes = random_image(image_width, image_height, channels, value_bytes, ++seed);
          const Image floats = unit_image(bytes);
          Resizing r{window,        13,           11, seed % 2 == 0,
                     int(seed % 5), int(seed % 9)};  // of some columns, or none
          if (r.window.width == 0) r.window = {0, 0, image_width, image_height};
          ResizedRows of_bytes(bytes, r), of_floats(floats, r);
          const int step = 1 + int(seed % 3);  // rows may be left out
          for (int row = int(seed % 2); row < r.height; row += step) {
            const size_t count = size_t(r.count * channels);
            std::vector<float> a(count + 1, -1.f), b = a, want = a;  // nothing behind the row is touched
            of_bytes.write(row, a.data());
            of_floats.write(row, b.data());
            for (size_t i = 0; i < count; ++i)
              want[i] = formula(floats, r, row, r.first + int(i) / channels, int(i) % channels);
            ASSERT_EQ(a, want) << "image " << seed << ", row " << row;
            ASSERT_EQ(b, want) << "image " << seed << ", row " << row;
          }
        }
}

TEST(ResizedRows, SizesThatAreNoneAreRefused) {
  const Image image(3, 2, 1);
  expect_in("an image of 0x2 cannot be resized", error_of([&] {
              ResizedRows(image, {{0, 0, 0, 2}, 4, 4, false, 0, 4});
            }));
  expect_in("cannot be resized to 4x0", error_of([&] {
              ResizedRows(image, {{0, 0, 3, 2}, 4, 0, false, 0, 4});
            }));
  expect_in("cannot be resized", error_of([&] {
              ResizedRows(ByteImage(), {{0, 0, 3, 2}, 4, 4, false, 0, 4});
            }));
}

}  // namespace
}  // namespace osprey
