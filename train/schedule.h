// How the learning rate and the input size change in the course of a training.
#pragma once

#include <cstdint>
#include <utility>

#include "models/net_section.h"

namespace osprey {

// The rate of an iteration; the first one is 1. During burn-in (iteration / burn_in)^power of the base rate,
// then as the policy says. The reference is Darknet's get_current_rate; steps count from the start of
// training. With warmup=linear or constant the policy's rate is multiplied by a factor during burn-in: of
// iteration i, start + (1 - start) (i - 1) / burn_in, or start; as PyTorch's LinearLR and ConstantLR beside
// MultiStepLR, and detectron2's WarmupMultiStepLR. Those count iterations from 0: their milestone of m is a
// step of m + 1 here.
float learning_rate(const NetSection& net, int64_t iteration, uint64_t seed);

// Multi-scale training: every ten iterations another size, between 1 / coefficient and coefficient times that
// of the .cfg, in multiples of resize_step; the last 100 iterations take the largest. AlexeyAB's rule, which
// is on average one step larger than the factor drawn. `random` is the key of the last head: 0 for off, 1 for
// a coefficient of 1.4, else the coefficient itself.
class MultiScale {
 public:
  MultiScale(const NetSection& net, float random, uint64_t seed);

  bool on() const { return coefficient_ > 1; }
  std::pair<int, int> size(int64_t iteration) const;  // width, height; the first iteration is 0
  std::pair<int, int> largest() const;

 private:
  std::pair<int, int> scaled(float factor) const;

  int width_, height_, step_;
  int64_t max_batches_;
  float coefficient_;
  uint64_t seed_;
};

}  // namespace osprey
