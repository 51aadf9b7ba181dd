// The inputs of a head that reads several maps of each of several levels: from= lists one map of every level,
// finest first, then the next map of every level, and so on.
#pragma once

#include "cuda/levels.h"
#include "layers/layer.h"

namespace osprey {

class LevelInputs {
 public:
  // `strides` as the cfg lists them, or none: then whole quotients of the network input's size and the map's,
  // as in torchvision.
  void keys(Keys& k);
  // `maps` of each level. Checks that the maps of a level have one size, that levels go from fine to coarse,
  // and that listed strides are those of the maps.
  void plan(const Plan& p, int maps, const char* what);

  int levels() const { return int(grids_.size()); }
  int cells(int level) const { return grids_[level].h * grids_[level].w; }
  // Of so many anchors in each cell.
  AnchorLevels anchor_levels(int per_cell) const;
  Shape grid(int level) const { return grids_[level]; }  // [1,H,W,1]
  float stride_x(int level) const { return stride_x_[level]; }
  float stride_y(int level) const { return stride_y_[level]; }

  // The k-th map of all levels has this many channels on each; an error names the one that has not.
  void require_channels(const Plan& p, int k, int channels, const std::string& why) const;

  // A level may get so many anchors in each cell, beside those of the levels before it.
  void require_few_anchors(const Plan& p, int level, size_t per_cell, size_t before) const;

  void gather(Stream& s, const Layer& layer, int k, View<float> rows) const;
  void scatter(Stream& s, const Layer& layer, int k, View<const float> rows) const;

 private:
  std::vector<int> strides_;
  std::vector<Shape> grids_;
  std::vector<float> stride_x_, stride_y_;
};

}  // namespace osprey
