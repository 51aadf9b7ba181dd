// What the labels of a data set look like: how many, and how large.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "train/report/sections.h"
#include "train/report/svg.h"

namespace osprey {
namespace {

constexpr size_t kMostBoxes = 3000;  // points of a picture

// Widths and heights on logarithmic axes, 1 pixel to the size of the input.
class ShapeChart {
 public:
  ShapeChart(double largest) : svg_(kLeft + kSide + 20, kTop + kSide + 46), decades_(std::log2(largest)) {
    for (int power = 0; power <= int(decades_); ++power) {
      const double at = place(std::exp2(power));
      svg_.line(kLeft + at, kTop, kLeft + at, kTop + kSide, "#eee");
      svg_.line(kLeft, kTop + kSide - at, kLeft + kSide, kTop + kSide - at, "#eee");
      svg_.text(kLeft + at, kTop + kSide + 16, "middle", "#444", std::to_string(1 << power));
      svg_.text(kLeft - 6, kTop + kSide - at + 4, "end", "#444", std::to_string(1 << power));
    }
    svg_.text(kLeft + kSide / 2, kTop + kSide + 38, "middle", "#444", "width, pixels of the network input");
    svg_.text(kLeft + 4, kTop + 12, "start", "#444", "height");
  }
  void box(BoxShape b) {
    svg_.circle(kLeft + place(b.width), kTop + kSide - place(b.height), 1.6, series_colour(0));
  }
  void anchor(BoxShape a) {
    svg_.rectangle(kLeft + place(a.width) - 5, kTop + kSide - place(a.height) - 5, 10, 10, "#222",
                   Svg::Style::stroke, fmt::format("anchor {:g} x {:g}", a.width, a.height));
  }
  std::string finish() const { return svg_.finish(); }

 private:
  static constexpr double kLeft = 60, kTop = 12, kSide = 420;
  double place(double pixels) const {
    return kSide * std::clamp(std::log2(std::max(pixels, 1.0)) / decades_, 0.0, 1.0);
  }
  Svg svg_;
  double decades_;
};

double part_below(const std::vector<BoxShape>& shapes, float side) {
  const auto small = std::count_if(shapes.begin(), shapes.end(),
                                   [&](BoxShape s) { return s.width * s.height < side * side; });
  return double(small) / double(std::max<size_t>(shapes.size(), 1));
}

}  // namespace

std::string shapes_section(const Dataset& train, const std::vector<BoxShape>& anchors, int width,
                           int height) {
  const std::vector<BoxShape> shapes = box_shapes(train, float(width), float(height));
  if (shapes.empty()) return "";
  ShapeChart chart(std::max({width, height, 2}));
  const size_t every = shapes.size() / kMostBoxes + 1;
  for (size_t i = 0; i < shapes.size(); i += every) chart.box(shapes[i]);
  for (const BoxShape& a : anchors) chart.anchor(a);
  std::string text = fmt::format(
      "The boxes to learn, in images stretched to {}x{} and before augmentation: {:.1f} % are "
      "smaller than 8x8 pixels, {:.1f} % smaller than 16x16, {:.1f} % smaller than 32x32.",
      width, height, 100 * part_below(shapes, 8), 100 * part_below(shapes, 16), 100 * part_below(shapes, 32));
  if (!anchors.empty()) {
    const AnchorFit fit = anchor_fit(shapes, anchors);
    text += fmt::format(
        " The squares are the anchors: about one centre with a box, the best of them has an IoU "
        "of {:.1f} % on average, and at least 50 % for {:.1f} % of the boxes.",
        100 * fit.mean_iou, 100 * fit.reached);
  }
  return section_of("Shapes of the boxes", text, chart.finish());
}

std::string labels_section(const Dataset& train, const Dataset* valid) {
  const std::vector<int64_t>& counts = train.report.boxes_per_class;
  if (counts.empty()) return "";
  const double most = double(std::max<int64_t>(1, *std::max_element(counts.begin(), counts.end())));
  std::string table =
      "<table>\n<tr><th>class</th><th>objects to learn</th><th></th><th>to validate</th></tr>\n";
  for (size_t c = 0; c < counts.size(); ++c)
    table += fmt::format(
        "<tr><td>{}</td><td>{}</td><td style=\"text-align: left\"><div style=\"background: {}; height: 12px; "
        "width: {:.0f}px\"></div></td><td>{}</td></tr>\n",
        escaped(train.names[c]), counts[c], series_colour(int(c)), 300 * double(counts[c]) / most,
        valid ? std::to_string(valid->report.boxes_per_class[c]) : "-");
  const Report& report = train.report;
  return section_of(
      "Labels",
      fmt::format("{} images with {} objects; {} images are labelled to show nothing, {} have no "
                  "label file.",
                  report.images, report.boxes, report.negatives, report.missing_labels),
      table + "</table>\n");
}

}  // namespace osprey
