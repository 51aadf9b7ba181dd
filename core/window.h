// A window that slides over one axis of an image; convolution and pooling share it, on both devices.
#pragma once

#include "core/device.h"

namespace osprey {

struct Window {
  int size = 1, stride = 1;
  int before = 0;   // rows of padding before the image
  int padding = 0;  // rows of padding on both sides together
  int dilation = 1;

  HOST_DEVICE int reach() const { return (size - 1) * dilation + 1; }  // inputs from first to last tap
  HOST_DEVICE int outputs(int inputs) const { return (inputs + padding - reach()) / stride + 1; }
  HOST_DEVICE int start(int output) const { return output * stride - before; }
  // The outputs whose window covers an input (for dilation 1): the inverse of start().
  HOST_DEVICE int first_over(int input) const {
    const int beyond = input + before - size + stride;
    return beyond < 0 ? 0 : beyond / stride;
  }
  HOST_DEVICE int last_over(int input) const { return (input + before) / stride; }
};

// Darknet's pooling rule: `padding` counts both sides, and the odd row goes after the image, not before it.
HOST_DEVICE inline Window pooling_window(int size, int stride, int padding) {
  return {size, stride, padding / 2, padding, 1};
}

// Convolution pads both sides alike. Darknet leaves dilation out of the output size by padding
// `padding * dilation` (reference: AlexeyAB's im2col), so odd sizes with pad=1 keep the image's size.
HOST_DEVICE inline Window convolution_window(int size, int stride, int padding, int dilation) {
  return {size, stride, padding * dilation, 2 * padding * dilation, dilation};
}

// PyTorch's pooling rule: `padding` on each side. With `round_up` a last window may hang over the edge, but
// not start beyond the image and the padding before it.
HOST_DEVICE inline Window averaging_window(int inputs, int size, int stride, int padding, bool round_up) {
  Window window{size, stride, padding, 2 * padding, 1};
  if (!round_up) return window;
  int outputs = (inputs + 2 * padding - size + stride - 1) / stride + 1;
  if ((outputs - 1) * stride >= inputs + padding) --outputs;
  window.padding = (outputs - 1) * stride + size - inputs;
  return window;
}

struct Window2 {  // one for each axis
  Window h, w;
};

}  // namespace osprey
