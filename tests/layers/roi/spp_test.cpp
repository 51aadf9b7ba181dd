#include "cuda/spp.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

struct Case {
  Shape x;
  SppLevels levels;
};
const Case kCases[] = {
    {{1, 1, 1, 1}, {{1}, 1}},
    {{2, 5, 7, 3}, {{1, 2, 4}, 3}},
    {{1, 3, 2, 8}, {{1, 2, 3, 6}, 4}},  // more bins than cells: some share one
    {{3, 4, 6, 33}, {{3, 1}, 2}},
};

struct Wanted {
  Values y, dx;
  std::vector<int> winner;
};
Wanted by_definition(const Case& test, const Values& x, const Values& dy, const Values& before) {
  const Shape in = test.x;
  Wanted want{{}, before, {}};
  for (int n = 0; n < in.n; ++n)
    for (int level = 0; level < test.levels.count; ++level)
      for (int bins = test.levels.bins[level], bin = 0; bin < bins * bins; ++bin)
        for (int c = 0; c < in.c; ++c) {
          int best = -1;
          for (int cell = 0; cell < in.h * in.w; ++cell) {
            const int h = cell / in.w, w = cell % in.w, p = bin / bins, q = bin % bins;
            const bool inside = (h + 1) * bins > p * in.h && h * bins < (p + 1) * in.h &&
                                (w + 1) * bins > q * in.w && w * bins < (q + 1) * in.w;
            const auto value = [&](int at) { return x[in.index(n, at / in.w, at % in.w, c)]; };
            if (inside && (best < 0 || value(cell) > value(best))) best = cell;
          }
          const int at = in.index(n, best / in.w, best % in.w, c);
          want.dx[at] += dy[want.y.size()];
          want.y.push_back(x[at]);
          want.winner.push_back(best);
        }
  return want;
}

// Comparisons, and sums of eighths, which floats hold: equal bits.
template <class Forward, class Backward>
void expect_pooled(const Case& test, Forward forward, Backward backward) {
  Stream s;
  const Shape out = {test.x.n, 1, test.levels.total(), test.x.c};
  const Values x = coarse_values(test.x.size(), 1), before = coarse_values(test.x.size(), 4),
               dy = coarse_values(out.size(), 2);
  const Wanted want = by_definition(test, x, dy, before);
  Values y(out.size(), NAN), y_inference = y, dx = before;
  std::vector<int> winner(out.size(), -9);
  forward(s, constant(x, test.x), view(y, out), view(winner, out), test.levels);
  forward(s, constant(x, test.x), view(y_inference, out), {}, test.levels);
  backward(s, constant(dy, out), view(winner, out), view(dx, test.x), test.levels);
  EXPECT_EQ(y, want.y);
  EXPECT_EQ(y_inference, want.y);
  EXPECT_EQ(winner, want.winner);
  EXPECT_EQ(dx, want.dx);
}

TEST(Spp, LargestCellOfEachBinOfEachLevel) {
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.x.text());
    expect_pooled(test, cpu::spp_forward, cpu::spp_backward);
    in_all_orders([&] { expect_pooled(test, cuda::spp_forward, cuda::spp_backward); });
  }
}

}  // namespace
}  // namespace osprey::test
