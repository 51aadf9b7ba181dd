// What an evaluation compares: the boxes that are there, and those that were found. Everything is in doubles,
// since published figures come from evaluators that compute in doubles and are compared to six digits.
#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "core/box.h"
#include "core/error.h"

namespace osprey {

// Top left corner and size in pixels, continuous, as COCO's files have them. Corners would not do: x + width
// - x is not always width, and an IoU that equals a threshold would fall on the wrong side of it.
struct Rectangle {
  double x = 0, y = 0, width = 0, height = 0;
};

inline Rectangle rectangle(Box b) {
  return {b.x1, b.y1, double(b.x2) - double(b.x1), double(b.y2) - double(b.y1)};
}
// From corners that name the first and the last pixel inside, as VOC's do ("x2 - x1 + 1").
inline Rectangle rectangle_of_inclusive(double x1, double y1, double x2, double y2) {
  return {x1, y1, x2 - x1 + 1, y2 - y1 + 1};
}

inline double area(const Rectangle& r) { return r.width * r.height; }
inline double intersection(const Rectangle& a, const Rectangle& b) {
  const double w = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x);
  const double h = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
  return w <= 0 || h <= 0 ? 0 : w * h;
}
inline double iou(const Rectangle& a, const Rectangle& b) {
  const double i = intersection(a, b);
  return i <= 0 ? 0 : i / (area(a) + area(b) - i);
}

struct TruthBox {
  int image = 0;     // any number; equal scores are ranked in the order of the images' numbers
  int class_id = 0;  // 0 .. classes-1
  Rectangle box;
  bool difficult = false;  // VOC, Darknet: neither missed nor found
  bool crowd = false;      // COCO: any number of detections may lie in it, and none of them counts
  double object_area = 0;  // pixels; the annotation's, which may be that of a mask. COCO's sizes go by it
};

struct DetectedBox {
  int image = 0;
  int class_id = 0;
  double score = 0;
  Rectangle box;
};

// The boxes of one class, or of one class in one image, as positions in the list they came from, in its
// order.
template <class B>
class Grouped {
 public:
  // Throws Error when a box is of none of the classes. Keeps a reference to the boxes.
  Grouped(const std::vector<B>& boxes, int classes) : boxes_(boxes), order_(boxes.size()) {
    for (const B& b : boxes) {
      if (b.class_id < 0 || b.class_id >= classes) {
        fail("a box to evaluate has class {}, expected 0 to {}", b.class_id, classes - 1);
      }
    }
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](int i, int j) { return key(i) < key(j); });
  }

  std::span<const int> of(int class_id) const {
    return range([&](int i) { return boxes_[i].class_id < class_id; },
                 [&](int i) { return boxes_[i].class_id <= class_id; });
  }
  std::span<const int> of(int class_id, int image) const {
    const std::pair wanted{class_id, image};
    return range([&](int i) { return key(i) < wanted; }, [&](int i) { return key(i) <= wanted; });
  }

 private:
  std::pair<int, int> key(int i) const { return {boxes_[i].class_id, boxes_[i].image}; }
  template <class Before, class NotAfter>
  std::span<const int> range(Before before, NotAfter not_after) const {
    const auto first = std::partition_point(order_.begin(), order_.end(), before);
    return {first, std::partition_point(first, order_.end(), not_after)};
  }

  const std::vector<B>& boxes_;
  std::vector<int> order_;
};

// Positions in order of falling score; equal scores keep their order, as with a merge sort.
inline std::vector<int> by_score(const std::vector<DetectedBox>& detections, std::span<const int> some) {
  std::vector<int> order(some.begin(), some.end());
  std::stable_sort(order.begin(), order.end(),
                   [&](int i, int j) { return detections[i].score > detections[j].score; });
  return order;
}

}  // namespace osprey
