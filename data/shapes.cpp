#include "data/shapes.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/random.h"

namespace osprey {
namespace {

constexpr int kStarts = 5, kRounds = 1000;

// Each further centre is drawn with a probability that grows with the square of its distance to the others.
std::vector<BoxShape> first_centres(const std::vector<BoxShape>& shapes, int count, Random& random) {
  std::vector<BoxShape> centres = {shapes[size_t(random.below(int(shapes.size())))]};
  std::vector<float> distance(shapes.size(), 1);
  while (int(centres.size()) < count) {
    double sum = 0;
    for (size_t i = 0; i < shapes.size(); ++i) {
      distance[i] = std::min(distance[i], 1 - shape_iou(shapes[i], centres.back()));
      sum += double(distance[i]) * distance[i];
    }
    double at = double(random.uniform()) * sum;
    size_t chosen = 0;  // the last one that is no centre yet, should rounding lead beyond the end
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (distance[i] <= 0) continue;
      chosen = i;
      at -= double(distance[i]) * distance[i];
      if (at < 0) break;
    }
    centres.push_back(shapes[chosen]);
  }
  return centres;
}

// A centre that no shape is nearest to stays where it is.
void improve(const std::vector<BoxShape>& shapes, std::vector<BoxShape>& centres) {
  std::vector<int> nearest(shapes.size(), -1);
  for (int round = 0; round < kRounds; ++round) {
    bool changed = false;
    std::vector<double> width(centres.size()), height(centres.size());
    std::vector<int64_t> members(centres.size());
    for (size_t i = 0; i < shapes.size(); ++i) {
      const int best = best_anchor(shapes[i], centres);
      changed |= best != nearest[i];
      nearest[i] = best;
      width[size_t(best)] += shapes[i].width;
      height[size_t(best)] += shapes[i].height;
      ++members[size_t(best)];
    }
    if (!changed) return;
    for (size_t k = 0; k < centres.size(); ++k)
      if (members[k])
        centres[k] = {float(width[k] / double(members[k])), float(height[k] / double(members[k]))};
  }
}

}  // namespace

float shape_iou(BoxShape a, BoxShape b) {
  const float both = std::min(a.width, b.width) * std::min(a.height, b.height);
  const float either = a.width * a.height + b.width * b.height - both;
  return either > 0 ? both / either : 0;
}

std::vector<BoxShape> box_shapes(const Dataset& dataset, float width, float height) {
  std::vector<BoxShape> shapes;
  for (const Sample& sample : dataset.samples)
    for (const Label& label : sample.labels)
      if (!label.difficult && !label.crowd) shapes.push_back({label.box.w * width, label.box.h * height});
  return shapes;
}

int best_anchor(BoxShape shape, const std::vector<BoxShape>& anchors) {
  int best = 0;
  float most = -1;
  for (size_t k = 0; k < anchors.size(); ++k)
    if (const float overlap = shape_iou(shape, anchors[k]); overlap > most) most = overlap, best = int(k);
  return best;
}

AnchorFit anchor_fit(const std::vector<BoxShape>& shapes, const std::vector<BoxShape>& anchors, float least) {
  if (shapes.empty() || anchors.empty()) return {};
  double sum = 0;
  int64_t reached = 0;
  for (const BoxShape& shape : shapes) {
    const float overlap = shape_iou(shape, anchors[size_t(best_anchor(shape, anchors))]);
    sum += double(overlap);
    reached += overlap >= least;
  }
  return {sum / double(shapes.size()), double(reached) / double(shapes.size())};
}

std::vector<BoxShape> cluster_shapes(const std::vector<BoxShape>& shapes, int count, uint64_t seed) {
  std::set<std::pair<float, float>> different;
  for (size_t i = 0; i < shapes.size() && int(different.size()) < count; ++i)
    different.insert({shapes[i].width, shapes[i].height});
  if (count < 1 || int(different.size()) < count)
    fail("{} anchors need boxes of as many different shapes: there are {} boxes of {} shapes", count,
         shapes.size(), different.size());
  std::vector<BoxShape> best;
  double best_fit = -1;
  for (int start = 0; start < kStarts; ++start) {
    Random random(seed, Purpose::initialise, uint64_t(start));
    std::vector<BoxShape> centres = first_centres(shapes, count, random);
    improve(shapes, centres);
    const double fit = anchor_fit(shapes, centres).mean_iou;
    if (fit > best_fit) best_fit = fit, best = centres;
  }
  std::stable_sort(best.begin(), best.end(),
                   [](BoxShape a, BoxShape b) { return a.width * a.height < b.width * b.height; });
  return best;
}

std::string anchors_text(const std::vector<BoxShape>& anchors, bool cells) {
  std::vector<std::string> texts;
  for (const BoxShape& a : anchors)
    texts.push_back(cells ? fmt::format("{:2.4f},{:2.4f}", a.width, a.height)
                          : fmt::format("{:3.0f},{:3.0f}", a.width, a.height));
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace osprey
