// Heads that have decoded their boxes already give rows x y w h objectness classes... (RowEntry in
// cuda/head.h) with boxes in units of the network input, 0..1. The CPU side is in
// layers/heads/row_detections.cpp, the kernel in cuda/row_detections.cu.
#pragma once

#include "cuda/detections.h"
#include "cuda/head.h"
#include "cuda/levels.h"

namespace osprey {

// Where a head has more rows than suppression can take, only so many pairs of a row and a class are listed:
// those with the best scores (of equal ones those that come first, by row and then by class) of each group of
// pairs, which is a level of the head, or a class.
struct BestOfRows {
  AnchorLevels levels;    // of the head's rows
  bool by_class = false;  // groups are classes
  int top_k = 0;          // pairs of a group; 0: whole rows are listed, all of them

  HOST_DEVICE int groups(int classes) const { return by_class ? classes : levels.count; }
};

// Memory in which they are found, on Device::cuda; S groups, K pairs of each at most.
struct BestOfRowsWork {
  View<float> scores;      // [N,1,1,R]: the best of each row; by class [N * classes,1,1,R]: all of them
  View<int> rows;          // [N,1,S,rows that may hold the K best]: by falling score, then -1; not by class
  View<int> row_counts;    // [N,1,1,S]
  View<int> ascending;     // like `rows`: the same in their order
  View<float> row_scores;  // [N,S,as many rows,classes]
  View<int> pairs;         // [N,1,S,K]: numbers among row_scores of the group; by class, rows; then -1
  View<int> pair_counts;   // [N,1,1,S]
};

namespace cuda {
// Appends to the candidates of each image the rows of which some class scores above the threshold (at least
// 0). rows [N,1,R,5 + classes].
void row_candidates(Stream&, View<const float> rows, float threshold, const DetectionLists& lists);
// Appends the best pairs above the threshold, candidates of one class each: group by group, by falling score.
void best_row_candidates(Stream&, View<const float> rows, const BestOfRows& best, float threshold,
                         const BestOfRowsWork& work, const DetectionLists& lists);
}  // namespace cuda

}  // namespace osprey
