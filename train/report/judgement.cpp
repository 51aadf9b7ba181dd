#include "train/report/judgement.h"

#include <map>

namespace osprey {
namespace {

struct Boxes {  // of one image
  std::vector<int> truths, detections;
};

std::map<int, Boxes> by_image(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                              double confidence) {
  std::map<int, Boxes> images;
  for (size_t t = 0; t < truths.size(); ++t) images[truths[t].image].truths.push_back(int(t));
  for (size_t d = 0; d < detections.size(); ++d)
    if (detections[d].score > confidence) images[detections[d].image].detections.push_back(int(d));
  return images;
}

bool counts(const TruthBox& truth) { return !truth.difficult && !truth.crowd; }

class ImageJudge {
 public:
  ImageJudge(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
             const Boxes& boxes, double threshold)
      : truths_(truths), detections_(detections), boxes_(boxes), threshold_(threshold) {}

  std::vector<JudgedBox> judge() {
    std::vector<int> left;
    for (int d : by_score(detections_, boxes_.detections)) {
      const int t = best_free(d, true);
      if (t >= 0)
        take(Verdict::right, t, d);
      else
        left.push_back(d);
    }
    for (int d : left) {
      const int t = best_free(d, false);
      if (t >= 0)
        take(Verdict::confused, t, d);
      else if (repeats(d))
        judged_.push_back({Verdict::doubled, -1, d});
      else if (!excused(d))
        judged_.push_back({Verdict::invented, -1, d});
    }
    for (int t : boxes_.truths)
      if (counts(truths_[t]) && !taken_.contains(t)) judged_.push_back({Verdict::missed, t, -1});
    return judged_;
  }

 private:
  int best_free(int d, bool same_class) const {
    int best = -1;
    double most = threshold_;
    for (int t : boxes_.truths) {
      const TruthBox& truth = truths_[t];
      if (!counts(truth) || taken_.contains(t)) continue;
      if (same_class && truth.class_id != detections_[d].class_id) continue;
      if (const double overlap = iou(truth.box, detections_[d].box); overlap > most) most = overlap, best = t;
    }
    return best;
  }
  void take(Verdict verdict, int t, int d) {
    taken_[t] = d;
    judged_.push_back({verdict, t, d});
  }
  bool repeats(int d) const {
    for (const auto& [t, other] : taken_)
      if (truths_[t].class_id == detections_[d].class_id &&
          iou(truths_[t].box, detections_[d].box) > threshold_)
        return true;
    return false;
  }
  // Beside an object that is not to be found, or in a crowd.
  bool excused(int d) const {
    const Rectangle& box = detections_[d].box;
    for (int t : boxes_.truths) {
      if (counts(truths_[t])) continue;
      const double inside = intersection(truths_[t].box, box);
      if (iou(truths_[t].box, box) > threshold_ || (truths_[t].crowd && inside > threshold_ * area(box)))
        return true;
    }
    return false;
  }

  const std::vector<TruthBox>& truths_;
  const std::vector<DetectedBox>& detections_;
  const Boxes& boxes_;
  double threshold_;
  std::map<int, int> taken_;  // truth: the detection that has it
  std::vector<JudgedBox> judged_;
};

}  // namespace

Judgement judge(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections, int classes,
                double confidence, double iou_threshold) {
  Judgement result;
  result.classes = classes;
  result.confusion.assign(size_t(classes + 1) * (classes + 1), 0);
  for (const auto& [image, boxes] : by_image(truths, detections, confidence)) {
    JudgedImage judged{image, ImageJudge(truths, detections, boxes, iou_threshold).judge(), 0};
    for (const JudgedBox& b : judged.boxes) {
      const int there = b.truth < 0 ? classes : truths[b.truth].class_id;
      const int said = b.detection < 0 ? classes : detections[b.detection].class_id;
      ++result.confusion[size_t(there) * (classes + 1) + said];
      judged.mistakes += b.verdict != Verdict::right;
    }
    result.images.push_back(std::move(judged));
  }
  std::stable_sort(result.images.begin(), result.images.end(),
                   [](const JudgedImage& a, const JudgedImage& b) { return a.mistakes > b.mistakes; });
  return result;
}

}  // namespace osprey
