// Shapes and views: how every tensor in the engine is described and indexed.
// One layout only, NHWC: the channels of a pixel lie side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "core/device.h"

namespace osprey {

struct Pixel {
  int n, h, w, c;
};

// Sizes are int, for fast indexing in kernels; the plan refuses a tensor of 2^31 elements once, for
// everybody.
struct Shape {
  int n = 0, h = 0, w = 0, c = 0;

  HOST_DEVICE int size() const { return n * h * w * c; }
  HOST_DEVICE int rows() const { return n * h * w; }  // of c values each
  HOST_DEVICE int index(int in, int ih, int iw, int ic) const { return ((in * h + ih) * w + iw) * c + ic; }
  HOST_DEVICE Pixel pixel(int i) const { return {i / (h * w * c), i / (w * c) % h, i / c % w, i % c}; }
  HOST_DEVICE bool operator==(const Shape& o) const { return n == o.n && h == o.h && w == o.w && c == o.c; }
  HOST_DEVICE bool operator!=(const Shape& o) const { return !(*this == o); }
  int64_t elements() const { return int64_t(n) * h * w * c; }
  std::string text() const {
    return std::to_string(n) + "x" + std::to_string(h) + "x" + std::to_string(w) + "x" + std::to_string(c);
  }
};

// A pointer that knows its shape. It owns nothing: the memory plan does.
template <class T>
struct View {
  T* data = nullptr;
  Shape shape;

  View() = default;
  HOST_DEVICE View(T* data, Shape shape) : data(data), shape(shape) {}
  template <class U, class = std::enable_if_t<std::is_same_v<const U, T>>>
  HOST_DEVICE View(View<U> v) : data(v.data), shape(v.shape) {}  // one may always promise not to write

  HOST_DEVICE int size() const { return shape.size(); }
  HOST_DEVICE explicit operator bool() const { return data != nullptr; }
  HOST_DEVICE T* begin() const { return data; }
  HOST_DEVICE T* end() const { return data + size(); }

  HOST_DEVICE T& operator[](int i) const {
    check(i >= 0 && i < size(), i);
    return data[i];
  }
  HOST_DEVICE T& operator()(int n, int h, int w, int c) const {
    check(h >= 0 && h < shape.h && w >= 0 && w < shape.w && c >= 0 && c < shape.c, shape.index(n, h, w, c));
    return (*this)[shape.index(n, h, w, c)];
  }

 private:
  // All tensors share one arena, so a sanitizer cannot see one overrun into the next. This can.
  HOST_DEVICE void check([[maybe_unused]] bool inside, [[maybe_unused]] int i) const {
#if defined(OSPREY_CHECK_BOUNDS) && !defined(__CUDA_ARCH__)
    if (!inside) throw std::out_of_range("index " + std::to_string(i) + " is outside " + shape.text());
#endif
  }
};

}  // namespace osprey
