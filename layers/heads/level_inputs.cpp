#include "layers/heads/level_inputs.h"

#include <algorithm>

#include "core/available_memory.h"
#include "core/box.h"

namespace osprey {

void LevelInputs::keys(Keys& k) {
  k.integers("strides", strides_)
      .between(1, 65536)
      .shown_as("size of the network input / size of the map")
      .help("pixels of the network input from one cell to the next, for each level, finest first");
}

void LevelInputs::plan(const Plan& p, int maps, const char* what) {
  p.require(p.inputs() % maps == 0, "from",
            fmt::format("from lists {} maps, but needs {} for each level: {}", p.inputs(), maps, what));
  const int levels = p.inputs() / maps;
  p.require(levels <= kMostLevels, "from", fmt::format("at most {} levels, not {}", kMostLevels, levels));
  p.require(strides_.empty() || int(strides_.size()) == levels, "strides",
            fmt::format("strides must list {} numbers, one for each level, not {}", levels, strides_.size()));
  const Shape network = p.options().network_input;
  grids_.clear();
  stride_x_.clear();
  stride_y_.clear();
  for (int l = 0; l < levels; ++l) {
    const Shape in = p.input(l);
    for (int k = 1; k < maps; ++k) {
      const Shape other = p.input(k * levels + l);
      p.require(other.h == in.h && other.w == in.w, "from",
                fmt::format("the maps of level {} are {}x{} and {}x{}: all maps of a level have one size", l,
                            in.w, in.h, other.w, other.h));
    }
    p.require(l == 0 || in.h <= grids_.back().h, "from",
              fmt::format("level {} ({}x{}) is finer than the one before it: list the finest first", l, in.w,
                          in.h));
    grids_.push_back({1, in.h, in.w, 1});
    const int along_x = network.w / in.w, along_y = network.h / in.h;
    p.require(along_x >= 1 && along_y >= 1, "from",
              fmt::format("level {} ({}x{}) is larger than the network input ({}x{})", l, in.w, in.h,
                          network.w, network.h));
    const int stride = strides_.empty() ? 0 : strides_[l];
    const auto fits = [&](int size, int cells) { return (size + stride - 1) / stride == cells; };
    p.require(!stride || (fits(network.w, in.w) && fits(network.h, in.h)), "strides",
              fmt::format("level {} has {}x{} cells, which is not a stride of {} in an input of {}x{}", l,
                          in.w, in.h, stride, network.w, network.h));
    stride_x_.push_back(float(stride ? stride : along_x));
    stride_y_.push_back(float(stride ? stride : along_y));
  }
}

AnchorLevels LevelInputs::anchor_levels(int per_cell) const {
  AnchorLevels anchors;
  for (int l = 0; l < levels(); ++l) anchors.add(cells(l) * per_cell);
  return anchors;
}

void LevelInputs::require_channels(const Plan& p, int k, int channels, const std::string& why) const {
  for (int l = 0; l < levels(); ++l) {
    const int has = p.input(k * levels() + l).c;
    p.require(has == channels, "from",
              fmt::format("needs {0} channels ({1}); the map of level {2} has {3}: set its filters={0}",
                          channels, why, l, has));
  }
}

void LevelInputs::require_few_anchors(const Plan& p, int level, size_t per_cell, size_t before) const {
  constexpr size_t kMostPerCell = 4096, kMost = size_t(1) << 24;
  const size_t all = before + size_t(cells(level)) * std::min(per_cell, kMostPerCell);
  p.require(
      per_cell <= kMostPerCell && all <= kMost,
      fmt::format("level {} has {}x{} cells with {} anchors each: a cell may have {}, and all together {}",
                  level, grids_[level].w, grids_[level].h, per_cell, kMostPerCell, kMost));
  const size_t available = available_memory();
  p.require(!available || all * sizeof(Box) <= available,
            fmt::format("has {} anchors, which is more than there is memory for", all));
}

void LevelInputs::gather(Stream& s, const Layer& layer, int k, View<float> rows) const {
  LevelMaps maps;
  maps.count = levels();
  for (int l = 0; l < levels(); ++l) maps.maps[l] = layer.x(k * levels() + l);
  on(s, cpu::gather_levels, cuda::gather_levels)(s, maps, rows);
}

void LevelInputs::scatter(Stream& s, const Layer& layer, int k, View<const float> rows) const {
  LevelMaps maps;
  bool overwrite[kMostLevels] = {};
  maps.count = levels();
  for (int l = 0; l < levels(); ++l) {
    const int input = k * levels() + l;
    maps.maps[l] = {static_cast<float*>(layer.dx(input).data), layer.x(input).shape};
    overwrite[l] = layer.writes(input) == Write::overwrite;
  }
  on(s, cpu::scatter_levels, cuda::scatter_levels)(s, rows, maps, overwrite);
}

}  // namespace osprey
