// The backward pass of maxpool, four times: each output's gradient goes to the largest input under its
// window. Windows overlap, so an input may win several times, and its gradients add up.
//
//   1  scattering with atomics     a thread per output; no two runs need give the same bits
//   2  gathering                   a thread per input asks each window over it who won
//   3  gathering what was kept     the forward pass remembered the winners
//   4  packs of 16 bytes           four channels to a thread
#include "bench/kernels/counted.cuh"
#include "bench/kernels/ladder.h"

namespace osprey::bench {
namespace {

struct Pool {
  Global<const float> x, dy;
  Global<const int> winner;  // for each output, the index of the largest input
  Global<float> dx;
  Window window;

  __device__ Shape in() const { return dx.view.shape; }
  __device__ Shape out() const { return dy.view.shape; }
};

struct Range {
  int first, last;  // both included
};
__device__ inline Range windows_over(const Window& window, int input, int outputs) {
  return {window.first_over(input), min(window.last_over(input), outputs - 1)};
}
__device__ inline Range under(const Window& window, int output, int inputs) {
  return {max(window.start(output), 0), min(window.start(output) + window.size, inputs) - 1};
}

// 1. One thread per output adds to its winner. Several may have one winner: without the atomic additions
// would be lost. With it none is, but they happen in whatever order the threads come, and float additions in
// another order give other last bits: a training could not be repeated.
__global__ void scatter_kernel(Pool p) {
  const int i = global_thread();
  if (i >= p.dy.size()) return;
  p.dx.atomic_add(p.winner.load(i), p.dy.load(i));
}

// 2. One thread per input looks at each window over it, and adds the gradients of those that it wins, in a
// fixed order. No other thread writes there. To know who wins it reads the windows again.
__device__ inline bool wins(const Pool& p, int n, int oh, int ow, int c, int input) {
  const Range rows = under(p.window, oh, p.in().h), columns = under(p.window, ow, p.in().w);
  int best = p.in().index(n, rows.first, columns.first, c);
  Real largest = p.x.load(best);
  for (int h = rows.first; h <= rows.last; ++h)
    for (int w = columns.first; w <= columns.last; ++w) {
      const int at = p.in().index(n, h, w, c);
      const Real value = p.x.load(at);
      if (!(value > largest)) continue;  // of equal ones the first wins
      largest = value;
      best = at;
    }
  return best == input;
}

__global__ void gather_kernel(Pool p) {
  const int i = global_thread();
  if (i >= p.dx.size()) return;
  const auto [n, h, w, c] = p.in().pixel(i);
  const Range rows = windows_over(p.window, h, p.out().h), columns = windows_over(p.window, w, p.out().w);
  Real sum = p.dx.load(i);
  for (int oh = rows.first; oh <= rows.last; ++oh)
    for (int ow = columns.first; ow <= columns.last; ++ow)
      if (wins(p, n, oh, ow, c, i)) sum += p.dy.load(p.out().index(n, oh, ow, c));
  p.dx.store(i, sum);
}

// 3. and 4. One thread per pack of inputs, of one channel or of four. The forward pass, which saw all of the
// window anyway, wrote down who won: one integer to compare, instead of the window.
template <int N>
__global__ void gather_kept_kernel(Pool p) {
  const int i = global_thread() * N;
  if (i >= p.dx.size()) return;
  const auto [n, h, w, c] = p.in().pixel(i);
  const Range rows = windows_over(p.window, h, p.out().h), columns = windows_over(p.window, w, p.out().w);
  Reals<N> sums = p.dx.pack<N>(i);
  for (int oh = rows.first; oh <= rows.last; ++oh)
    for (int ow = columns.first; ow <= columns.last; ++ow) {
      const int from = p.out().index(n, oh, ow, c);
      const Pack<int, N> winners = p.winner.pack<N>(from);
      const Reals<N> gradients = p.dy.pack<N>(from);
      for (int k = 0; k < N; ++k)
        if (winners[k] == i + k) sums[k] += gradients[k];
    }
  p.dx.store(i, sums);
}

std::vector<int> winners_of(const std::vector<float>& x, Shape in, Shape out, Window window) {
  std::vector<int> winners(size_t(out.size()));
  for (int i = 0; i < out.size(); ++i) {
    const auto [n, oh, ow, c] = out.pixel(i);
    int best = -1;
    for (int t = 0; t < window.size * window.size; ++t) {
      const int h = window.start(oh) + t / window.size, w = window.start(ow) + t % window.size;
      if (h < 0 || h >= in.h || w < 0 || w >= in.w) continue;
      const int at = in.index(n, h, w, c);
      if (best < 0 || x[at] > x[best]) best = at;
    }
    winners[i] = best;
  }
  return winners;
}

struct Layer {
  Window window;
  DeviceValues<float> x, dy, dx;
  DeviceValues<int> winner;

  Pool pool() const {
    return {View<const float>(x.view()), View<const float>(dy.view()), View<const int>(winner.view()),
            dx.view(), window};
  }
};

std::vector<Version> versions_of(const Layer& p, Shape in, Shape out) {
  const int pack = in.c % 4 == 0 ? 4 : 1;
  const Grid outputs = one_thread_each(out.size()), inputs = one_thread_each(in.size()),
             packs = one_thread_each(in.size() / pack);
  return {
      {"scattering with atomics", [=](Stream& s) { start<scatter_kernel>(s, outputs, p.pool()); }, false},
      {"gathering", [=](Stream& s) { start<gather_kernel>(s, inputs, p.pool()); }},
      {"gathering what was kept", [=](Stream& s) { start<gather_kept_kernel<1>>(s, inputs, p.pool()); }},
      {"packs of 16 bytes",
       [=](Stream& s) {
         pack == 4 ? start<gather_kept_kernel<4>>(s, packs, p.pool())
                   : start<gather_kept_kernel<1>>(s, packs, p.pool());
       }},
  };
}

}  // namespace

Ladder maxpool_ladder(Stream& s, Shape in, Window window) {
  const Shape out = {in.n, window.outputs(in.h), window.outputs(in.w), in.c};
  std::vector<float> x = uniform_values(in.size(), 1, -8, 8);
  for (float& v : x) v = std::floor(v) / 8;  // so coarse that ties happen
  const auto dy = uniform_values(out.size(), 2), before = uniform_values(in.size(), 3);
  const auto winners = winners_of(x, in, out, window);
  std::vector<ExpectedSum> sums(before.size());
  for (size_t i = 0; i < sums.size(); ++i) sums[i].add(before[i]);
  for (size_t i = 0; i < winners.size(); ++i) sums[winners[i]].add(dy[i]);
  Expected expected;
  for (const ExpectedSum& sum : sums) {
    expected.values.push_back(sum.value);
    expected.bounds.push_back(sum.bound());
  }
  const Layer p = {window, {s, in, x}, {s, out, dy}, {s, in}, {s, out, winners}};
  return {"maxpool",
          in.text() + ", windows " + std::to_string(window.size) + "x" + std::to_string(window.size) +
              ", stride " + std::to_string(window.stride),
          double(out.size()),
          8.0 * out.size() + 8.0 * in.size(),
          before,
          p.dx,
          std::move(expected),
          versions_of(p, in, out)};
}

}  // namespace osprey::bench
