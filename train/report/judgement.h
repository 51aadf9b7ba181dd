// What became of each object and each detection at one confidence: what a person asks who looks at pictures,
// where an average precision only gives a number.
#pragma once

#include <cstdint>
#include <vector>

#include "train/metrics/boxes.h"

namespace osprey {

enum class Verdict {
  right,     // an object and a detection of its class
  confused,  // an object and a detection of another class
  doubled,   // a detection of an object that another detection of its class has found
  invented,  // a detection where nothing is
  missed     // an object that nothing has found
};

struct JudgedBox {
  Verdict verdict = Verdict::right;
  int truth = -1, detection = -1;  // positions in the lists that were judged; -1: none
};

struct JudgedImage {
  int image = 0;
  std::vector<JudgedBox> boxes;
  int mistakes = 0;  // all but the right ones
};

struct Judgement {
  int classes = 0;
  // [classes + 1, classes + 1]: rows are what is there, columns what was said, the last of each is
  // background. The corner of both is 0: nobody counts nothing. A doubled detection is said of background.
  std::vector<int64_t> confusion;
  std::vector<JudgedImage> images;  // that hold a truth or a detection, the most mistakes first

  int64_t at(int truth, int said) const { return confusion[size_t(truth) * (classes + 1) + said]; }
};

// In each image the detections above the confidence choose, best first, the free truth of their class which
// they overlap most, with more than the threshold; then those left choose so among the truths left, whatever
// their class. What overlaps a difficult truth or lies in a crowd, and nothing else, is left out.
Judgement judge(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections, int classes,
                double confidence = 0.25, double iou_threshold = 0.5);

}  // namespace osprey
