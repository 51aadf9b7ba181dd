#include "cuda/levels.h"

#include <algorithm>

namespace osprey {
namespace {

// Calls body(run of an image in a map, the same run in the rows, its length, level).
template <class Rows, class Body>
void for_each_run(const LevelMaps& levels, Rows rows, Body body) {
  const int images = rows.shape.n, row_values = rows.size() / images;
  int first = 0;
  for (int l = 0; l < levels.count; ++l) {
    const View<float> map = levels.maps[l];
    const int values = int(map.shape.elements()) / images;
    for (int n = 0; map && n < images; ++n)
      body(map.data + int64_t(n) * values, rows.data + int64_t(n) * row_values + first, values, l);
    first += values;
  }
}

}  // namespace

void cpu::gather_levels(Stream&, LevelMaps levels, View<float> rows) {
  for_each_run(levels, rows,
               [](const float* map, float* run, int count, int) { std::copy_n(map, count, run); });
}

void cpu::scatter_levels(Stream&, View<const float> rows, LevelMaps levels, const bool* overwrite) {
  for_each_run(levels, rows, [&](float* map, const float* run, int count, int level) {
    for (int i = 0; i < count; ++i) map[i] = overwrite[level] ? run[i] : map[i] + run[i];
  });
}

}  // namespace osprey
