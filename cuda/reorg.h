// The contract of [reorg] and [reorg3d], Darknet's rearrangement of pixels into channels. The CPU side is in
// layers/reorg.cpp, the kernels in cuda/reorg.cu.
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
//
// pjreddie's further forms, whose output has the input's shape or none: flatten exchanges the order c, h, w
// for h, w, c, and extra appends zeros.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

struct Reorg {
  Shape frame;  // h, w, c of the formula
  int stride = 1;
  bool reverse = false, flatten = false;
  int extra = 0;

  // The index in an input of shape `in` of what becomes value i of `out`; -1 for an appended zero.
  HOST_DEVICE int source(Shape in, Shape out, int i) const {
    const auto [n, h, w, c] = out.pixel(i);
    const int number = (c * out.h + h) * out.w + w;
    const int from = extra > 0 ? number : flatten ? flattened(in, number) : moved(number);
    if (from >= in.size() / in.n) return -1;
    return in.index(n, from / in.w % in.h, from % in.w, from / (in.w * in.h));
  }

 private:
  HOST_DEVICE int flattened(Shape in, int number) const {
    const int pixels = in.h * in.w;
    return reverse ? number % pixels * in.c + number / pixels : number % in.c * pixels + number / in.c;
  }

  HOST_DEVICE int moved(int number) const { return reverse ? near_of(number) : far_of(number); }

  HOST_DEVICE int channels() const { return frame.c / (stride * stride); }

  HOST_DEVICE int far_of(int near) const {
    const int i = near % frame.w, j = near / frame.w % frame.h, k = near / (frame.w * frame.h);
    const int offset = k / channels();
    const int column = i * stride + offset % stride, row = j * stride + offset / stride;
    return column + frame.w * stride * (row + frame.h * stride * (k % channels()));
  }

  HOST_DEVICE int near_of(int far) const {
    const int column = far % (frame.w * stride), row = far / (frame.w * stride) % (frame.h * stride);
    const int offset = row % stride * stride + column % stride;
    const int k = offset * channels() + far / (frame.w * stride * frame.h * stride);
    return column / stride + frame.w * (row / stride + frame.h * k);
  }
};

namespace cpu {
void reorg_forward(Stream&, View<const float> x, View<float> y, Reorg);
void reorg_backward(Stream&, View<const float> dy, View<float> dx, Reorg);  // adds to dx
}  // namespace cpu

namespace cuda {
void reorg_forward(Stream&, Tensor x, Tensor y, Reorg);
void reorg_backward(Stream&, Tensor dy, Tensor dx, Reorg);
}  // namespace cuda

}  // namespace osprey
