// What the layers that pool from RoIs share: the RoIs of a table, and the maps of a pyramid of which each RoI
// has one (cuda/roi_levels.h says which).
#pragma once

#include "cuda/roi_levels.h"
#include "layers/layer.h"

namespace osprey {

// Throws unless input k of the layer is a table of RoIs of this network.
void require_roi_table(const Plan&, int k);

class RoiMaps {
 public:
  void keys(Keys&);
  // The inputs are the table and the maps, finest first; the output is [N*R,size_h,size_w,C].
  void plan(Plan&);
  // Takes the RoIs from the table, to stay until backward.
  void read(Stream&, View<const float> table);

  Rois rois() const { return {boxes_, counts_, levels_}; }
  int count() const { return int(maps_.size()); }  // of maps: the layer's inputs 1, 2, ...
  RoiMap map(int k) const { return maps_[size_t(k)]; }
  LayerSummary summary() const;

 private:
  void plan_maps(const Plan&);
  template <class T>
  void remember(Plan& p, View<T>& view, Shape shape) {  // in training for backward, too
    p.training() ? p.keep(view, shape) : p.scratch(view, shape);
  }

  int size_ = 7, size_h_ = 7, size_w_ = 7;
  RoiLevelRule rule_;
  std::vector<RoiMap> maps_;
  View<Box> boxes_;
  View<int> counts_, levels_;
};

}  // namespace osprey
