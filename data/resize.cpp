#include "data/resize.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace osprey {
namespace {

// Values are made four at a time; what is too much of them lies behind the pixel, and behind a row's end.
constexpr int kTogether = 4, kBehind = kTogether - 1;

template <class Value>
void divide(const uint8_t* values, size_t count, float* units) {
  for (size_t i = 0; i < count; ++i) {
    Value value;
    std::memcpy(&value, values + i * sizeof(Value), sizeof(Value));
    units[i] = unit_value(value);
  }
}

}  // namespace

void to_units(const uint8_t* values, int value_bytes, size_t count, float* units) {
  (value_bytes == 2 ? divide<uint16_t> : divide<uint8_t>)(values, count, units);
}

ResizedRows::ResizedRows(const Image& image, const Resizing& resizing)
    : ResizedRows(Source{reinterpret_cast<const uint8_t*>(image.pixels.data()), image.width, image.height,
                         image.channels, int(sizeof(float))},
                  resizing) {}

ResizedRows::ResizedRows(const ByteImage& image, const Resizing& resizing)
    : ResizedRows(Source{image.pixels.data(), image.width, image.height, image.channels, image.value_bytes},
                  resizing) {}

ResizedRows::ResizedRows(const Source& source, const Resizing& resizing)
    : source_(source), window_(resizing.window), height_(resizing.height) {
  const int width = resizing.width, channels = source.channels;
  if (source.width < 1 || source.height < 1 || window_.width < 1 || window_.height < 1)
    fail("an image of {}x{} cannot be resized", window_.width, window_.height);
  if (width < 1 || height_ < 1) fail("an image cannot be resized to {}x{}", width, height_);
  const float scale = tap_scale(width, window_.width);
  int last = 0;
  first_column_ = source.width;
  for (int i = 0; i < resizing.count; ++i) {
    const int place = resizing.first + i;
    const Tap tap = column_tap(resizing.mirror ? width - 1 - place : place, width, window_.width, scale);
    const int from = clamped(window_.left + tap.first, source.width);
    const int to = clamped(window_.left + tap.second, source.width);
    taps_.push_back({from, to, tap.first_share, tap.second_share});
    first_column_ = std::min(first_column_, from);
    last = std::max(last, to);
  }
  columns_ = std::max(0, last - first_column_ + 1);  // none, if none are wanted
  for (ColumnTap& tap : taps_) {
    tap.first = (tap.first - first_column_) * channels;
    tap.second = (tap.second - first_column_) * channels;
  }
  units_.resize(size_t(columns_) * size_t(channels) + kBehind);
  for (std::vector<float>& row : blended_) row.resize(taps_.size() * size_t(channels) + kBehind);
}

const float* ResizedRows::blended(int row) {
  float* out = blended_[row % 2].data();
  if (held_[row % 2] == row) return out;
  held_[row % 2] = row;
  const int y = clamped(window_.top + row, source_.height), channels = source_.channels;
  const size_t first = (size_t(y) * size_t(source_.width) + size_t(first_column_)) * size_t(channels);
  const size_t count = size_t(columns_) * size_t(channels);
  const uint8_t* values = source_.pixels + first * size_t(source_.value_bytes);
  if (source_.value_bytes == sizeof(float))
    std::memcpy(units_.data(), values, count * sizeof(float));
  else
    to_units(values, source_.value_bytes, count, units_.data());
  const float* in = units_.data();
  float* to = out;
  for (const ColumnTap& tap : taps_) {
    for (int c = 0; c < channels; c += kTogether) {
      const float *first = in + tap.first + c, *second = in + tap.second + c;
      float values[kTogether];
      for (int i = 0; i < kTogether; ++i)
        values[i] = tap.first_share * first[i] + tap.second_share * second[i];
      std::memcpy(to + c, values, sizeof(values));
    }
    to += channels;
  }
  return out;
}

void ResizedRows::write(int row, float* out) {
  const Tap tap = row_tap(row, height_, window_.height, tap_scale(height_, window_.height));
  const float *upper = blended(tap.first), *lower = blended(tap.second);
  const size_t count = taps_.size() * size_t(source_.channels);
  for (size_t i = 0; i < count; ++i) out[i] = tap.first_share * upper[i] + tap.second_share * lower[i];
}

}  // namespace osprey
