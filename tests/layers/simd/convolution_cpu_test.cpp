// Every algorithm of the CPU's convolution, for every kind of processor that this one can play, beside sums
// in double.
#include "layers/convolution_cpu.h"

#include <hwy/targets.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "core/activations.h"
#include "core/arena.h"
#include "core/bf16.h"
#include "core/error.h"
#include "core/parallel.h"
#include "cuda/maxpool.h"
#include "layers/simd/outer_product.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

using Algorithm = ConvolutionAlgorithm;

struct Case {
  Shape x;
  int filters, size, stride = 1, padding = 0, dilation = 1, groups = 1;

  Convolution convolution() const {
    const Window window = convolution_window(size, stride, padding, dilation);
    return {{window, window}, groups};
  }
  Shape y() const { return convolution().output(x, filters); }
  Shape weights() const { return convolution().weights(x, filters); }
  std::string text() const {
    return fmt::format("{} {}x{}/{} pad {} dilation {} groups {} to {}", x.text(), size, size, stride,
                       padding, dilation, groups, filters);
  }
};

// Channels below, at and above the widths of vectors and panels; images of a few pixels, of more than a tile,
// and of more than a block of tiles.
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

// Depthwise windows, and groups of a few channels: in images whose last pixels do not fill a vector, narrower
// than the window, and wide enough for tiles without an edge.
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

// Windows of 3x3 with stride 1 and channels enough: those that Winograd's algorithm is for.
const std::vector<Case> kWinogradCases = {{{2, 13, 13, 17}, 31, 3, 1, 1},
                                          {{1, 6, 6, 40}, 70, 3, 1, 0},
                                          {{1, 20, 21, 32}, 64, 3, 1, 2},
                                          {{1, 52, 52, 16}, 16, 3, 1, 1}};

// The same with stride 2, which is computed so in inference.
const std::vector<Case> kStridedCases = {{{2, 13, 13, 17}, 31, 3, 2, 1}, {{1, 6, 6, 40}, 70, 3, 2, 0},
                                         {{1, 20, 21, 32}, 64, 3, 2, 2}, {{1, 52, 52, 16}, 16, 3, 2, 1},
                                         {{1, 9, 30, 130}, 33, 3, 2, 1}, {{2, 26, 25, 64}, 70, 3, 2, 1}};

using Doubles = std::vector<double>;

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

// The root of the mean of squared differences, by that of the true values.
double relative_error(const View<float>& got, const Doubles& want) {
  double difference = 0, size = 0;
  for (int i = 0; i < got.size(); ++i) {
    difference += std::pow(got[i] - want[size_t(i)], 2);
    size += std::pow(want[size_t(i)], 2);
  }
  return std::sqrt(difference / size);
}

// A convolution with the memory that it asks for.
struct Trial {
  explicit Trial(const Case& c, CpuConvolution::Options options)
      : convolution(c.x, c.y(), c.convolution(), options) {
    packed_memory.reserve(size_t(convolution.packed_size()) * sizeof(float));
    scratch_memory.reserve(size_t(convolution.scratch_size()) * sizeof(float));
    packed = {reinterpret_cast<float*>(packed_memory.data()), {1, 1, 1, convolution.packed_size()}};
    scratch = {reinterpret_cast<float*>(scratch_memory.data()), {1, 1, 1, convolution.scratch_size()}};
    std::fill(packed.begin(), packed.end(), NAN);
    std::fill(scratch.begin(), scratch.end(), NAN);
  }

  CpuConvolution convolution;
  Arena packed_memory{"packed weights"}, scratch_memory{"scratch"};
  View<float> packed, scratch;
};

// Errors of a sum of 3 x 3 x 65 terms at most; Winograd's are those that winograd.h states.
double bound_of(Algorithm a) {
  if (a == Algorithm::winograd6) return 2e-5;
  if (a == Algorithm::winograd5) return 5e-6;
  return a == Algorithm::winograd4 || a == Algorithm::automatic ? 4e-6 : 1e-6;
}

void expect_all_directions(const Case& c, Algorithm algorithm, bool bf16_products = false) {
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

// Each kind of processor that this program has loops for and that this machine can play.
template <class Body>
void on_each_processor(Body&& body) {
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

TEST(CpuConvolution, IsTheSumInEveryDirection) {
  on_each_processor([] {
    for (const std::vector<Case>& cases : {kCases, kGroupCases})
      for (const Case& c : cases)
        for (const Algorithm a : with_onednn({Algorithm::automatic, Algorithm::direct}))
          expect_all_directions(c, a);
  });
}

TEST(CpuConvolution, WinogradIsTheSumWithinItsBounds) {
  on_each_processor([] {
    for (const Case& c : kWinogradCases)
      for (const Algorithm a : {Algorithm::winograd2, Algorithm::winograd4, Algorithm::winograd6})
        expect_all_directions(c, a);
  });
}

// Training keeps the weights transformed; inference with few tiles transforms them as it uses them, 64
// channels at a time, and only so there are tiles of 5x5.
TEST(CpuConvolution, TransformsWeightsLateAndChangesNoDigit) {
  const int before = threads();
  std::vector<Case> cases = kWinogradCases;
  cases.insert(cases.end(), {{{1, 7, 9, 24}, 72, 3, 1, 1},
                             {{2, 13, 13, 130}, 70, 3, 1, 1},
                             {{1, 9, 30, 64}, 33, 3, 1, 1},
                             {{1, 5, 4, 127}, 17, 3, 1, 0}});
  on_each_processor([&] {
    for (const Case& c : cases) {
      Values x = random_values(c.x, 1), w = random_values(c.weights(), 2);
      const auto forward = [&](Algorithm asked_for, bool training, const char* runs) {
        CpuConvolution::Options options;
        options.training = training;
        options.needs_dx = false;
        options.algorithm = asked_for;
        Trial trial(c, options);
        EXPECT_TRUE(trial.convolution.algorithms().starts_with(runs)) << trial.convolution.algorithms();
        Values y(size_t(c.y().elements()), NAN);
        trial.convolution.pack(w.data(), trial.packed);
        trial.convolution.forward({x.data(), c.x}, trial.packed, {}, {y.data(), c.y()}, trial.scratch);
        return y;
      };
      Doubles y_true(size_t(c.y().elements()));
      for_products(c, [&](int i, int o, int k) { y_true[size_t(o)] += double(x[size_t(i)]) * w[size_t(k)]; });
      set_threads(1);
      Values of_five = forward(Algorithm::winograd5, false, "winograd5");
      EXPECT_LE(relative_error({of_five.data(), c.y()}, y_true), bound_of(Algorithm::winograd5)) << c.text();
      for (const int count : {1, 2, 3}) {
        SCOPED_TRACE(fmt::format("{}, {} threads", c.text(), count));
        set_threads(count);
        const Values kept = forward(Algorithm::winograd4, true, "winograd4, ");
        EXPECT_EQ(forward(Algorithm::winograd4, false, "winograd4 late"), kept);
        EXPECT_EQ(forward(Algorithm::winograd5, true, "winograd4, "), kept);
        EXPECT_EQ(forward(Algorithm::winograd5, false, "winograd5"), of_five);
      }
    }
  });
  set_threads(before);
}

TEST(CpuConvolution, WinogradTakesEverySecondWindow) {
  const int before = threads();
  on_each_processor([&] {
    for (const Case& c : kStridedCases) {
      Values x = random_values(c.x, 1), w = random_values(c.weights(), 2), first;
      Doubles y_true(size_t(c.y().elements()));
      for_products(c, [&](int i, int o, int k) { y_true[size_t(o)] += double(x[size_t(i)]) * w[size_t(k)]; });
      for (const int count : {1, 2, 3}) {
        SCOPED_TRACE(fmt::format("{}, {} threads", c.text(), count));
        set_threads(count);
        CpuConvolution::Options options;
        options.training = false;
        options.algorithm = Algorithm::winograd4;
        Trial trial(c, options);
        EXPECT_EQ(trial.convolution.algorithms(), "winograd4 late");
        Values y(y_true.size(), NAN);
        trial.convolution.pack(w.data(), trial.packed);
        trial.convolution.forward({x.data(), c.x}, trial.packed, {}, {y.data(), c.y()}, trial.scratch);
        EXPECT_LE(relative_error({y.data(), c.y()}, y_true), bound_of(Algorithm::direct));
        if (first.empty()) first = y;
        EXPECT_EQ(y, first);
      }
    }
  });
  set_threads(before);
}

// What tests in bf16, here and in network_test.cpp, are skipped by is what Linux says of the processor, too:
// where it has it, none is skipped.
TEST(CpuConvolution, MultipliesBf16WhereTheProcessorCan) {
  std::ifstream file("/proc/cpuinfo");
  ASSERT_TRUE(file);
  const std::string flags(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(simd::has_bf16_products(), flags.find(" avx512_bf16") != std::string::npos);
}

TEST(CpuConvolution, RoundsItsFactorsAndNotTheSums) {
  if (!simd::has_bf16_products()) GTEST_SKIP() << "this processor has no products of bf16";
  for (const std::vector<Case>& cases : {kCases, kGroupCases})
    for (const Case& c : cases)
      for (const Algorithm a : {Algorithm::automatic, Algorithm::direct}) expect_all_directions(c, a, true);
  for (const Case& c : kWinogradCases) expect_all_directions(c, Algorithm::winograd2, true);

  // 1 + 2^-7 is a bf16, and 256 of its squares are more than one could count in.
  const Case many{{1, 3, 3, 256}, 16, 1};
  CpuConvolution::Options options;
  options.training = false;
  options.bf16_products = true;
  Trial trial(many, options);
  EXPECT_EQ(trial.convolution.algorithms(), "direct bf16");
  Values x(9 * 256, 1.0078125f), w(16 * 256, 1.0078125f), y(9 * 16);
  trial.convolution.pack(w.data(), trial.packed);
  trial.convolution.forward({x.data(), many.x}, trial.packed, {}, {y.data(), many.y()}, trial.scratch);
  for (float v : y) EXPECT_EQ(v, 256 * 1.0078125f * 1.0078125f);
}

// Products of bf16 are of pairs; the value behind an odd number of them meets a weight of 0.
TEST(CpuConvolution, RoundsOddNumbersOfChannels) {
  if (!simd::has_bf16_products()) GTEST_SKIP() << "this processor has no products of bf16";
  for (const Case& c : {Case{{2, 9, 11, 3}, 18, 3, 2, 1}, Case{{1, 9, 9, 5}, 8, 7, 2, 3},
                        Case{{1, 5, 6, 255}, 20, 1}, Case{{1, 8, 8, 35}, 40, 3, 1, 1}}) {
    CpuConvolution::Options options;
    options.training = false;
    options.algorithm = Algorithm::direct;
    options.bf16_products = true;
    EXPECT_EQ(Trial(c, options).convolution.algorithms(), "direct bf16") << c.text();
    expect_all_directions(c, Algorithm::direct, true);
  }
}

// What is in bf16 already gives the same products, and so the same sums, of which a tensor in bf16 keeps the
// nearest it can.
TEST(CpuConvolution, ReadsAndWritesBf16) {
  if (!simd::has_bf16_products()) GTEST_SKIP() << "this processor has no products of bf16";
  const auto rounded = [](const Values& v) { return std::vector<bf16>(v.begin(), v.end()); };
  const auto floats = [](const std::vector<bf16>& v) { return Values(v.begin(), v.end()); };
  std::vector<std::pair<Case, Algorithm>> trials;
  for (const Case& c : kCases)
    if (c.groups < 9) trials.push_back({c, Algorithm::direct});
  for (const Case& c : kWinogradCases)
    for (const Algorithm a : {Algorithm::automatic, Algorithm::winograd2, Algorithm::winograd4})
      trials.push_back({c, a});
  for (const auto& [c, algorithm] : trials)
    for (const Activation activation : {Activation::linear, Activation::leaky, Activation::mish}) {
      SCOPED_TRACE(c.text() + ", " + kConvolutionAlgorithms[int(algorithm)]);
      CpuConvolution::Options options;
      options.algorithm = algorithm;
      options.bf16_products = true;
      options.activation = activation;
      Trial in_floats(c, options);
      options.x_type = options.y_type = Type::bf16;
      Trial in_bf16(c, options);
      ASSERT_EQ(in_bf16.convolution.algorithms(), in_floats.convolution.algorithms());
      std::vector<bf16> x = rounded(random_values(c.x, 1)), dy = rounded(random_values(c.y(), 3)),
                        y(dy.size()), dx = rounded(random_values(c.x, 4));
      Values w = random_values(c.weights(), 2), dw(w.size()), x_floats = floats(x), dy_floats = floats(dy),
             y_want(y.size()), dx_want = floats(dx), dw_want(w.size());
      const View<float> vw{w.data(), c.weights()}, vdw{dw.data(), c.weights()},
          vdw_want{dw_want.data(), c.weights()};
      const auto run = [&](Trial& trial, Tensor x, Tensor dy, Tensor y, Tensor dx, View<float> dw) {
        trial.convolution.pack(w.data(), trial.packed);
        trial.convolution.forward(x, trial.packed, {}, y, trial.scratch);
        trial.convolution.backward_data(dy, vw, dx, true, trial.scratch);
        trial.convolution.backward_weights(x, dy, dw, trial.scratch);
      };
      run(in_floats, {x_floats.data(), c.x}, {dy_floats.data(), c.y()}, {y_want.data(), c.y()},
          {dx_want.data(), c.x}, vdw_want);
      run(in_bf16, {x.data(), c.x, Type::bf16}, {dy.data(), c.y(), Type::bf16}, {y.data(), c.y(), Type::bf16},
          {dx.data(), c.x, Type::bf16}, vdw);
      EXPECT_EQ(floats(y), floats(rounded(y_want)));
      EXPECT_EQ(floats(dx), floats(rounded(dx_want)));
      EXPECT_EQ(dw, dw_want);
    }
}

// A sum that is added to what is there is rounded with it, once.
TEST(CpuConvolution, AddsWhatIsInBf16) {
  if (!simd::has_bf16_products()) GTEST_SKIP() << "this processor has no products of bf16";
  for (const Algorithm algorithm : {Algorithm::direct, Algorithm::winograd2, Algorithm::winograd4})
    for (const Activation activation : {Activation::relu, Activation::swish})
      for (const int filters : {31, 64}) {
        const Case c{{1, 9, 9, 32}, filters, 3, 1, 1};
        SCOPED_TRACE(c.text() + ", " + kConvolutionAlgorithms[int(algorithm)]);
        CpuConvolution::Options options;
        options.training = false;
        options.algorithm = algorithm;
        options.bf16_products = true;
        options.residual = true;
        options.activation = options.residual_activation = activation;
        Trial in_floats(c, options);
        options.y_type = Type::bf16;
        Trial in_bf16(c, options);
        Values x = random_values(c.x, 1), w = random_values(c.weights(), 2);
        const Values random = random_values(c.y(), 3);
        std::vector<bf16> addend(random.begin(), random.end()), y(addend.size());
        Values same(addend.begin(), addend.end()), want(addend.size());
        for (Trial* trial : {&in_floats, &in_bf16}) {
          const bool floats = trial == &in_floats;
          trial->convolution.pack(w.data(), trial->packed);
          trial->convolution.forward(
              View<float>{x.data(), c.x}, trial->packed,
              {{}, {}, floats ? Tensor(same.data(), c.y()) : Tensor(addend.data(), c.y(), Type::bf16)},
              floats ? Tensor(want.data(), c.y()) : Tensor(y.data(), c.y(), Type::bf16), trial->scratch);
        }
        EXPECT_EQ(Values(y.begin(), y.end()), [&] {
          const std::vector<bf16> v(want.begin(), want.end());
          return Values(v.begin(), v.end());
        }());
      }
}

// The largest of what is made without a pool, to the last bit.
void expect_pooled(const Case& c, int side, CpuConvolution::Options options) {
  const Window2 windows{pooling_window(side, side, 1), pooling_window(side, side, 1)};
  SCOPED_TRACE(fmt::format("{}, windows of {}, {}, bf16 {} {}", c.text(), side,
                           kConvolutionAlgorithms[int(options.algorithm)], options.bf16_products,
                           options.y_type == Type::bf16));
  options.training = false;
  options.bias = true;
  Trial whole(c, options);
  ASSERT_TRUE(whole.convolution.pools(windows));
  options.pool = windows;
  Trial pooled(c, options);
  EXPECT_EQ(pooled.convolution.algorithms(), whole.convolution.algorithms());
  Values x = random_values(c.x, 1), w = random_values(c.weights(), 2),
         bias = random_values({1, 1, 1, c.filters}, 3);
  const Shape full = c.y(), few = pooled_shape(full, windows);
  const auto forward = [&](Trial& trial, Shape shape) {
    const size_t count = size_t(shape.elements());
    Values in_floats(count, NAN);
    std::vector<bf16> in_bf16(count, bf16(NAN));
    const bool floats = options.y_type == Type::f32;
    trial.convolution.pack(w.data(), trial.packed);
    trial.convolution.forward(
        View<float>{x.data(), c.x}, trial.packed, {{bias.data(), {1, 1, 1, c.filters}}, {}, {}},
        floats ? Tensor(in_floats.data(), shape) : Tensor(in_bf16.data(), shape, Type::bf16), trial.scratch);
    return floats ? in_floats : Values(in_bf16.begin(), in_bf16.end());
  };
  const Values y = forward(whole, full), got = forward(pooled, few);
  Values want(got.size());
  for (int n = 0; n < few.n; ++n)
    for (int h = 0; h < few.h; ++h)
      for (int v = 0; v < few.w; ++v)
        for (int k = 0; k < few.c; ++k) {
          float most = -INFINITY;
          for (int i = h * side; i < std::min((h + 1) * side, full.h); ++i)
            for (int j = v * side; j < std::min((v + 1) * side, full.w); ++j)
              most = std::max(most, y[size_t(full.index(n, i, j, k))]);
          want[size_t(few.index(n, h, v, k))] = most;
        }
  EXPECT_EQ(got, want);
}

TEST(CpuConvolution, MakesOnlyTheLargestOfEachWindow) {
  on_each_processor([] {
    CpuConvolution::Options options;
    options.activation = Activation::leaky;
    options.algorithm = Algorithm::direct;
    for (const bool bf16_products : {false, simd::has_bf16_products()})
      for (const int side : {2, 3}) {
        // Of rows and columns that are no whole number of windows the last ones have fewer pixels.
        options.bf16_products = bf16_products;
        expect_pooled({{2, 61, 37, 3}, 21, 3, 1, 1}, side, options);
      }
    // Tiles over the edge, vectors that are not full, and an activation that is largest elsewhere than its
    // sum.
    for (const Activation activation : {Activation::leaky, Activation::mish})
      for (const Algorithm algorithm : {Algorithm::winograd2, Algorithm::winograd4})
        for (const Case& c : {Case{{2, 26, 38, 17}, 37, 3, 1, 1}, Case{{1, 8, 66, 70}, 16, 3, 1, 1}})
          for (const bool bf16_products : {false, simd::has_bf16_products() && c.x.c % 2 == 0})
            for (const Type type : {Type::f32, bf16_products ? Type::bf16 : Type::f32}) {
              options.activation = activation;
              options.algorithm = algorithm;
              options.bf16_products = bf16_products;
              options.y_type = type;
              expect_pooled(c, 2, options);
            }
  });
}

TEST(CpuConvolution, PoolsWhereItsTilesAreWholeWindows) {
  const auto windows = [](int side) {
    return Window2{pooling_window(side, side, 1), pooling_window(side, side, 1)};
  };
  CpuConvolution::Options options;
  options.training = false;
  for (const Algorithm a : {Algorithm::winograd2, Algorithm::winograd4, Algorithm::winograd5}) {
    options.algorithm = a;
    Trial even({{1, 12, 14, 16}, 16, 3, 1, 1}, options);
    EXPECT_EQ(even.convolution.pools(windows(2)), a != Algorithm::winograd5);
    EXPECT_FALSE(even.convolution.pools(windows(3)));
    EXPECT_FALSE(Trial({{1, 12, 13, 16}, 16, 3, 1, 1}, options).convolution.pools(windows(2)));
  }
  // A network that pools so may be given another size, of which the tiles are not whole windows.
  options.algorithm = Algorithm::winograd4;
  options.pool = windows(2);
  EXPECT_EQ(Trial({{1, 12, 13, 16}, 16, 3, 1, 1}, options).convolution.algorithms(), "direct");
}

// The larger the tile the larger the error: were they equal, the same algorithm would have run each time.
TEST(CpuConvolution, RunsTheAlgorithmThatIsAskedFor) {
  for (const Algorithm a : with_onednn({Algorithm::direct, Algorithm::winograd2, Algorithm::winograd4,
                                        Algorithm::winograd5, Algorithm::winograd6})) {
    CpuConvolution::Options options;
    options.training = false;
    options.algorithm = a;
    EXPECT_EQ(Trial({{1, 68, 68, 16}, 16, 3, 1, 1}, options).convolution.algorithms(),
              kConvolutionAlgorithms[int(a)]);
    if (a == Algorithm::onednn) continue;
    EXPECT_EQ(Trial({{1, 8, 8, 16}, 16, 3, 2, 1}, options).convolution.algorithms(),
              a == Algorithm::winograd4 ? "winograd4 late" : "direct");
    EXPECT_EQ(Trial({{1, 8, 8, 16}, 16, 3, 3, 1}, options).convolution.algorithms(), "direct")
        << "Winograd's algorithm is for stride 1 and 2";
  }
}

TEST(CpuConvolution, SaysThatOneDnnIsNotThere) {
  if (OneDnnConvolution::built()) GTEST_SKIP() << "it is";
  CpuConvolution::Options options;
  options.algorithm = Algorithm::onednn;
  try {
    Trial trial({{1, 4, 4, 4}, 4, 1}, options);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("--convolution onednn: this build has no oneDNN"), std::string::npos)
        << e.what();
  }
}

// The epilogue: factors, bias, activation, residual, activation.
void expect_finished(const Case& c, const std::vector<Algorithm>& algorithms) {
  SCOPED_TRACE(c.text());
  const Shape channels{1, 1, 1, c.filters};
  Values x = random_values(c.x, 1), w = random_values(c.weights(), 2), bias = random_values(channels, 3),
         factors = random_values(channels, 4), residual = random_values(c.y(), 5);
  Doubles sums(residual.size());
  for_products(c, [&](int i, int o, int k) { sums[size_t(o)] += double(x[size_t(i)]) * w[size_t(k)]; });
  const auto expect = [&](Algorithm algorithm, Activation activation, Activation after, bool with_factors) {
    SCOPED_TRACE(fmt::format("{} {} {}{}", kConvolutionAlgorithms[int(algorithm)],
                             kActivationNames[int(activation)], kActivationNames[int(after)],
                             with_factors ? " factors" : " residual"));
    CpuConvolution::Options options;
    options.training = with_factors;
    options.bias = true;
    options.factors = with_factors;
    options.residual = !with_factors;
    options.activation = activation;
    options.residual_activation = with_factors ? Activation::linear : after;
    options.algorithm = algorithm;
    Trial trial(c, options);
    Values y(sums.size(), NAN);
    const View<float> vy{y.data(), c.y()};
    CpuConvolution::Epilogue e{View<const float>(bias.data(), channels), {}, {}};
    if (with_factors)
      e.factors = View<const float>(factors.data(), channels);
    else
      e.residual = View<const float>(residual.data(), c.y());
    trial.convolution.pack(w.data(), trial.packed);
    trial.convolution.forward({x.data(), c.x}, trial.packed, e, vy, trial.scratch);
    Doubles want(sums.size());
    for (size_t i = 0; i < want.size(); ++i) {
      const size_t f = i % size_t(c.filters);
      want[i] = activate(activation, float((with_factors ? factors[f] : 1) * sums[i] + bias[f]));
      if (!with_factors) want[i] = activate(after, float(want[i] + residual[i]));
    }
    EXPECT_LE(relative_error(vy, want), 4e-6);
  };
  on_each_processor([&] {
    for (const Algorithm a : algorithms)
      for (const bool with_factors : {false, true}) {
        for (int kind = 0; kind <= int(Activation::softplus); ++kind)
          if (Activation(kind) != Activation::stair)  // which jumps: an error in the last digit is seen
            expect(a, Activation(kind), Activation::linear, with_factors);
        expect(a, Activation::mish, Activation::relu, with_factors);
        expect(a, Activation::leaky, Activation::swish, with_factors);
      }
  });
}

TEST(CpuConvolution, FinishesItsSums) {
  expect_finished({{1, 6, 7, 20}, 37, 3, 1, 1}, with_onednn({Algorithm::direct, Algorithm::winograd4}));
  expect_finished({{1, 11, 13, 20}, 37, 3, 2, 1}, {Algorithm::winograd4});
  for (const Case& c :
       {Case{{1, 6, 7, 20}, 8, 1}, Case{{1, 6, 7, 20}, 4, 3, 2, 1}, Case{{1, 5, 9, 24}, 24, 3, 1, 1, 1, 24},
        Case{{1, 5, 9, 24}, 24, 3, 2, 1, 1, 24}, Case{{1, 5, 9, 24}, 24, 3, 1, 1, 1, 6}})
    expect_finished(c, {Algorithm::direct});
}

// A value that is not a number must not be lost between the bounds of an activation.
TEST(CpuConvolution, KeepsWhatIsNotANumber) {
  on_each_processor([] {
    for (const Activation a : {Activation::relu, Activation::relu6, Activation::leaky, Activation::hardtan,
                               Activation::mish, Activation::logistic}) {
      const Case c{{1, 4, 4, 16}, 16, 1};
      CpuConvolution::Options options;
      options.training = false;
      options.activation = a;
      options.algorithm = Algorithm::direct;
      Trial trial(c, options);
      Values x = random_values(c.x, 1), w = random_values(c.weights(), 2), y(x.size());
      x[5] = NAN;
      trial.convolution.pack(w.data(), trial.packed);
      trial.convolution.forward({x.data(), c.x}, trial.packed, {}, {y.data(), c.y()}, trial.scratch);
      for (size_t i = 0; i < y.size(); ++i)
        EXPECT_EQ(std::isnan(y[i]), i < 16) << kActivationNames[int(a)] << " " << i;
    }
  });
}

// Which thread computes a value changes nothing in it. Of few tiles threads share the filters.
TEST(CpuConvolution, IsTheSameOnEveryNumberOfThreads) {
  const int before = threads();
  const Case any{{2, 21, 19, 24}, 72, 3, 1, 1}, few_tiles{{1, 7, 9, 24}, 72, 3, 1, 1},
      depthwise{{2, 21, 19, 24}, 24, 3, 1, 1, 1, 24}, picture{{1, 23, 50, 3}, 5, 3, 1, 1};
  for (const auto& [c, a] :
       {std::pair(any, Algorithm::direct), std::pair(any, Algorithm::winograd2),
        std::pair(any, Algorithm::winograd4), std::pair(few_tiles, Algorithm::winograd2),
        std::pair(few_tiles, Algorithm::winograd4), std::pair(depthwise, Algorithm::direct),
        std::pair(picture, Algorithm::direct)}) {
    Values first[3];
    for (const int count : {1, 2, 3}) {
      set_threads(count);
      CpuConvolution::Options options;
      options.algorithm = a;
      Trial trial(c, options);
      Values x = random_values(c.x, 1), w = random_values(c.weights(), 2), dy = random_values(c.y(), 3);
      Values results[3] = {Values(dy.size()), Values(x.size()), Values(w.size())};
      trial.convolution.pack(w.data(), trial.packed);
      trial.convolution.forward({x.data(), c.x}, trial.packed, {}, {results[0].data(), c.y()}, trial.scratch);
      trial.convolution.backward_data({dy.data(), c.y()}, {w.data(), c.weights()}, {results[1].data(), c.x},
                                      false, trial.scratch);
      trial.convolution.backward_weights({x.data(), c.x}, {dy.data(), c.y()},
                                         {results[2].data(), c.weights()}, trial.scratch);
      for (int k = 0; k < 3; ++k) {
        if (count == 1) first[k] = results[k];
        EXPECT_EQ(results[k], first[k])
            << c.text() << ", " << kConvolutionAlgorithms[int(a)] << ", result " << k;
      }
    }
  }
  set_threads(before);
}

}  // namespace
}  // namespace osprey
