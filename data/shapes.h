// The widths and heights of a data set's boxes, and the few shapes that stand for them best: anchors.
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace osprey {

struct BoxShape {
  float width = 0, height = 0;
};

// Of two boxes about one centre.
float shape_iou(BoxShape a, BoxShape b);

// Of all boxes that are trained on, in images stretched to this size; width and height may as well be those
// of a head's grid, for anchors that count cells.
std::vector<BoxShape> box_shapes(const Dataset& dataset, float width, float height);

// The mean over all shapes of the overlap with the anchor that fits best, and the part of the shapes for
// which it is at least `least`. 0 without shapes or anchors.
struct AnchorFit {
  double mean_iou = 0, reached = 0;
};
AnchorFit anchor_fit(const std::vector<BoxShape>& shapes, const std::vector<BoxShape>& anchors,
                     float least = 0.5f);
// The anchor that overlaps a shape most, the first of equals.
int best_anchor(BoxShape shape, const std::vector<BoxShape>& anchors);

// k-means with the distance 1 - IoU, as Darknet's calc_anchors: centres are means of widths and of heights,
// at most 1000 rounds. Unlike Darknet, which begins once at random, it begins several times as k-means++
// does, and the best result counts. By rising area. Error: fewer different shapes than `count`.
// "YOLO9000: Better, Faster, Stronger", Redmon and Farhadi, CVPR 2017, section 2, "Dimension Clusters";
// "k-means++: The Advantages of Careful Seeding", Arthur and Vassilvitskii, SODA 2007.
std::vector<BoxShape> cluster_shapes(const std::vector<BoxShape>& shapes, int count, uint64_t seed = 0);

// As a cfg lists them: whole pixels, or with `cells` four digits.
std::string anchors_text(const std::vector<BoxShape>& anchors, bool cells = false);

}  // namespace osprey
