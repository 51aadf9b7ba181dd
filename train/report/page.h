// The report of a training or an evaluation as one HTML page that needs nothing beside it: no script, no
// font, no network. It is well-formed XML too, so that a test can read it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "train/checkpoint.h"
#include "train/detector.h"

namespace osprey {

// What an evaluation of the validation list says, ready to be shown.
struct Findings {
  std::string figures, sections;
};

struct RunReport {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts;  // name and value, under the title
  std::vector<std::string> warnings;
  std::vector<HistoryPoint> history;  // empty: no curves
  int64_t max_batches = 0;
  std::string score_name = "mAP@0.5";  // of what was measured on the validation list
  Findings findings;                   // of the last measurement; empty before the first
  std::string data_sections;           // of the labels; empty where they are not known
};

// `confidence`: of the detections that are counted and drawn. Takes seconds on large sets.
Findings findings_of(const Dataset& valid, const Evaluated& found, float confidence = 0.25f);

// `refresh_seconds`: not 0: the page loads itself anew, for one that is served while training.
std::string report_html(const RunReport& report, int refresh_seconds = 0);

}  // namespace osprey
