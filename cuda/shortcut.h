// The contract of [shortcut], whose formulas are in layers/shortcut.cpp, as is the CPU side; the kernels are
// in cuda/shortcut.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"
#include "cuda/row_chunks.h"

namespace osprey {

// Which pixels of x and y are added: x(i * x_step, j * x_step) and y(i * y_step, j * y_step) for i < h, j <
// w, and of their channels the first c.
struct Meeting {
  int h = 0, w = 0, c = 0;
  int x_step = 1, y_step = 1;
};

// What multiplies a layer: one number for each channel, or if `each` is empty one for all.
struct Factor {
  View<const float> each;
  float all = 1;

  HOST_DEVICE float operator()(int c) const { return each ? each[c] : all; }
};

enum class WeightNormalisation { none, relu, avg_relu, softmax };  // avg_relu is relu, as in Darknet

// Weights of AlexeyAB's normalisations count at least so much, and their sums at least so much.
constexpr float kWeightFloor = 1e-3f, kWeightEpsilon = 1e-4f;

// Scratch of shortcut_factor_gradients; kernels only.
inline Shape shortcut_partial(Shape y) { return {1, 1, row_chunks(y.rows(), y.c), y.c}; }

namespace cpu {
// y = a + b, where b may have fewer or more channels: y and a have as many.
void shortcut_sum(Stream&, Tensor a, Tensor b, Tensor y);
// to = factor * from
void shortcut_scale(Stream&, Tensor from, Tensor to, Factor);
// y = alpha y + factor x where they meet
void shortcut_add(Stream&, Tensor x, Tensor y, Factor, float alpha, Meeting);
// dx += factor dy where they meet
void shortcut_backward(Stream&, Tensor dy, Tensor dx, Factor, Meeting);
// dx = factor dy where they meet, and zero elsewhere
void shortcut_backward_overwrite(Stream&, Tensor dy, Tensor dx, Factor, Meeting);
// weights [1, 1, layers, 1 or c] -> factors [1, 1, layers, c]
void shortcut_factors(Stream&, View<const float> weights, View<float> factors, WeightNormalisation);
// factor_gradients [1, 1, layers, c]: row `layer` becomes the sum over pixels of dy x.
void shortcut_factor_gradients(Stream&, View<const float> dy, View<const float> x,
                               View<float> factor_gradients, int layer, View<float> partial);
// Through the normalisation; adds to weight_gradients, and may destroy factor_gradients.
void shortcut_weight_gradients(Stream&, View<const float> weights, View<float> factor_gradients,
                               View<float> weight_gradients, WeightNormalisation);
}  // namespace cpu

namespace cuda {
void shortcut_sum(Stream&, Tensor a, Tensor b, Tensor y);
void shortcut_scale(Stream&, Tensor from, Tensor to, Factor);
void shortcut_add(Stream&, Tensor x, Tensor y, Factor, float alpha, Meeting);
void shortcut_backward(Stream&, Tensor dy, Tensor dx, Factor, Meeting);
void shortcut_backward_overwrite(Stream&, Tensor dy, Tensor dx, Factor, Meeting);
void shortcut_factors(Stream&, View<const float> weights, View<float> factors, WeightNormalisation);
void shortcut_factor_gradients(Stream&, Tensor dy, Tensor x, View<float> factor_gradients, int layer,
                               View<float> partial);
void shortcut_weight_gradients(Stream&, View<const float> weights, View<float> factor_gradients,
                               View<float> weight_gradients, WeightNormalisation);
}  // namespace cuda

}  // namespace osprey
