// Darknet's bilinear resize (its resize_image), row by row, of images in floats or in bytes: the corner
// pixels of both grids are aligned; first along rows, then along columns; without a filter for shrinking. Its
// last row takes no part from the row below, as in Darknet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/image.h"

namespace osprey {

// Values of 1 or 2 bytes as floats, 0..1.
void to_units(const uint8_t* values, int value_bytes, size_t count, float* units);

struct Resizing {
  ImageWindow window;         // of the image; where it hangs over, the edge is repeated
  int width = 0, height = 0;  // that it is brought to
  bool mirror = false;        // left and right
  int first = 0, count = 0;   // the columns of the result that are wanted
};

class ResizedRows {
 public:
  // `image` must outlive this. Error: a size that is not positive, an empty image.
  ResizedRows(const Image& image, const Resizing& resizing);
  ResizedRows(const ByteImage& image, const Resizing& resizing);

  // A row of the result, [count,channels], values 0..1. Rows in their order share work.
  void write(int row, float* out);

 private:
  struct Source {
    const uint8_t* pixels;                     // [height,width,channels]
    int width, height, channels, value_bytes;  // of 4 bytes are floats
  };
  struct ColumnTap {
    int first, second;  // values of `units_`
    float first_share, second_share;
  };
  ResizedRows(const Source& source, const Resizing& resizing);
  const float* blended(int row);

  Source source_;
  ImageWindow window_;
  int height_;
  int first_column_ = 0, columns_ = 0;  // of the image, which are read
  std::vector<ColumnTap> taps_;         // of each column of the result
  std::vector<float> units_;            // a row of the image
  std::vector<float> blended_[2];       // rows of the window, blended along their columns
  int held_[2] = {-1, -1};              // which
};

}  // namespace osprey
