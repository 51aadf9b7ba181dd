#include "train/proposals.h"

#include <algorithm>

#include "core/file.h"
#include "core/roi_table.h"

namespace osprey {
namespace {

int proposing_layer(const Network& network) {
  for (int i = int(network.nodes().size()) - 1; i >= 0; --i)
    if (network.nodes()[size_t(i)].section.name == "rpn") return i;
  fail("the network has no [rpn]: nothing proposes");
}

// In units of the image; what lies in the margins about it is left out.
std::vector<ProposedBox> in_image(View<const float> table, int image, Shape input, Placement placement) {
  std::vector<ProposedBox> proposals;
  for (int row = image * table.shape.w; row < (image + 1) * table.shape.w; ++row) {
    const RoiRow roi = roi_of_row(table, row);
    if (roi.match == kNoRoi) continue;
    const Box box =
        corners(in_image(centre(scaled(roi.box, 1 / float(input.w), 1 / float(input.h))), placement));
    const Box inside = {std::max(box.x1, 0.f), std::max(box.y1, 0.f), std::min(box.x2, 1.f),
                        std::min(box.y2, 1.f)};
    if (inside.x2 > inside.x1 && inside.y2 > inside.y1) proposals.push_back({centre(inside), roi.score});
  }
  std::stable_sort(proposals.begin(), proposals.end(),
                   [](const ProposedBox& a, const ProposedBox& b) { return a.score > b.score; });
  return proposals;
}

// What the network proposes in images, the best first.
class Proposer {
 public:
  Proposer(Network& network, Fit fit)
      : network_(network), layer_(proposing_layer(network)), feed_(network, fit) {}

  std::vector<std::vector<ProposedBox>> propose(const std::vector<const ByteImage*>& images,
                                                const std::vector<const Sample*>& samples) {
    feed_.give(images, proposals_for(network_, samples));
    network_.forward();
    const std::vector<float> values = network_.read(layer_);
    const View<const float> table(values.data(), network_.output(layer_));
    std::vector<std::vector<ProposedBox>> found;
    for (size_t i = 0; i < images.size(); ++i)
      found.push_back(in_image(table, int(i), network_.input().shape, feed_.place(*images[i]).placement));
    return found;
  }

 private:
  Network& network_;
  int layer_;
  ImageFeed feed_;
};

}  // namespace

Evaluated propose_all(Network& network, const Dataset& dataset, Fit fit,
                      const std::function<void(int)>& progress) {
  Proposer proposer(network, fit);
  const auto find = [&](const std::vector<const ByteImage*>& images,
                        const std::vector<const Sample*>& samples) {
    std::vector<std::vector<DetectedBox>> found;
    for (const std::vector<ProposedBox>& proposals : proposer.propose(images, samples)) {
      const ByteImage& image = *images[found.size()];
      found.emplace_back();
      for (const auto& [box, score] : proposals)
        found.back().push_back(
            {0, 0, score, rectangle(scaled(corners(box), float(image.width), float(image.height)))});
    }
    return found;
  };
  return evaluate_images(network, dataset, find, progress);
}

int write_all_proposals(Network& network, const Dataset& dataset, Fit fit, const std::string& folder,
                        const std::function<void(int)>& progress) {
  require_names_of_their_own(dataset, folder);
  Proposer proposer(network, fit);
  make_folder(folder);
  const auto find = [&](const std::vector<const ByteImage*>& images,
                        const std::vector<const Sample*>& samples) {
    const std::vector<std::vector<ProposedBox>> proposals = proposer.propose(images, samples);
    for (size_t i = 0; i < images.size(); ++i)
      if (samples[i]) write_proposals(proposals_path(folder, samples[i]->image), proposals[i]);
    return std::vector<std::vector<DetectedBox>>(images.size());
  };
  return evaluate_images(network, dataset, find, progress).broken_images;
}

}  // namespace osprey
