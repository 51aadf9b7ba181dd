// Convolution of 3x3 windows with stride 1 by fewer products: Winograd's minimal filtering F(m x m, 3 x 3)
// (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). A tile of m x m outputs, from
// (m + 2)^2 inputs, takes (m + 2)^2 products instead of 9 m^2: 2.25 times fewer for m = 2, 4 for m = 4, 4.59
// for m = 5, 5.06 for m = 6. The price is accuracy: sums of numbers larger than the result. Measured
// against sums in double, one layer is off by at most 7e-7, 3e-6, 7e-6 and 2e-5 of the root mean square
// (tests/layers/simd).
// With stride 2 even and odd rows and columns of the input are convolutions of their own, with 2 taps and
// with 1, whose sums are added: 4x4 outputs, from 9x9 inputs, take (5 + 4)^2 products instead of 144.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/lifetimes.h"
#include "core/tensor.h"
#include "cuda/convolution.h"
#include "layers/filter_weights.h"
#include "layers/simd/epilogue.h"

namespace osprey::simd {

class Winograd {
 public:
  static bool fits(const Convolution&, int stride = 1);  // whether windows are 3x3, with this stride

  // m is 2, 4 or 6. `rounds`: with m = 2 the transformed inputs and weights are rounded to bf16, which
  // has_bf16_products() must allow; with others too much would be lost. Where it does allow it, the input may
  // be in bf16, too, and the output, as its epilogue says.
  static Winograd forward(PitchedShape x, PitchedShape y, const Convolution&, int m, bool rounds = false,
                          Type x_type = Type::f32);
  // m is 4 or 5, and the packed weights are no more than those of the layer: they are transformed piece by
  // piece, as they are used, for each block of tiles again. Every digit is that of the other form, which has
  // no m = 5. And with m = 4 the stride may be 2.
  static Winograd forward_late(PitchedShape x, PitchedShape y, const Convolution&, int m,
                               Type x_type = Type::f32);
  static Winograd backward_data(Shape x, Shape y, const Convolution&, int m, bool rounds = false,
                                Type y_type = Type::f32);
  // It may make no more than the largest of each 2x2 outputs, where m is 2 or 4, the stride 1, and rows and
  // columns of the output are even: `out` is {n, h / 2, w / 2, c} then, with the pitch of y. Without a
  // residual.
  bool pools() const { return (m_ == 2 || m_ == 4) && stride_ == 1 && out_.h % 2 == 0 && out_.w % 2 == 0; }
  void pool() { pools_ = true; }

  int64_t packed_size() const;  // in floats
  // From weights {filters, 3, 3, c}.
  void pack(const FilterWeights&, float* packed) const;
  void run(const void* in, const float* packed, const Epilogue&, void* out) const;

  // What the loops of winograd.cpp work on, which are compiled for several kinds of processor.

  // Some tiles and their values, in planes: inputs[piece][plane][tile][channel of the piece], and of some
  // panels at a time products[plane][panel][tile][filter].
  struct Block {
    int64_t first_tile = 0, tiles = 0;
    int panels = 0;
    float *inputs = nullptr, *products = nullptr;
  };
  int points() const { return (m_ + 2) * (m_ + 2); }
  // A plane is what meets the weights of one point. With stride 2 all odd pixels of a row or column, its last
  // values, meet those of the last point.
  int side() const { return (m_ - 1) * stride_ + 3; }
  int planes() const { return side() * side(); }
  int point_of(int plane) const {
    return std::min(plane / side(), m_ + 1) * (m_ + 2) + std::min(plane % side(), m_ + 1);
  }
  int panels() const { return (out_.c + panel_ - 1) / panel_; }
  // Channels of a piece: all, or as many as have weights that fit into the second cache when transformed.
  static constexpr int kLateChannels = 64;
  int64_t input_row() const {
    const int whole_vectors = (in_.c + lanes_ - 1) / lanes_ * lanes_;
    return late_ ? std::min(kLateChannels, whole_vectors) : whole_vectors;
  }
  // Where the weights of a piece, which begins with this channel, and a panel lie:
  // packed[piece][panel][channel of the piece][tap][filter].
  int64_t late_place(int channel, int panel) const {
    return (int64_t(channel) * panels() + int64_t(panel) * late_channels(channel)) * 9 * panel_;
  }
  int late_channels(int channel) const {
    return channel + kLateChannels < in_.c ? kLateChannels : in_.c - channel;
  }
  int pieces() const { return int((in_.c + input_row() - 1) / input_row()); }
  // From one point or plane to the next, where each has so many values. An odd number of lines: what lies at
  // a large power of two from each other has but a few places in a cache.
  static constexpr int64_t kLine = kAlignment / sizeof(float);
  static constexpr int64_t point_step(int64_t values) { return ((values + kLine - 1) / kLine | 1) * kLine; }
  int64_t input_plane(const Block& b) const { return point_step(b.tiles * input_row()); }
  int64_t product_plane(const Block& b) const { return point_step(b.tiles * b.panels * panel_); }
  // From a tile to the next: [panel][tile][filter], or [tile][panel][filter] for bf16, where what becomes of
  // products takes longer than they do.
  int64_t product_row(const Block& b) const { return rounds_ ? int64_t(b.panels) * panel_ : panel_; }
  float* products_at(const Block& b, int plane, int panel) const {
    return b.products + plane * product_plane(b) + panel * (rounds_ ? 1 : b.tiles) * panel_;
  }
  // Weights of a point and a panel; channels come in pairs in bf16.
  int64_t chunk() const { return int64_t(rounds_ ? (in_.c + 1) / 2 * 2 : in_.c) * panel_; }
  int64_t tiles() const { return int64_t(out_.n) * tiles_h_ * tiles_w_; }

  // Memory of a thread for transformed tiles, which grows with its first networks; then nothing is allocated
  // any more. What was in it is lost.
  static float* memory(int64_t floats);
  float* memory_of_products(const Block&) const;  // behind the inputs, for the thread whose block it is
  float* memory_of_late_weights() const;          // of a piece and a panel

  PitchedShape in_, out_;
  int m_, before_h_, before_w_;
  bool reversed_;  // the gradient of the input: taps turned round, filters and channels exchanged
  bool rounds_, late_ = false, pools_ = false;
  int stride_ = 1;
  Type in_type_;
  int panel_, lanes_;  // filters that are packed side by side; values of a vector
  int tiles_h_, tiles_w_;

 private:
  Winograd(PitchedShape in, PitchedShape out, int m, int before_h, int before_w, bool reversed, bool rounds,
           Type in_type);
  // Of some tiles in all planes, in floats.
  int64_t inputs_of(int64_t tiles) const {
    return pieces() * planes() * point_step(tiles * input_row()) / (rounds_ ? 2 : 1);
  }
  int64_t products_of(int64_t tiles, int panels) const {
    return planes() * point_step(tiles * panels * panel_);
  }
  int64_t tiles_in_block() const;
  Block block_of(int64_t first, int64_t last) const;
};

}  // namespace osprey::simd
