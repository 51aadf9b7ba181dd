#include "layers/convolution_chain.h"

#include <algorithm>
#include <cstring>

#include "core/arena.h"
#include "core/parallel.h"

namespace osprey {
namespace {

constexpr int64_t kBandBytes = 256 << 10;  // of all that lies between: a share of the second cache

struct RowRange {
  int first, last;
};

int64_t row_size(const Shape& s) { return int64_t(s.w) * s.c; }

// The rows of x under the windows of some rows of y.
RowRange rows_under(const ChainLink& link, RowRange y) {
  const int first = std::clamp(link.window.start(y.first), 0, link.x.h);
  return {first, std::clamp(link.window.start(y.last - 1) + link.window.reach(), first, link.x.h)};
}

// The most rows of x under any `count` rows of y.
int most_rows_under(const ChainLink& link, int count) {
  return std::min(link.x.h, (count - 1) * link.window.stride + link.window.reach());
}

int64_t floats_between(std::span<const ChainLink> links, int band) {
  int64_t floats = 0;
  for (size_t k = links.size() - 1; k > 0; --k) {
    band = most_rows_under(links[k], band);
    floats += band * row_size(links[k].x);
  }
  return floats;
}

// Rows of the last y that go through together.
int band_of(std::span<const ChainLink> links) {
  int band = 1;
  while (band < links.back().y.h && floats_between(links, 2 * band) * int64_t(sizeof(float)) <= kBandBytes)
    band *= 2;
  return std::min(band, links.back().y.h);
}

// What a link makes of an image: the rows that are there, from the start of `memory` on, and those that the
// next link needs of it.
struct Made {
  float* memory = nullptr;
  RowRange rows = {0, 0}, needed = {0, 0};
};

// The rows of the last y that `made.back()` needs: each link makes what is not there yet.
void run_band(std::span<const ChainLink> links, const float* x, const simd::Epilogue& last, float* y,
              std::span<Made> made) {
  for (size_t k = links.size() - 1; k > 0; --k) made[k - 1].needed = rows_under(links[k], made[k].needed);
  const float* in = x;
  for (size_t k = 0; k + 1 < links.size(); ++k) {
    const int64_t size = row_size(links[k].y);
    Made& m = made[k];
    const int kept = std::max(0, m.rows.last - m.needed.first);
    if (kept > 0)
      std::memmove(m.memory, m.memory + (m.needed.first - m.rows.first) * size,
                   size_t(kept * size) * sizeof(float));
    float* out = m.memory - m.needed.first * size;
    m.rows = {m.needed.first, std::max(m.needed.first + kept, m.needed.last)};
    if (m.needed.first + kept < m.needed.last)
      links[k].rows->run_rows(in, links[k].packed, links[k].epilogue, out, m.needed.first + kept,
                              m.needed.last);
    in = out;
  }
  links.back().rows->run_rows(in, links.back().packed, last, y, made.back().needed.first,
                              made.back().needed.last);
}

// What a thread works on, which grows with its first networks and is then there.
struct Workspace {
  Arena arena{"a thread's memory for bands of rows"};
  std::vector<Made> made;

  std::span<Made> reserve(std::span<const ChainLink> links, int band) {
    arena.reserve(size_t(floats_between(links, band)) * sizeof(float));
    made.resize(links.size());
    float* memory = reinterpret_cast<float*>(arena.data());
    for (size_t k = links.size() - 1; k > 0; --k) {
      band = most_rows_under(links[k], band);
      made[k - 1].memory = memory;
      memory += band * row_size(links[k].x);
    }
    return made;
  }
};

}  // namespace

void run_chain(std::span<const ChainLink> links, const float* x, float* y) {
  const Shape in = links.front().x, out = links.back().y;
  const int64_t in_image = in.h * row_size(in), out_image = out.h * row_size(out);
  const int band = band_of(links);
  parallel_for(int64_t(out.n) * out.h, 1, [&](int64_t first, int64_t last) {
    thread_local Workspace space;
    const std::span<Made> made = space.reserve(links, band);
    for (int64_t row = first; row < last;) {
      const int64_t image = row / out.h;
      const int begin = int(row - image * out.h), end = int(std::min(last - image * out.h, int64_t(out.h)));
      simd::Epilogue e = links.back().epilogue;
      if (e.residual) e.residual = nth(e.residual, image * out_image, e.type);
      for (Made& m : made) m.rows = {0, 0};
      for (int y_row = begin; y_row < end; y_row += band) {
        made.back().needed = {y_row, std::min(y_row + band, end)};
        run_band(links, x + image * in_image, e, y + image * out_image, made);
      }
      row += end - begin;
    }
  });
}

}  // namespace osprey
