// Darknet's rearrangement of pixels into channels, shared by [reorg] and [reorg3d].
//
// Darknet numbers the values of an image in the order c, h, w. For every channel k, row j and column i of a
// frame of w x h x c, with m = c / (s s) and an offset k / m in a block of s x s pixels,
//
//   near = i + w (j + h k)
//   far  = (i s + k/m mod s) + w s ((j s + k/m / s) + h s (k mod m))
//
// and output[near] = input[far]; in reverse output[far] = input[near]. `far` counts in an image of ws x hs x
// m. So the frame of the output gives a true space-to-depth with output channel (dy s + dx) m + k. Darknet's
// [reorg] however takes the frame of its input, which mixes rows and channels, and networks were trained so.
#pragma once

#include "core/parallel.h"
#include "core/stream.h"
#include "core/view.h"

namespace osprey {

struct Reorg {
  Shape frame;  // h, w, c of the formula
  int stride = 1;
  bool reverse = false;

  // The position in an input of shape `in` (as it lies in memory, within its image) of value (h, w, c) of
  // `out`.
  int source(Shape in, Shape out, int h, int w, int c) const {
    const int number = (c * out.h + h) * out.w + w;
    const int from = reverse ? near_of(number) : far_of(number);
    return (from / in.w % in.h * in.w + from % in.w) * in.c + from / (in.w * in.h);
  }

 private:
  int channels() const { return frame.c / (stride * stride); }

  int far_of(int near) const {
    const int i = near % frame.w, j = near / frame.w % frame.h, k = near / (frame.w * frame.h);
    const int offset = k / channels();
    const int column = i * stride + offset % stride, row = j * stride + offset / stride;
    return column + frame.w * stride * (row + frame.h * stride * (k % channels()));
  }

  int near_of(int far) const {
    const int column = far % (frame.w * stride), row = far / (frame.w * stride) % (frame.h * stride);
    const int offset = row % stride * stride + column % stride;
    const int k = offset * channels() + far / (frame.w * stride * frame.h * stride);
    return column / stride + frame.w * (row / stride + frame.h * k);
  }
};

namespace cpu {

// visit(position in the output, position in the input) for every value of a mini-batch.
template <class Visit>
void for_each_moved(const Reorg& reorg, Shape in, Shape out, Visit&& visit) {
  const int image = in.h * in.w * in.c;
  parallel_for(out.n * out.h, 1 + 8192 / (int64_t(out.w) * out.c), [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int n = row / out.h, h = row % out.h;
      for (int w = 0; w < out.w; ++w)
        for (int c = 0; c < out.c; ++c)
          visit(out.index(n, h, w, c), n * image + reorg.source(in, out, h, w, c));
    }
  });
}

inline void reorg_forward(Stream&, View<const float> x, View<float> y, Reorg reorg) {
  for_each_moved(reorg, x.shape, y.shape, [=](int to, int from) { y[to] = x[from]; });
}

// Adds to dx. Each value has one place to go, so no two threads meet.
inline void reorg_backward(Stream&, View<const float> dy, View<float> dx, Reorg reorg) {
  for_each_moved(reorg, dx.shape, dy.shape, [=](int to, int from) { dx[from] += dy[to]; });
}

}  // namespace cpu
}  // namespace osprey
