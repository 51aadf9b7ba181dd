#include "tests/layers/simd/convolution_trial.h"

#include <hwy/targets.h>

#include <cmath>

namespace osprey::convolution_tests {

const std::vector<Case> kCases = {
    {{1, 1, 1, 1}, 1, 1},
    {{2, 5, 7, 3}, 16, 3, 1, 1},
    {{1, 9, 14, 3}, 33, 3, 2, 1},
    {{2, 21, 23, 3}, 20, 3, 1, 1},
    {{1, 8, 43, 3}, 16, 3, 1, 1},  // a picture, whose windows share columns
    {{1, 11, 57, 3}, 4, 3, 2, 1},
    {{1, 9, 40, 3}, 13, 3, 2, 0},
    {{1, 12, 11, 4}, 8, 7, 2, 3},
    {{2, 13, 13, 17}, 31, 3, 1, 1},
    {{1, 6, 6, 40}, 70, 3, 1, 0},
    {{1, 8, 5, 33}, 20, 3, 2, 1},
    {{3, 7, 6, 65}, 48, 1},
    {{1, 9, 9, 20}, 5, 1, 2},
    {{1, 5, 4, 2}, 3, 4, 3, 2},
    {{1, 11, 10, 4}, 6, 2, 5, 0},  // gaps between windows
    {{1, 9, 8, 2}, 3, 3, 7, 1},
    {{1, 3, 4, 4}, 5, 33, 2, 16},  // windows much larger than the image
    {{1, 3, 2, 3}, 5, 9, 1, 20},   // some that see nothing of it
    {{1, 10, 9, 5}, 6, 3, 1, 1, 2},
    {{1, 3, 3, 16}, 16, 5, 1, 2},
    {{1, 20, 21, 32}, 64, 3, 1, 2},
    {{2, 9, 8, 3}, 8, 3, 2, 1},
    {{2, 16, 16, 3}, 8, 3, 2, 1},
    {{1, 9, 21, 3}, 4, 3, 2, 1},
    {{1, 7, 9, 8}, 8, 1},  // filters that fill a half of a vector or a quarter
    {{2, 5, 7, 12}, 4, 1},
    {{1, 9, 8, 6}, 8, 3, 2, 1},
    {{1, 6, 7, 8}, 4, 5, 1, 0},
    {{1, 6, 5, 12}, 18, 3, 1, 1, 1, 3},
    {{1, 6, 5, 9}, 9, 3, 1, 1, 1, 9},
};

const std::vector<Case> kGroupCases = {
    {{2, 7, 21, 8}, 8, 3, 1, 1, 1, 8},     {{1, 8, 23, 24}, 24, 3, 1, 1, 1, 24},
    {{1, 9, 37, 24}, 24, 3, 2, 1, 1, 24},  {{1, 5, 26, 40}, 40, 5, 1, 2, 1, 40},
    {{1, 11, 40, 35}, 35, 5, 2, 2, 1, 35}, {{1, 7, 30, 3}, 3, 3, 1, 0, 1, 3},
    {{1, 10, 9, 32}, 32, 7, 1, 3, 1, 32},  {{1, 12, 13, 16}, 16, 3, 1, 1, 2, 16},
    {{2, 8, 11, 18}, 18, 3, 3, 1, 1, 18},  {{1, 2, 2, 16}, 16, 5, 2, 2, 1, 16},
    {{1, 3, 2, 16}, 16, 9, 1, 20, 1, 16},  {{1, 6, 19, 32}, 32, 3, 1, 1, 1, 8},
    {{1, 7, 9, 24}, 24, 3, 2, 1, 1, 6},    {{1, 5, 12, 12}, 12, 3, 1, 1, 1, 6},
    {{1, 6, 20, 20}, 40, 3, 1, 1, 1, 20},  {{1, 4, 18, 8}, 16, 1, 1, 0, 1, 4},
    {{1, 6, 5, 24}, 40, 3, 1, 1, 1, 8},    {{1, 5, 6, 48}, 96, 3, 1, 1, 1, 2},
};

const std::vector<Case> kWinogradCases = {{{2, 13, 13, 17}, 31, 3, 1, 1},
                                          {{1, 6, 6, 40}, 70, 3, 1, 0},
                                          {{1, 20, 21, 32}, 64, 3, 1, 2},
                                          {{1, 52, 52, 16}, 16, 3, 1, 1}};

namespace {

// Calls body(index in x, index in y, index in weights) for every product.
template <class Body>
void for_products(const Case& c, Body&& body) {
  const Convolution k = c.convolution();
  const Shape x = c.x, y = c.y(), w = c.weights();
  const int filters = y.c / c.groups;
  for (int n = 0; n < y.n; ++n)
    for (int i = 0; i < y.h; ++i)
      for (int j = 0; j < y.w; ++j)
        for (int p = 0; p < w.h; ++p)
          for (int q = 0; q < w.w; ++q) {
            const int row = k.window.h.start(i) + p * c.dilation,
                      column = k.window.w.start(j) + q * c.dilation;
            if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
            for (int f = 0; f < y.c; ++f)
              for (int ch = 0; ch < w.c; ++ch)
                body(x.index(n, row, column, f / filters * w.c + ch), y.index(n, i, j, f),
                     w.index(f, p, q, ch));
          }
}

}  // namespace

Doubles true_sums(const Case& c, const Values& x, const Values& weights) {
  Doubles y(size_t(c.y().elements()));
  for_products(c, [&](int i, int o, int k) { y[size_t(o)] += double(x[size_t(i)]) * weights[size_t(k)]; });
  return y;
}

double relative_error(const View<float>& got, const Doubles& want) {
  double difference = 0, size = 0;
  for (int i = 0; i < got.size(); ++i) {
    difference += std::pow(got[i] - want[size_t(i)], 2);
    size += std::pow(want[size_t(i)], 2);
  }
  return std::sqrt(difference / size);
}

double bound_of(Algorithm a) {
  if (a == Algorithm::winograd6) return 2e-5;
  if (a == Algorithm::winograd5) return 5e-6;
  return a == Algorithm::winograd4 || a == Algorithm::automatic ? 4e-6 : 1e-6;
}

Trial::Trial(const Case& c, CpuConvolution::Options options, int x_pitch, int y_pitch)
    : convolution({c.x, x_pitch}, {c.y(), y_pitch}, c.convolution(), options) {
  packed_memory.reserve(size_t(convolution.packed_size()) * sizeof(float));
  scratch_memory.reserve(size_t(convolution.scratch_size()) * sizeof(float));
  packed = {reinterpret_cast<float*>(packed_memory.data()), {1, 1, 1, convolution.packed_size()}};
  scratch = {reinterpret_cast<float*>(scratch_memory.data()), {1, 1, 1, convolution.scratch_size()}};
  std::fill(packed.begin(), packed.end(), NAN);
  std::fill(scratch.begin(), scratch.end(), NAN);
}

Values Trial::forward(const Case& c, Values& x, const Values& weights, const CpuConvolution::Epilogue& e) {
  Values y(size_t(c.y().elements()), NAN);
  convolution.pack(weights.data(), packed);
  convolution.forward({x.data(), c.x}, packed, e, {y.data(), c.y()}, scratch);
  return y;
}

void expect_all_directions(const Case& c, Algorithm algorithm, bool bf16_products) {
  SCOPED_TRACE(c.text() + ", " + kConvolutionAlgorithms[int(algorithm)]);
  // A factor of bf16 is off by 2^-9 at most, and by a third of that on average; the transforms of Winograd's
  // smallest tiles add up four and nine of them.
  const double bound = bf16_products ? 5e-3 : bound_of(algorithm);
  CpuConvolution::Options options;
  options.algorithm = algorithm;
  options.bf16_products = bf16_products;
  Trial trial(c, options);
  Values x = random_values(c.x, 1), w = random_values(c.weights(), 2), dy = random_values(c.y(), 3);
  Doubles y_true(dy.size()), dx_true(x.size()), dw_true(w.size());
  for_products(c, [&](int i, int o, int k) {
    y_true[size_t(o)] += double(x[size_t(i)]) * w[size_t(k)];
    dx_true[size_t(i)] += double(dy[size_t(o)]) * w[size_t(k)];
    dw_true[size_t(k)] += double(dy[size_t(o)]) * x[size_t(i)];
  });
  const View<float> vx{x.data(), c.x}, vw{w.data(), c.weights()}, vdy{dy.data(), c.y()};
  Values y(dy.size(), NAN), dx(x.size(), NAN), dw(w.size(), 0);
  const View<float> vy{y.data(), c.y()}, vdx{dx.data(), c.x}, vdw{dw.data(), c.weights()};
  trial.convolution.pack(w.data(), trial.packed);
  trial.convolution.forward(vx, trial.packed, {}, vy, trial.scratch);
  EXPECT_LE(relative_error(vy, y_true), bound);
  trial.convolution.backward_data(vdy, vw, vdx, false, trial.scratch);
  EXPECT_LE(relative_error(vdx, dx_true), bound);
  trial.convolution.backward_weights(vx, vdy, vdw, trial.scratch);
  EXPECT_LE(relative_error(vdw, dw_true), bound);
  // Both gradients can be added to what is there.
  trial.convolution.backward_data(vdy, vw, vdx, true, trial.scratch);
  trial.convolution.backward_weights(vx, vdy, vdw, trial.scratch);
  for (double& v : dx_true) v *= 2;
  for (double& v : dw_true) v *= 2;
  EXPECT_LE(relative_error(vdx, dx_true), bound);
  EXPECT_LE(relative_error(vdw, dw_true), bound);
}

void on_each_processor(const std::function<void()>& body) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
}

std::vector<Algorithm> with_onednn(std::vector<Algorithm> ours) {
  if (OneDnnConvolution::built()) ours.push_back(Algorithm::onednn);
  return ours;
}

}  // namespace osprey::convolution_tests
