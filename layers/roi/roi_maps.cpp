#include "layers/roi/roi_maps.h"

#include <cmath>

#include "cuda/rois.h"

namespace osprey {

void require_roi_table(const Plan& p, int k) {
  const Shape table = p.input(k);
  p.require(table.n == p.options().network_input.n && table.h == 1 && table.c == kRoiEntries &&
                p.input_type(k) == Type::f32,
            "from",
            fmt::format("input {} of `from` must be a layer that makes RoIs, such as [rpn] or [proposals], "
                        "not one of {}",
                        k + 1, table.text()));
}

void RoiMaps::keys(Keys& k) {
  k.integer("size", size_, 7).between(1, 1024).help("height and width of what a RoI becomes");
  k.integer("size_h", size_h_, size_).between(1, 1024).shown_as("size").help("the height alone");
  k.integer("size_w", size_w_, size_).between(1, 1024).shown_as("size").help("the width alone");
  k.integer("canonical_level", rule_.canonical_level, 4)
      .between(0, 16)
      .help("with several maps: RoIs of canonical_size are pooled from the map of stride 2^this");
  k.real("canonical_size", rule_.canonical_size, 224)
      .more_than(0)
      .help("pixels; RoIs of half this size are pooled from one map finer");
}

void RoiMaps::plan(Plan& p) {
  p.require(p.inputs() >= 2, "from", "from must name a layer that makes RoIs and then one or more maps");
  require_roi_table(p, 0);
  plan_maps(p);
  const Shape table = p.input(0), map = p.input(1);
  p.output({table.n * table.w, size_h_, size_w_, map.c}, p.input_type(1));
  remember(p, boxes_, {table.n, 1, 1, table.w});
  remember(p, counts_, {table.n, 1, 1, 1});
  levels_ = {};
  if (count() > 1) remember(p, levels_, {table.n, 1, 1, table.w});
}

void RoiMaps::plan_maps(const Plan& p) {
  const Shape network = p.options().network_input, first = p.input(1);
  maps_.clear();
  for (int k = 1; k < p.inputs(); ++k) {
    const Shape map = p.input(k);
    const RoiMap at = {k - 1, map_scale(map.w, network.w)};
    p.require(map.n == network.n && map.c == first.c && p.input_type(k) == p.input_type(1), "from",
              fmt::format("the maps must be of one kind: {} and {}", first.text(), map.text()));
    p.require(
        at.scale == map_scale(map.h, network.h), "from",
        fmt::format("a map of {} does not fit a network input of {}x{}", map.text(), network.w, network.h));
    p.require(k == 1 || at.scale == maps_.back().scale / 2, "from",
              fmt::format("the maps must come finest first, each half as fine as the one before: {} and {}",
                          p.input(k - 1).text(), map.text()));
    maps_.push_back(at);
  }
  rule_.lowest = int(std::lround(-std::log2(maps_[0].scale)));
  rule_.highest = rule_.lowest + count() - 1;
}

void RoiMaps::read(Stream& s, View<const float> table) {
  on(s, cpu::unpack_rois, cuda::unpack_rois)(s, table, boxes_, counts_);
  if (levels_) on(s, cpu::roi_levels, cuda::roi_levels)(s, Rois{boxes_, counts_, {}}, levels_, rule_);
}

LayerSummary RoiMaps::summary() const { return {0, fmt::format("{}x{}", size_h_, size_w_), 0}; }

}  // namespace osprey
