// The gradient of the weights of 3x3 windows with stride 1 by fewer products: the adjoint of Winograd's
// minimal filtering (winograd.h). Tiles of x are transformed as in the forward pass, tiles of m x m values of
// dy by the transpose of its last transform; the sums over tiles of their products at each of the (m + 2)^2
// points, turned back, are the gradient: as many times fewer products as forward.
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "cuda/convolution.h"

namespace osprey::simd {

class WinogradGradient {
 public:
  // For a Convolution that Winograd::fits(), and m of 2 or 4. `rounds`: the transformed values are rounded to
  // bf16, which has_bf16_products() must allow; with m above 2 too much is lost. Where it does, x and dy may
  // be in bf16, too.
  WinogradGradient(Shape x, Shape y, const Convolution&, int m, bool rounds);

  // dweights {filters, 3, 3, c} += the gradient, tile after tile, whatever the number of threads.
  void add(Tensor x, Tensor dy, float* dweights) const;

  // What the loops of winograd_gradient.cpp work on, which are compiled for several kinds of processor.

  // Some tiles and their values at each point, [point][group of channels][step][lane]: a group is as many
  // channels as a vector holds, a step is a tile, or in bf16 two, side by side for each lane.
  struct Block {
    int64_t first_tile = 0, tiles = 0, steps = 0;
    float *x = nullptr, *dy = nullptr;
  };
  int points() const { return (m_ + 2) * (m_ + 2); }
  int groups(const Shape& s) const { return (s.c + lanes_ - 1) / lanes_; }
  int64_t tiles() const { return int64_t(y_.n) * tiles_h_ * tiles_w_; }

  PitchedShape x_, y_;
  int m_, before_h_, before_w_;
  bool rounds_;
  int lanes_;  // values of a vector
  int tiles_h_, tiles_w_;

 private:
  int64_t tiles_in_block() const;
  Block block_of(int64_t first, int64_t last) const;
};

}  // namespace osprey::simd
