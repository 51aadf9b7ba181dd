// [spp]: the maxima of all bins of a pyramid over the whole map. A [connected] that follows sees a vector of
// one length, whatever the size of the image.
#include "cuda/spp.h"

#include <algorithm>

#include "core/parallel.h"
#include "layers/layer.h"
#include "layers/roi/range_max.h"

namespace osprey::cpu {

void spp_forward(Stream&, View<const float> x, View<float> y, View<int> winner, SppLevels levels) {
  parallel_for(x.shape.n, 1, [=](int64_t first, int64_t last) {
    for (int n = int(first); n < int(last); ++n) {
      int to = y.shape.index(n, 0, 0, 0);
      for (int level = 0; level < levels.count; ++level) {
        const int bins = levels.bins[level];
        for (int bin = 0; bin < bins * bins; ++bin, to += y.shape.c)
          write_range_max(x, n, pooling_bin(bin / bins, x.shape.h, bins),
                          pooling_bin(bin % bins, x.shape.w, bins), y, winner, to);
      }
    }
  });
}

void spp_backward(Stream&, View<const float> dy, View<const int> winner, View<float> dx, SppLevels levels) {
  parallel_for(dx.shape.n, 1, [=](int64_t first, int64_t last) {
    for (int n = int(first); n < int(last); ++n) {
      for (int bin = 0; bin < levels.total(); ++bin)
        scatter_to_winners(dy, winner, dy.shape.index(n, 0, bin, 0), dx, n);
    }
  });
}

}  // namespace osprey::cpu

namespace osprey {
namespace {

class Spp final : public Layer {
 public:
  void keys(Keys& k) override {
    k.integers("levels", bins_)
        .between(1, 4096)
        .shown_as("1,2,4")
        .help("the map is cut into so many bins per axis, once for each number");
  }

  void plan(Plan& p) override {
    if (bins_.empty()) bins_ = {1, 2, 4};
    const Shape in = p.input();
    p.require(int(bins_.size()) <= SppLevels::kMost, "levels",
              fmt::format("levels must be {} numbers at most, not {}", SppLevels::kMost, bins_.size()));
    levels_.count = int(bins_.size());
    std::copy(bins_.begin(), bins_.end(), levels_.bins);
    p.output({in.n, 1, levels_.total(), in.c});
    p.keep(winner_, p.output_shape());
  }

  void forward(Stream& s) override {
    on(s, cpu::spp_forward, cuda::spp_forward)(s, x(), y, winner_, levels_);
  }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::spp_backward, cuda::spp_backward)(s, dy, winner_, dx(), levels_);
  }

 private:
  std::vector<int> bins_;
  SppLevels levels_;
  View<int> winner_;  // like y
};

}  // namespace

extern const LayerType spp = {"spp", nullptr, "maxima of a pyramid of bins: maps of any size to one length",
                              make<Spp>};

}  // namespace osprey
