// The window of Darknet's pooling layers, and the keys that say it.
#pragma once

#include "core/window.h"
#include "layers/layer.h"

namespace osprey {

class PoolingWindow {
 public:
  void keys(Keys& k) {
    k.integer("stride", stride_, 1).between(1, 65536).help("pixels from one window to the next");
    k.integer("stride_x", stride_x_, stride_)
        .between(1, 65536)
        .shown_as("stride")
        .help("the same, along a row only");
    k.integer("stride_y", stride_y_, stride_)
        .between(1, 65536)
        .shown_as("stride")
        .help("the same, down a column only");
    k.integer("size", size_, stride_).between(1, 65536).shown_as("stride").help("side of the square window");
    k.integer("padding", padding_, size_ - 1)
        .between(0, 131072)
        .shown_as("size - 1")
        .help("rows (and columns) added around the image, both sides together");
  }

  // The windows over the input, which must have at least a pixel of it each; `dense`: of stride 1.
  Window2 plan(const Plan& p, bool dense = false) const {
    const Shape in = p.input();
    p.require((padding_ + 1) / 2 < size_, "padding", "padding leaves windows with no pixel of the image");
    p.require(in.h + padding_ >= size_ && in.w + padding_ >= size_, "size",
              fmt::format("a window of {} does not fit an input of {}", size_, in.text()));
    return {pooling_window(size_, dense ? 1 : stride_y_, padding_),
            pooling_window(size_, dense ? 1 : stride_x_, padding_)};
  }

  int stride_x() const { return stride_x_; }
  int stride_y() const { return stride_y_; }
  bool is_one_pixel() const { return size_ == 1 && stride_x_ == 1 && stride_y_ == 1 && padding_ == 0; }

  LayerSummary summary(Shape output) const {
    const std::string strides =
        stride_x_ == stride_y_ ? std::to_string(stride_x_) : fmt::format("{}x{}", stride_x_, stride_y_);
    return {0, fmt::format("{0}x{0}/{1}", size_, strides),
            double(size_) * size_ * output.h * output.w * output.c};
  }

 private:
  int size_ = 1, stride_ = 1, stride_x_ = 1, stride_y_ = 1, padding_ = 0;
};

}  // namespace osprey
