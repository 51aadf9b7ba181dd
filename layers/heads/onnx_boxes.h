// What heads that have a row of numbers for each anchor of each cell become in ONNX. The rows of an image are
// numbered as ours are: cells line by line, and the anchors of a cell one after another.
#pragma once

#include <string>
#include <vector>

#include "cuda/head.h"
#include "layers/onnx_graph.h"

namespace osprey {

// From centres within their cells [N,K,2] to those in units of the image; grid: {1, rows, columns, boxes of a
// cell}, of which there are K.
std::string onnx_centres(OnnxGraph&, const std::string& within, Shape grid);

class OnnxRows {
 public:
  // The rows of what the layer reads, of this shape: h, w cells.
  OnnxRows(OnnxGraph&, Shape input, int anchors, int row_length);

  int64_t count() const { return int64_t(grid_.h) * grid_.w * grid_.c; }  // of an image
  // [N,K,numbers]: every `step`-th number of the rows.
  std::string part(int first, int end, int step = 1) const;
  std::string in_image(const std::string& within) const { return onnx_centres(g_, within, grid_); }
  // [1,K,2]: the width and height of each row's anchor, in units of these lengths.
  std::string anchors(const std::vector<Anchor>&, float width, float height) const;

 private:
  OnnxGraph& g_;
  Shape grid_;  // {1, rows, columns, anchors}
  std::string rows_;
};

}  // namespace osprey
