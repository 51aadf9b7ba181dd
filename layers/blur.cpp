#include "cuda/blur.h"

#include <algorithm>

#include "core/parallel.h"
#include "layers/vector_loop.h"

namespace osprey::cpu {
namespace {

// body(pixel of x, pixel of y, weight) for every meeting in the images from `first` to `last`.
template <class Body>
void for_each_tap(Shape x, Shape y, Blur blur, int64_t first, int64_t last, Body&& body) {
  const Window &wh = blur.window.h, &ww = blur.window.w;
  for (int row = int(first) * y.h * y.w; row < int(last) * y.h * y.w; ++row) {
    const auto [n, oh, ow, zero] = y.pixel(row * y.c);
    for (int p = 0; p < wh.size; ++p)
      for (int q = 0; q < ww.size; ++q) {
        const int h = wh.start(oh) + p, w = ww.start(ow) + q;
        if (h >= 0 && h < x.h && w >= 0 && w < x.w)
          body(x.index(n, h, w, 0), y.index(n, oh, ow, 0), blur.weight(p, q));
      }
  }
}

// to[i] += weight * from[i] over the channels of a pixel.
void add(const float* from, float* to, int channels, float weight) {
  VECTOR_LOOP
  for (int c = 0; c < channels; ++c) to[c] += weight * from[c];
}

}  // namespace

void blur_forward(Stream&, View<const float> x, View<float> y, Blur blur) {
  std::fill(y.begin(), y.end(), 0.0f);
  parallel_for(y.shape.n, 1, [=](int64_t first, int64_t last) {
    for_each_tap(x.shape, y.shape, blur, first, last,
                 [=](int from, int to, float weight) { add(&x[from], &y[to], y.shape.c, weight); });
  });
}

// Windows overlap, so that two of them may add to one pixel; two images never meet.
void blur_backward(Stream&, View<const float> dy, View<float> dx, Blur blur) {
  std::fill(dx.begin(), dx.end(), 0.0f);
  parallel_for(dy.shape.n, 1, [=](int64_t first, int64_t last) {
    for_each_tap(dx.shape, dy.shape, blur, first, last,
                 [=](int to, int from, float weight) { add(&dy[from], &dx[to], dx.shape.c, weight); });
  });
}

}  // namespace osprey::cpu
