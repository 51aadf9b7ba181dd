#include "cuda/spp.h"

#include "core/parallel.h"
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
