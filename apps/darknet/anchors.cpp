// detector calc_anchors: anchors that fit the boxes of a data set.
#include <fmt/core.h>

#include "apps/darknet/commands.h"
#include "core/file.h"
#include "data/shapes.h"

namespace osprey::darknet {

void calc_anchors(Arguments& a) {
  const auto at = a.places({"DATA"}, 1);
  const int clusters = a.integer("num_of_clusters", 5, 1);
  const int width = a.integer("width", 0, 1), height = a.integer("height", 0, 1);
  const int seed = a.integer("seed", 0, 0);
  a.finish();
  if (!width || !height)
    a.fail("-width and -height are needed: those of the network, or of its grid for [region]");
  const bool cells = width <= 32;  // Darknet's rule: then it is a grid
  const Dataset dataset = load_dataset(read_data_file(at[0], true), Split::train);
  const std::vector<BoxShape> shapes = box_shapes(dataset, float(width), float(height));
  fmt::print("\n num_of_clusters = {}, width = {}, height = {} \n", clusters, width, height);
  fmt::print(" read labels from {} images \n loaded \t image: {} \t box: {}\n", dataset.samples.size(),
             dataset.samples.size(), shapes.size());
  const std::vector<BoxShape> anchors = cluster_shapes(shapes, clusters, uint64_t(seed));
  fmt::print("\n avg IoU = {:2.2f} % \n\n", 100 * anchor_fit(shapes, anchors).mean_iou);
  const std::string counters = fmt::format("{}", fmt::join(dataset.report.boxes_per_class, ", "));
  fmt::print("Saving anchors to the file: anchors.txt \nanchors = {}\ncounters_per_class = {}\n",
             anchors_text(anchors, cells), counters);
  write_file("anchors.txt", anchors_text(anchors, cells));
  write_file("counters_per_class.txt", counters);
}

}  // namespace osprey::darknet
