// Convolutions of many shapes, the sums that they stand for in double, and one convolution with its memory:
// what the tests of layers/convolution_cpu.h share.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/arena.h"
#include "layers/convolution_cpu.h"
#include "tests/layers/harness.h"

namespace osprey::convolution_tests {

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
extern const std::vector<Case> kCases;
// Depthwise windows, and groups of a few channels: in images whose last pixels do not fill a vector, narrower
// than the window, and wide enough for tiles without an edge.
extern const std::vector<Case> kGroupCases;
// Windows of 3x3 with stride 1 and channels enough: those that Winograd's algorithm is for.
extern const std::vector<Case> kWinogradCases;

using Doubles = std::vector<double>;

// y without bias and activation.
Doubles true_sums(const Case&, const Values& x, const Values& weights);

// The root of the mean of squared differences, by that of the true values.
double relative_error(const View<float>& got, const Doubles& want);

// Errors of a sum of 3 x 3 x 65 terms at most; Winograd's are those that winograd.h states.
double bound_of(Algorithm);

// A convolution with the memory that it asks for.
struct Trial {
  Trial(const Case&, CpuConvolution::Options, int x_pitch = 0, int y_pitch = 0);

  // y of these weights.
  Values forward(const Case&, Values& x, const Values& weights, const CpuConvolution::Epilogue& = {});

  CpuConvolution convolution;
  Arena packed_memory{"packed weights"}, scratch_memory{"scratch"};
  View<float> packed, scratch;
};

// The forward pass and both gradients, with random values, beside sums in double.
void expect_all_directions(const Case&, Algorithm, bool bf16_products = false);

// Each kind of processor that this program has loops for and that this machine can play.
void on_each_processor(const std::function<void()>& body);

std::vector<Algorithm> with_onednn(std::vector<Algorithm> ours);

}  // namespace osprey::convolution_tests
