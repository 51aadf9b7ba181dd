// What region proposals are made from and with, in memory of the test's own.
#pragma once

#include <algorithm>
#include <vector>

#include "core/random.h"
#include "cuda/proposals.h"

namespace osprey::test {

struct OwnProposals {
  using Values = std::vector<float>;

  void add_level(Shape shape, Values logits, Values of_boxes) {  // shape of the objectness
    shapes.push_back(shape);
    objectness.push_back(std::move(logits));
    deltas.push_back(std::move(of_boxes));
  }

  RpnMaps maps() {
    RpnMaps m;
    for (; m.count < int(shapes.size()); ++m.count) {
      const Shape shape = shapes[size_t(m.count)];
      m.objectness[m.count] = {objectness[size_t(m.count)].data(), shape};
      m.deltas[m.count] = {deltas[size_t(m.count)].data(), {shape.n, shape.h, shape.w, 4 * shape.c}};
    }
    return m;
  }
  View<const Box> anchor_row() const { return {anchors.data(), {1, 1, 1, int(anchors.size())}}; }

  // The table [N,1,post_nms,kRoiEntries].
  Values run(Device device, int pre_nms, int post_nms) {
    const int images = shapes[0].n, levels = int(shapes.size()), places = images * levels * pre_nms;
    // All of these must be overwritten, or not be read.
    std::vector<int> chosen(size_t(places), 77), counts(size_t(images * levels), 77);
    std::vector<int> best(size_t(images * post_nms), 77), best_counts(size_t(images), 77);
    std::vector<Box> boxes(size_t(places), Box{0, 0, 1000, 1000});
    Values scores(size_t(places), 77), table(size_t(images * post_nms * kRoiEntries), 77);
    const Shape by_level = {images, 1, levels, pre_nms};
    const ProposalWork work = {{chosen.data(), by_level},
                               {counts.data(), {images, 1, 1, levels}},
                               {boxes.data(), by_level},
                               {scores.data(), by_level},
                               {best.data(), {images, 1, 1, post_nms}},
                               {best_counts.data(), {images, 1, 1, 1}}};
    Stream s{device};
    on(s, cpu::propose, cuda::propose)(s, maps(), anchor_row(), rule,
                                       BoxClip{{sizes.data(), {images, 1, 1, 2}}}, work,
                                       View<float>(table.data(), {images, 1, post_nms, kRoiEntries}));
    return table;
  }

  std::vector<Shape> shapes;
  std::vector<Values> objectness, deltas;
  std::vector<Box> anchors;  // of all levels
  Values sizes;              // width and height of each image
  ProposalRule rule;
};

// Anchors of 8 to 24 pixels, 4 apart, that move little: many overlap. Logits in steps of 1/8: ties happen.
inline OwnProposals random_proposals(int images, const std::vector<Shape>& shapes) {
  OwnProposals p;
  for (const Shape& shape : shapes) {
    const uint64_t seed = p.shapes.size();
    std::vector<float> logits, deltas;
    for (int i = 0; i < shape.size(); ++i) {
      Random random(seed, Purpose::test, 0, uint64_t(i));
      logits.push_back(float(random.below(64) - 40) / 8);
      for (int d = 0; d < 4; ++d) deltas.push_back(random.uniform(-.4f, .4f));
    }
    p.add_level(shape, logits, deltas);
    for (int i = 0; i < shape.h * shape.w * shape.c; ++i) {
      const Pixel at = shape.pixel(i);
      const float x = 4 * float(at.w), y = 4 * float(at.h), half = 4 + 4 * float(at.c);
      p.anchors.push_back({x - half, y - half, x + half, y + half});
    }
  }
  for (int n = 0; n < images; ++n) p.sizes.insert(p.sizes.end(), {90.f - 10 * float(n), 80});
  return p;
}

}  // namespace osprey::test
