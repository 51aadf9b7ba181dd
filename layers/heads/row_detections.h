// What Head::decode and Head::list do for heads whose rows hold decoded boxes.
#pragma once

#include "cuda/row_detections.h"
#include "layers/heads/head.h"

namespace osprey {

// Appends the rows [N,1,R,5 + classes] of one image of which some class scores above the threshold.
void decode_rows(View<const float> rows, int image, float threshold, Candidates& out);
// The same for the best pairs of a row and a class, each as a candidate of that class only: group by group,
// by falling score.
void decode_best_rows(View<const float> rows, const BestOfRows& best, int image, float threshold,
                      Candidates& out);

// A head's rows, of which it lists all or, with top_k, the best.
class RowList {
 public:
  // In a network that does not train: rows [N,1,R,5 + classes] of these levels, by the settings of the head.
  void plan(Plan& p, Shape rows, const AnchorLevels& levels, const NmsSettings& nms);
  void decode(View<const float> output, int image, float threshold, Candidates& out) const;
  void list(Stream& s, View<const float> rows, float threshold, const DetectionLists& lists) const;
  Head::Listed most_listed(Shape rows) const;

 private:
  BestOfRows best_;
  BestOfRowsWork work_;
};

}  // namespace osprey
