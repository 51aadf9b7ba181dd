// Anchors of all levels of torchvision, detectron2, mmdetection and py-faster-rcnn, and SSD's default boxes,
// on both devices.
#include "cuda/anchors.h"

#include <cmath>

#include "tests/golden/golden.h"

namespace osprey {
namespace {

using Values = std::vector<float>;

void append_level(Device device, const std::vector<Box>& cell, AnchorGrid grid, Values& anchors) {
  Values shapes;
  for (const Box& b : cell) shapes.insert(shapes.end(), {b.x1, b.y1, b.x2, b.y2});
  Values level(shapes.size() * size_t(grid.rows * grid.columns));
  const int count = int(cell.size());
  Stream s{device};
  on(s, cpu::place_anchors, cuda::place_anchors)(
      s, View<const float>(shapes.data(), {1, 1, count, 4}), grid,
      View<float>(level.data(), {1, grid.rows, grid.columns, 4 * count}));
  anchors.insert(anchors.end(), level.begin(), level.end());
}

// The sizes of a level, said in five ways.
Values sizes(const golden::Case& c, size_t level, float stride) {
  const auto& p = c.params();
  if (p.contains("sizes"))
    return p["sizes"][level].is_array() ? p["sizes"][level].get<Values>() : Values{p["sizes"][level]};
  if (p.contains("octave_base_scale"))
    return octave_sizes(stride * p["octave_base_scale"].get<float>(), p["scales_per_octave"]);
  Values sizes = p.at("scales");
  for (float& v : sizes) v *= stride;
  return sizes;
}

// detectron2 goes through the sizes first; torchvision alone rounds.
AnchorShapes shapes(const golden::Case& c, size_t level, float stride) {
  AnchorShapes shapes = {sizes(c, level, stride), c.params().at("ratios")};
  if (c.name() == "anchors_rpn_detectron2") shapes.order = AnchorShapes::Order::sizes_first;
  if (c.params().contains("image")) shapes.rounding = AnchorShapes::Rounding::corners;
  return shapes;
}

Values all_levels(const golden::Case& c, Device device, float offset, std::vector<int>* valid = nullptr) {
  Values anchors;
  const auto& maps = c.params().at("feature_maps");
  for (size_t level = 0; level < maps.size(); ++level) {
    AnchorGrid grid = {maps[level][0], maps[level][1], 1, 1, offset};
    if (c.params().contains("image")) {
      grid.stride_y = float(c.params()["image"][0].get<int>() / grid.rows);
      grid.stride_x = float(c.params()["image"][1].get<int>() / grid.columns);
    } else {
      grid.stride_x = grid.stride_y = c.params().at("strides")[level];
    }
    const std::vector<Box> cell = cell_anchors(shapes(c, level, grid.stride_x));
    append_level(device, cell, grid, anchors);
    if (!valid) continue;
    const float height = c.params().at("pad_shape")[0], width = c.params()["pad_shape"][1];
    for (int i = 0; i < grid.rows * grid.columns; ++i)
      valid->insert(valid->end(), cell.size(),
                    grid.begins_within(i / grid.columns, i % grid.columns, width, height));
  }
  return anchors;
}

bool has_levels(const golden::Case& c) { return c.params().contains("feature_maps"); }

void pyramid(const golden::Case& c, Device device) {
  std::vector<int> valid;
  c.expect("anchors", all_levels(c, device, 0, c.has("valid") ? &valid : nullptr));
  if (c.has("valid")) c.expect("valid", valid);
  if (c.has("anchors_offset_half")) c.expect("anchors_offset_half", all_levels(c, device, 0.5f));
}
GOLDEN_WHERE(anchors_of_pyramids, "anchors", has_levels(c)) {
  pyramid(c, Device::cpu);
  pyramid(c, Device::cuda);
}

// One cell, with corners that name the last pixel inside.
GOLDEN_WHERE(anchors_of_one_cell, "anchors", c.params().contains("base_size")) {
  const float base = c.params()["base_size"];
  AnchorShapes shapes = {
      c.params().at("scales"), c.params().at("ratios"), {}, AnchorShapes::Rounding::base_sizes, base};
  for (float& size : shapes.sizes) size *= base;
  for (const Device device : {Device::cpu, Device::cuda}) {
    Values anchors;
    append_level(device, cell_anchors(shapes), {1, 1, base, base, 0.5f}, anchors);
    for (size_t i = 0; i < anchors.size(); ++i)
      if (i % 4 >= 2) anchors[i] -= 1;
    c.expect("anchors", anchors);
  }
}

// The case goes through the cells column by column.
GOLDEN_WHERE(anchors_by_columns, "anchors", c.params().contains("feature")) {
  const int cells = c.params()["feature"];
  const float stride = c.params().at("stride");
  AnchorShapes shapes = {c.params().at("scales"), c.params().at("ratios")};
  for (float& size : shapes.sizes) size *= stride;
  const std::vector<Box> cell = cell_anchors(shapes);
  for (const Device device : {Device::cpu, Device::cuda}) {
    Values by_rows, by_columns;
    append_level(device, cell, {cells, cells, stride, stride, 0.5f}, by_rows);
    const std::ptrdiff_t row = std::ptrdiff_t(4 * cell.size());
    for (int x = 0; x < cells; ++x)
      for (int y = 0; y < cells; ++y)
        by_columns.insert(by_columns.end(), by_rows.begin() + (y * cells + x) * row,
                          by_rows.begin() + (y * cells + x + 1) * row);
    c.expect("anchors", by_columns);
  }
}

// torchvision's case holds corners and scales of its image, and leaves maps and ratios to be known; the other
// centres and sizes in units of the image.
GOLDEN_ON_DEVICES(ssd_default_boxes) {
  const bool corners_of_pixels = c.has("boxes");
  const std::vector<int> maps = c.param("feature_maps", std::vector<int>{38, 19, 10, 5, 3, 1});
  const std::vector<Values> ratios =
      c.param("aspect_ratios", std::vector<Values>{{2}, {2, 3}, {2, 3}, {2, 3}, {2}, {2}});
  const float image = 300;
  Values boxes;
  for (size_t level = 0; level < maps.size(); ++level) {
    const float step = c.params().at("steps")[level];
    const auto size = [&](const char* of, size_t i) {
      return corners_of_pixels ? image * c.params()["scales"][i].get<float>()
                               : c.params()[of][level].get<float>();
    };
    append_level(device,
                 default_boxes(size("min_sizes", level), size("max_sizes", level + 1), ratios[level],
                               corners_of_pixels ? image : INFINITY),
                 {maps[level], maps[level], step, step, 0.5f}, boxes);
  }
  if (corners_of_pixels) return c.expect("boxes", boxes);
  const View<float> rows(boxes.data(), {1, 1, int(boxes.size() / 4), 4});
  for (int row = 0; row < rows.shape.w; ++row) {
    const CentreBox b = centre(box_of_row(rows, row));
    set_row(rows, row, {b.x / image, b.y / image, b.w / image, b.h / image});
  }
  c.expect("priors", boxes);
}

}  // namespace
}  // namespace osprey
