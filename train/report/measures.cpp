// What was measured on the validation list: each class with its curve, and what is taken for what.
#include <fmt/format.h>

#include "train/report/sections.h"
#include "train/report/svg.h"

namespace osprey {
namespace {

constexpr size_t kMostCurves = 20;    // more lines than this are no picture
constexpr size_t kMostConfused = 30;  // classes of a matrix that fits a page

// Precision over recall, all classes in one picture.
std::string curves(const VocMetrics& voc, const std::vector<std::string>& names) {
  constexpr double left = 50, top = 12, side = 380;
  Svg svg(left + side + 230, top + side + 46);
  for (int tenth = 0; tenth <= 10; tenth += 2) {
    const double at = side * tenth / 10;
    svg.line(left + at, top, left + at, top + side, "#eee");
    svg.line(left, top + at, left + side, top + at, "#eee");
    svg.text(left + at, top + side + 16, "middle", "#444", fmt::format("{}%", 10 * tenth));
    svg.text(left - 6, top + side - at + 4, "end", "#444", fmt::format("{}%", 10 * tenth));
  }
  svg.text(left + side / 2, top + side + 38, "middle", "#444", "recall");
  svg.text(left + 4, top + 12, "start", "#444", "precision");
  int shown = 0;
  for (size_t c = 0; c < voc.per_class.size() && size_t(shown) < kMostCurves; ++c) {
    const VocClass& of_class = voc.per_class[c];
    if (of_class.truths == 0) continue;
    std::vector<std::pair<double, double>> points;
    const size_t every = std::max<size_t>(of_class.curve.recall.size() / 500, 1);
    for (size_t i = 0; i < of_class.curve.recall.size(); i += every)
      points.emplace_back(left + side * of_class.curve.recall[i],
                          top + side * (1 - of_class.curve.precision[i]));
    svg.polyline(points, series_colour(shown));
    const double y = top + 14 + 18 * shown++;
    svg.rectangle(left + side + 16, y - 9, 10, 10, series_colour(shown - 1), Svg::Style::fill);
    svg.text(left + side + 32, y, "start", "#222", fmt::format("{} {}", names[c], percent_text(of_class.ap)));
  }
  return svg.finish();
}

std::string cell(const std::string& text) { return "<td>" + escaped(text) + "</td>"; }

}  // namespace

std::string classes_section(const MeasuredSet& m) {
  const std::vector<std::string>& names = m.valid.names;
  std::string table =
      "<table>\n<tr><th>class</th><th>objects</th><th>AP@0.5</th><th>AP@0.5:0.95</th><th>found</th>"
      "<th>false</th><th>missed</th><th>precision</th><th>recall</th></tr>\n";
  for (size_t c = 0; c < names.size(); ++c) {
    const DarknetClass& d = m.map.per_class[c];
    const int said = d.true_positives + d.false_positives;
    table += "<tr>" + cell(names[c]) + cell(std::to_string(d.truths)) +
             cell(d.truths ? percent_text(d.ap) : "-") + cell(percent_text(m.coco.per_class[c])) +
             cell(std::to_string(d.true_positives)) + cell(std::to_string(d.false_positives)) +
             cell(std::to_string(d.truths - d.true_positives)) +
             cell(percent_text(said ? double(d.true_positives) / said : -1)) +
             cell(percent_text(d.truths ? double(d.true_positives) / d.truths : -1)) + "</tr>\n";
  }
  return section_of("Classes",
                    fmt::format("On the validation list, in percent. Found, false and missed count at a "
                                "confidence of {:g} and an IoU of 0.5; the curves run over all confidences.",
                                m.confidence),
                    table + "</table>\n" + curves(m.voc, names));
}

std::string confusion_section(const MeasuredSet& m) {
  const std::vector<std::string>& names = m.valid.names;
  if (names.size() > kMostConfused) return "";
  const Judgement& judgement = m.judgement;
  const int classes = judgement.classes;
  std::string table = "<table>\n<tr><th>there is \\ said is</th>";
  for (const std::string& name : names) table += "<th>" + escaped(name) + "</th>";
  table += "<th>nothing</th></tr>\n";
  for (int truth = 0; truth <= classes; ++truth) {
    int64_t all = 0;
    for (int said = 0; said <= classes; ++said) all += judgement.at(truth, said);
    table += "<tr>" + cell(truth < classes ? names[size_t(truth)] : "nothing");
    for (int said = 0; said <= classes; ++said) {
      const int64_t count = judgement.at(truth, said);
      const double part = all ? double(count) / double(all) : 0;
      table += fmt::format("<td style=\"background: rgba({}, {:.2f})\">{}</td>",
                           truth == said ? "46, 147, 60" : "209, 73, 91", 0.7 * part, count);
    }
    table += "</tr>\n";
  }
  return section_of(
      "What is taken for what",
      fmt::format("Detections above {:g} and objects, matched at an IoU of 0.5. The last column counts "
                  "objects that nothing has found, the last row detections where nothing is, or of what "
                  "another detection has found.",
                  m.confidence),
      table + "</table>\n");
}

Findings findings_of(const Dataset& valid, const Evaluated& found, float confidence) {
  const int classes = int(valid.names.size());
  DarknetMapOptions options;
  options.confidence = confidence;
  const MeasuredSet m{valid,
                      found,
                      confidence,
                      darknet_map(found.truths, found.detections, classes, options),
                      coco_metrics(found.truths, found.detections, classes),
                      voc_metrics(found.truths, found.detections, classes, VocPoints::all),
                      judge(found.truths, found.detections, classes, confidence)};
  const std::string at = fmt::format(" at {:g}", confidence);
  return {figure(percent_text(m.map.map) + " %", "mAP@0.5, as Darknet's map") +
              figure(percent_text(m.coco.ap), "AP@0.5:0.95, COCO's") +
              figure(percent_text(m.coco.ap_small), "AP of small objects") +
              figure(percent_text(m.map.precision) + " %", "precision" + at) +
              figure(percent_text(m.map.recall) + " %", "recall" + at),
          classes_section(m) + confusion_section(m) + pictures_section(m)};
}

}  // namespace osprey
