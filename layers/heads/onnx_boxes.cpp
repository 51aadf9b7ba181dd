#include "layers/heads/onnx_boxes.h"

namespace osprey {

std::string onnx_centres(OnnxGraph& g, const std::string& within, Shape grid) {
  std::vector<float> corners;
  for (int row = 0; row < grid.h; ++row)
    for (int column = 0; column < grid.w; ++column)
      for (int box = 0; box < grid.c; ++box) corners.insert(corners.end(), {float(column), float(row)});
  const std::string cells = g.constant("cells", {1, int64_t(corners.size()) / 2, 2}, corners);
  const std::string sides = g.constant("sides", {1, 1, 2}, {float(grid.w), float(grid.h)});
  return g.add("Div", {g.add("Add", {within, cells}), sides});
}

OnnxRows::OnnxRows(OnnxGraph& g, Shape input, int anchors, int row_length)
    : g_(g), grid_{1, input.h, input.w, anchors} {
  rows_ = g.reshaped(g.transposed(g.x(), {0, 2, 3, 1}), {0, count(), row_length});
}

std::string OnnxRows::part(int first, int end, int step) const {
  return g_.slice(rows_, 2, first, end, step);
}

std::string OnnxRows::anchors(const std::vector<Anchor>& anchors, float width, float height) const {
  std::vector<float> sizes;
  for (int cell = 0; cell < grid_.h * grid_.w; ++cell)
    for (const Anchor& a : anchors) sizes.insert(sizes.end(), {a.w / width, a.h / height});
  return g_.constant("anchors", {1, count(), 2}, sizes);
}

}  // namespace osprey
