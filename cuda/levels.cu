#include "cuda/levels.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per value of a map. An image's part of a map is one run of values in the rows, which begins at
// `first`.
__global__ void gather_level_kernel(View<const float> map, int first, View<float> rows) {
  const int i = global_thread();
  if (i >= map.size()) return;
  const int of_image = map.size() / map.shape.n;
  rows[i / of_image * (rows.size() / rows.shape.n) + first + i % of_image] = map[i];
}

__global__ void scatter_level_kernel(View<const float> rows, int first, View<float> map, bool overwrite) {
  const int i = global_thread();
  if (i >= map.size()) return;
  const int of_image = map.size() / map.shape.n;
  const float value = rows[i / of_image * (rows.size() / rows.shape.n) + first + i % of_image];
  map[i] = overwrite ? value : map[i] + value;
}

}  // namespace

void gather_levels(Stream& s, LevelMaps levels, View<float> rows) {
  int first = 0;
  for (int l = 0; l < levels.count; ++l) {
    const View<float> map = levels.maps[l];
    launch<gather_level_kernel>(s, one_thread_each(map.size()), map, first, rows);
    first += map.size() / map.shape.n;
  }
}

void scatter_levels(Stream& s, View<const float> rows, LevelMaps levels, const bool* overwrite) {
  int first = 0;
  for (int l = 0; l < levels.count; ++l) {
    const View<float> map = levels.maps[l];
    if (map) launch<scatter_level_kernel>(s, one_thread_each(map.size()), rows, first, map, overwrite[l]);
    first += map.shape.elements() / map.shape.n;
  }
}

}  // namespace osprey::cuda
