// [avgpool]: the mean of each channel over the whole image, [N,H,W,C] -> [N,1,1,C]; no keys.

#include "cuda/avgpool.h"

#include <algorithm>

#include "core/parallel.h"
#include "layers/channel_sums.h"
#include "layers/layer.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {

constexpr int kGrain = 16384;  // values worth a thread of their own

void avgpool_forward(Stream&, View<const float> x, View<float> y) {
  const int pixels = x.shape.h * x.shape.w, c = x.shape.c;
  parallel_for(x.shape.n, 1 + kGrain / (int64_t(pixels) * c), [=](int64_t first, int64_t last) {
    for (int n = int(first); n < int(last); ++n)
      channel_sums(
          pixels, c,
          [=](int pixel, int k) {
            return Terms{x[(n * pixels + pixel) * c + k], 0};
          },
          [=](int k, Terms sum) { y[n * c + k] = float(sum.first / pixels); });
  });
}

void avgpool_backward(Stream&, View<const float> dy, View<float> dx) {
  const int pixels = dx.shape.h * dx.shape.w, c = dx.shape.c;
  const float share = 1.0f / float(pixels);
  parallel_for(dx.shape.rows(), 1 + kGrain / c, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int from = row / pixels * c;
      VECTOR_LOOP
      for (int k = 0; k < c; ++k) dx[row * c + k] += share * dy[from + k];
    }
  });
}

}  // namespace cpu

class AvgPool final : public Layer {
 public:
  void keys(Keys&) override {}

  void plan(Plan& p) override {
    const Shape in = p.input();
    p.output({in.n, 1, 1, in.c}, p.wanted_type());
    flops_ = double(in.h) * in.w * in.c;
  }

  void forward(Stream& s) override { on(s, cpu::avgpool_forward, cuda::avgpool_forward)(s, x(), y); }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::avgpool_backward, cuda::avgpool_backward)(s, dy, dx());
  }

  bool converts() const override { return true; }
  LayerSummary summary() const override { return {0, "", flops_}; }

 private:
  double flops_ = 0;
};

extern const LayerType avgpool = {"avgpool", "avg", "the mean of each channel over the image", make<AvgPool>};

}  // namespace osprey
