// The anchors of heads over levels, as their cfg describes them.
#pragma once

#include "core/anchors.h"
#include "layers/heads/level_inputs.h"

namespace osprey {

class AnchorKeys {
 public:
  // The defaults: sizes from scale times the stride on, `octaves` in each octave.
  void keys(Keys& k, float scale, int octaves, const char* ratios);
  // All anchors, [1,1,1,R], level by level, in pixels of the network input.
  std::vector<Box> place(const Plan& p, const LevelInputs& levels);
  // The cells themselves, for matchers of points: boxes of a stride's size about the middle of the cell.
  static std::vector<Box> cells(const LevelInputs& levels);
  int per_cell() const { return per_cell_; }

 private:
  std::vector<Box> cell(const LevelInputs& levels, int level) const;

  float scale_ = 4, offset_ = 0;
  int octaves_ = 3, per_cell_ = 0;
  bool whole_sizes_ = false;
  std::vector<float> sizes_, ratios_;
  AnchorShapes shapes_;
};

}  // namespace osprey
