// Sums over windows in groups narrower than a vector: depthwise convolutions, of one channel to a group, and
// those of a few. The lanes are channels of several groups, so that pixels are read as they lie.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "cuda/convolution.h"
#include "layers/filter_weights.h"
#include "layers/simd/epilogue.h"
#include "layers/simd/lattice.h"

namespace osprey::simd {

class GroupProduct {
 public:
  // Groups of at most half a vector, whose output channels divide a vector and are no fewer than their
  // inputs.
  static bool fits(int in_channels, int out_channels, int groups);

  GroupProduct(Shape in, Shape out, int groups, LatticeAxis h, LatticeAxis w, WeightOrder);

  // y = x * weights, for weights {filters, h, w, c / groups}.
  static GroupProduct forward(Shape x, Shape y, const Convolution&);
  // dx from dy, as WindowProduct::backward_data.
  static std::vector<GroupProduct> backward_data(Shape x, Shape y, const Convolution&);

  int64_t pixels() const { return int64_t(h_.count) * w_.count; }  // that it makes of an image
  int64_t packed_size() const;                                     // in floats
  void pack(const FilterWeights&, float* packed) const;
  // `in` and `out` are of floats.
  void run(const void* in, const float* packed, const Epilogue&, void* out) const;
  // Some rows of one image, as ConvolutionRows::run_rows; only where it makes every row.
  void run_rows(const void* in, const float* packed, const Epilogue&, void* out, int first, int last) const;

  // dweights += their gradient, of a product made by forward(). What is added does not depend on the number
  // of threads. Needs gradient_scratch() floats.
  void add_weight_gradient(const float* x, const float* dy, float* dweights, float* scratch) const;
  int64_t gradient_scratch() const;

  // For the loops of group_product.cpp and group_gradient.cpp, which are compiled for several kinds of
  // processor.
  int64_t rows() const { return int64_t(out_.n) * h_.count; }
  int taps() const { return int(w_.taps.size()) * in_channels_; }   // in a row of the window, of each channel
  int units() const { return (w_.count + pixels_ - 1) / pixels_; }  // in a row of the lattice
  int unit_channels() const { return pixels_ * out_.c; }
  // body(place in the packed weights, place in the unpacked ones), packed as
  // [vector][tap row][tap][channel of the group][lane]; a weight is there once for each pixel of a unit.
  template <class Body>
  void for_packed(Body&& body) const {
    int64_t packed = 0;
    for (int v = 0; v < vectors_; ++v)
      for (const LatticeAxis::Tap& row : h_.taps)
        for (const LatticeAxis::Tap& column : w_.taps)
          for (int i = 0; i < in_channels_; ++i, packed += lanes_)
            for (int lane = 0; lane < std::min(lanes_, unit_channels() - v * lanes_); ++lane) {
              const int filter = (v * lanes_ + lane) % out_.c;
              body(packed + lane, filter / out_channels_ * order_.group +
                                      filter % out_channels_ * order_.out + i * order_.in +
                                      row.index * order_.row + column.index * order_.column);
            }
  }
  // Where the inputs of vector v of a unit begin: in floats from those of the unit.
  int64_t in_offset(int v) const { return int64_t(v) * lanes_ / out_channels_ * in_channels_; }

  Shape in_, out_;
  int in_channels_, out_channels_;  // of a group
  LatticeAxis h_, w_;               // taps in the order of their offsets
  WeightOrder order_;
  int lanes_;
  // Where channels fill vectors badly, neighbouring pixels share them: a unit is so many pixels, and so many
  // vectors.
  int pixels_ = 1, vectors_;
};

}  // namespace osprey::simd
