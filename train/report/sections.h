// The parts of a report, each an HTML <section>, or empty where there is nothing to tell.
#pragma once

#include <string>

#include "data/shapes.h"
#include "train/metrics/coco.h"
#include "train/metrics/darknet_map.h"
#include "train/metrics/voc.h"
#include "train/report/judgement.h"
#include "train/report/page.h"

namespace osprey {

// What was measured on the validation list, at the confidence where figures need one.
struct MeasuredSet {
  const Dataset& valid;
  const Evaluated& found;
  float confidence;
  DarknetMap map;
  CocoMetrics coco;
  VocMetrics voc;
  Judgement judgement;
};

std::string section_of(const std::string& title, const std::string& explanation, const std::string& content);
std::string percent_text(double fraction);  // "87.0", or "-" below 0

std::string figure(const std::string& value, const std::string& what);  // large, with what it is

std::string classes_section(const MeasuredSet& measured);  // average precisions and their curves
std::string confusion_section(const MeasuredSet& measured);
std::string pictures_section(const MeasuredSet& measured);  // the images with the most mistakes
// The sizes of boxes, and the anchors among them, in pixels of a network input of width x height.
std::string shapes_section(const Dataset& train, const std::vector<BoxShape>& anchors, int width, int height);
std::string labels_section(const Dataset& train, const Dataset* valid);  // how often each class is labelled

}  // namespace osprey
