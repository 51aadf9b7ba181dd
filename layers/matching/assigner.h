// Which row of an anchor head learns which truth: the matchers of cuda/matching_*.h behind one set of cfg
// keys.
#pragma once

#include "cuda/matching_atss.h"
#include "cuda/matching_max_iou.h"
#include "cuda/matching_ota.h"
#include "cuda/matching_paa.h"
#include "cuda/matching_ranking.h"
#include "cuda/matching_simota.h"
#include "cuda/truth_lists.h"
#include "layers/layer.h"

namespace osprey {

enum class AssignerKind { max_iou, ranking, atss, paa, simota, ota };

// What a head has for its matcher, R rows of each image.
struct AssignerInputs {
  View<const Box> anchors;  // [1,1,1,R], or [N,1,1,R]
  TruthLists truths;
  PointPredictions predictions;  // where reads_predictions(): logits
  // paa: writes what each row costs that `match` matches with a truth, [N,1,1,R].
  std::function<void(View<const int> match, View<float> costs)> measure = {};
};

class Assigner {
 public:
  // The keys of max_iou and ranking, which look at nothing but boxes; `otherwise`: the thresholds if the cfg
  // gives none.
  void keys(Keys& k, MaxIouRule otherwise);
  // These, and those of matchers that need levels and predictions.
  void dense_keys(Keys& k, MaxIouRule otherwise);
  // Of so many anchors in each image, by level where there are levels, and lists of truths of this capacity.
  void plan(Plan& p, AnchorLevels levels, int truths);
  // Writes match [N,1,1,R].
  void match(Stream& s, const AssignerInputs& inputs, View<int> match) const;

  float nwd_constant() const { return max_iou_.similarity.constant; }  // which losses share
  // Whether AssignerInputs must have predictions: rows are points then, one in each cell.
  bool reads_predictions() const { return kind_ == AssignerKind::simota || kind_ == AssignerKind::ota; }

 private:
  void plan_transport(Plan& p, int images, int suppliers, int rows);
  void match_by_paa(Stream& s, const AssignerInputs& inputs, View<int> match) const;
  void max_iou_keys(Keys& k, MaxIouRule otherwise);

  AssignerKind kind_ = AssignerKind::max_iou;
  int top_k_ = 0;
  MaxIouRule max_iou_;
  RankingRule ranking_;
  AtssRule atss_;
  SimOtaRule simota_;
  OtaRule ota_;
  MixtureRule mixture_;

  AnchorLevels levels_;
  View<float> of_truths_, overlap_, cost_;
  View<int> candidates_, first_, ends_;
  OtaScratch transport_;
};

// Lists of truths in the planned memory of a head.
void plan_truth_lists(Plan& p, TruthLists& lists, int capacity);

}  // namespace osprey
