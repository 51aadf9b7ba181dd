// One axis of bilinear resizing, as PyTorch's interpolate does it: where output i lies among the inputs.
//
//   align_corners: i (in - 1) / (out - 1)        otherwise: max(0, (i + 0.5) in / out - 0.5)
#pragma once

#include "core/device.h"

namespace osprey {

class BilinearAxis {
 public:
  // Value of an output: (1 - share) x[low] + share x[high].
  struct Tap {
    int low, high;
    float share;

    // Of the input in that value; low and high may be one.
    HOST_DEVICE float weight_of(int input) const {
      return (low == input ? 1 - share : 0.0f) + (high == input ? share : 0.0f);
    }
  };

  HOST_DEVICE BilinearAxis(int inputs, int outputs, bool align_corners)
      : inputs_(inputs), outputs_(outputs), offset_(align_corners ? 0 : 0.5f) {
    step_ = !align_corners ? float(inputs) / float(outputs)
            : outputs > 1  ? float(inputs - 1) / float(outputs - 1)
                           : 0.0f;
  }

  HOST_DEVICE Tap tap(int output) const {
    const float exact = (float(output) + offset_) * step_ - offset_;
    const float place = exact > 0 ? exact : 0.0f;
    int low = int(place);
    if (low > inputs_ - 1) low = inputs_ - 1;
    return {low, low + 1 < inputs_ ? low + 1 : low, place - float(low)};
  }

  // No output before the first or from the end on reads the input; some in between may not, either.
  HOST_DEVICE int first_reader(int input) const { return step_ > 0 ? inside(around(input - 1) - 1) : 0; }
  HOST_DEVICE int end_of_readers(int input) const {
    return step_ > 0 ? inside(around(input + 1) + 3) : outputs_;
  }

 private:
  // The output next to a place among the inputs, up to one.
  HOST_DEVICE int around(int place) const { return int((float(place) + offset_) / step_ - offset_); }
  HOST_DEVICE int inside(int output) const { return output < 0 ? 0 : output > outputs_ ? outputs_ : output; }

  int inputs_, outputs_;
  float offset_, step_;
};

}  // namespace osprey
