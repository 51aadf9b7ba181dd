// Sums over the rows of a [rows, c] matrix, two for each channel: statistics of batch norm, gradients of
// biases, means of pooling.
//
// The matrix is cut into tasks by its size alone, each task sums its rows in order, and the tasks' sums are
// added in order: the result has the same bits for any number of threads. Sums are in double, so that squares
// need no shift: cancellation costs (mean / deviation)^2 2^-53, which no float input can make matter.
#pragma once

#include <algorithm>

#include "core/parallel.h"
#include "layers/vector_loop.h"

namespace osprey {

struct Terms {
  double first = 0, second = 0;
};

namespace channel_sums_detail {

constexpr int kTile = 128;  // channels of a task
constexpr int kTasks = 64;

struct TileSums {
  double first[kTile], second[kTile];
};

// Four rows at a time, so that the sums are loaded and stored once for four values.
template <class Term>
void sum_rows(int row, int end, int channel, int channels, Term& term, TileSums& sums) {
  std::fill_n(sums.first, channels, 0.0);
  std::fill_n(sums.second, channels, 0.0);
  for (; row + 4 <= end; row += 4) {
    VECTOR_LOOP
    for (int k = 0; k < channels; ++k) {
      const Terms a = term(row, channel + k), b = term(row + 1, channel + k);
      const Terms c = term(row + 2, channel + k), d = term(row + 3, channel + k);
      sums.first[k] += (a.first + b.first) + (c.first + d.first);
      sums.second[k] += (a.second + b.second) + (c.second + d.second);
    }
  }
  for (; row < end; ++row) {
    VECTOR_LOOP
    for (int k = 0; k < channels; ++k) {
      const Terms a = term(row, channel + k);
      sums.first[k] += a.first;
      sums.second[k] += a.second;
    }
  }
}

}  // namespace channel_sums_detail

// take(channel, sums of term(row, channel) over all rows), in the order of channels. `term` must be safe to
// call from several threads.
template <class Term, class Take>
void channel_sums(int rows, int c, Term&& term, Take&& take) {
  using namespace channel_sums_detail;
  constexpr int kBlock = kTile * kTasks;
  for (int block = 0; block < c; block += kBlock) {
    TileSums sums[kTasks];
    const int width = std::min(c - block, kBlock), tiles = (width + kTile - 1) / kTile;
    const int64_t wanted = int64_t(rows) * width / 8192;  // a task should be worth starting
    const int chunks = int(std::clamp<int64_t>(wanted / tiles, 1, kTasks / tiles));
    const auto channels_of = [=](int tile) { return std::min(width - tile * kTile, kTile); };
    parallel_for(tiles * chunks, wanted < 4 ? tiles * chunks : 1, [&](int64_t first, int64_t last) {
      for (int task = int(first); task < int(last); ++task) {
        const int tile = task % tiles, chunk = task / tiles;
        sum_rows(int(int64_t(rows) * chunk / chunks), int(int64_t(rows) * (chunk + 1) / chunks),
                 block + tile * kTile, channels_of(tile), term, sums[task]);
      }
    });
    for (int k = 0; k < width; ++k) {
      Terms total;
      for (int chunk = 0; chunk < chunks; ++chunk) {
        const TileSums& part = sums[chunk * tiles + k / kTile];
        total.first += part.first[k % kTile];
        total.second += part.second[k % kTile];
      }
      take(block + k, total);
    }
  }
}

}  // namespace osprey
