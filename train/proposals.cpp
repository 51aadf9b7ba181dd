#include "train/proposals.h"

#include "core/box_coder.h"
#include "core/roi_table.h"

namespace osprey {
namespace {

int proposing_layer(const Network& network) {
  for (int i = int(network.nodes().size()) - 1; i >= 0; --i)
    if (network.nodes()[size_t(i)].section.name == "rpn") return i;
  fail("the network has no [rpn] whose proposals could be measured");
}

std::vector<DetectedBox> in_pixels(View<const float> table, int first_row, Shape input,
                                   const ImagePlace& place) {
  std::vector<DetectedBox> proposals;
  for (int row = first_row; row < first_row + table.shape.w; ++row) {
    const RoiRow roi = roi_of_row(table, row);
    if (roi.match == kNoRoi) continue;
    const Box of_input = scaled(roi.box, 1 / float(input.w), 1 / float(input.h));
    const Box box = scaled(corners(in_image(centre(of_input), place.placement)), place.width, place.height);
    proposals.push_back({0, 0, roi.score, rectangle(clipped(box, place.width, place.height))});
  }
  return proposals;
}

}  // namespace

Evaluated propose_all(Network& network, const Dataset& dataset, Fit fit,
                      const std::function<void(int)>& progress) {
  const int layer = proposing_layer(network);
  const Shape input = network.input().shape;
  ImageFeed feed(network, fit);
  const auto find = [&](const std::vector<const ByteImage*>& images) {
    feed.give(images);
    network.forward();
    const std::vector<float> values = network.read(layer);
    const View<const float> table(values.data(), network.nodes()[size_t(layer)].output);
    std::vector<std::vector<DetectedBox>> found;
    for (size_t i = 0; i < images.size(); ++i)
      found.push_back(in_pixels(table, int(i) * table.shape.w, input, feed.place(*images[i])));
    return found;
  };
  return evaluate_images(network, dataset, find, progress);
}

}  // namespace osprey
