#include "layers/heads/anchor_keys.h"

namespace osprey {
namespace {

constexpr const char* kOrderNames[] = {"ratios", "sizes"};                   // of AnchorShapes::Order
constexpr const char* kRoundingNames[] = {"none", "corners", "base_sizes"};  // of AnchorShapes::Rounding

}  // namespace

void AnchorKeys::keys(Keys& k, float scale, int octaves, const char* ratios) {
  k.real("anchor_scale", scale_, scale)
      .more_than(0)
      .help("the smallest anchor of a level has this times its stride as the root of its area");
  k.integer("scales_per_octave", octaves_, octaves)
      .between(1, 1000)
      .help("how many sizes there are, each 2^(1/this) times the one before");
  k.reals("anchor_sizes", sizes_)
      .more_than(0)
      .shown_as("anchor_scale * stride")
      .help(
          "instead: the roots of the areas in pixels; one for each level, or all of them for a single level");
  k.reals("anchor_ratios", ratios_).more_than(0).shown_as(ratios).help("heights over widths");
  if (ratios_.empty()) ratios_ = {0.5f, 1, 2};
  k.real("anchor_offset", offset_, 0)
      .between(0, 1)
      .help("where in its cell an anchor's centre lies: 0 as in torchvision and detectron2, or 0.5");
  k.choice("anchor_order", shapes_.order, AnchorShapes::Order::ratios_first, kOrderNames)
      .help("which changes slower along the channels: ratios (torchvision) or sizes (detectron2)");
  k.choice("anchor_rounding", shapes_.rounding, AnchorShapes::Rounding::none, kRoundingNames)
      .help("torchvision rounds corners to whole pixels, py-faster-rcnn base_sizes, detectron2 none");
  k.flag("whole_sizes", whole_sizes_, false)
      .help("1: sizes are cut to whole pixels, as in torchvision's RetinaNet");
}

std::vector<Box> AnchorKeys::cell(const LevelInputs& levels, int level) const {
  AnchorShapes shapes = shapes_;
  shapes.ratios = ratios_;
  if (sizes_.empty())
    shapes.sizes = octave_sizes(scale_ * levels.stride_x(level), octaves_, whole_sizes_);
  else if (levels.levels() == 1)
    shapes.sizes = sizes_;
  else
    shapes.sizes = octave_sizes(sizes_[level], octaves_, whole_sizes_);
  return cell_anchors(shapes);
}

namespace {

void place_level(const LevelInputs& levels, int level, float offset, const std::vector<Box>& shapes,
                 std::vector<Box>& anchors) {
  const Shape cells = levels.grid(level);
  const AnchorGrid grid = {cells.h, cells.w, levels.stride_x(level), levels.stride_y(level), offset};
  for (int row = 0; row < grid.rows; ++row)
    for (int column = 0; column < grid.columns; ++column)
      for (const Box& shape : shapes) anchors.push_back(grid.place(shape, row, column));
}

}  // namespace

std::vector<Box> AnchorKeys::place(const Plan& p, const LevelInputs& levels) {
  p.require(sizes_.empty() || levels.levels() == 1 || int(sizes_.size()) == levels.levels(), "anchor_sizes",
            fmt::format("anchor_sizes must list {} numbers, one for each level, not {}", levels.levels(),
                        sizes_.size()));
  std::vector<Box> anchors;
  for (int l = 0; l < levels.levels(); ++l) {
    const std::vector<Box> shapes = cell(levels, l);
    per_cell_ = int(shapes.size());
    levels.require_few_anchors(p, l, shapes.size(), anchors.size());
    place_level(levels, l, offset_, shapes, anchors);
  }
  return anchors;
}

std::vector<Box> AnchorKeys::cells(const LevelInputs& levels) {
  std::vector<Box> cells;
  for (int l = 0; l < levels.levels(); ++l) {
    const float x = levels.stride_x(l) / 2, y = levels.stride_y(l) / 2;
    place_level(levels, l, 0.5f, {{-x, -y, x, y}}, cells);
  }
  return cells;
}

}  // namespace osprey
