// The ground truths of a mini-batch as the matchers and losses of anchor heads and two-stage heads read them.
// The CPU side is in layers/matching/truth_lists.cpp, the kernel in cuda/truth_lists.cu.
#pragma once

#include "cuda/head.h"
#include "cuda/matching.h"

namespace osprey {

// For each image the truths that can be learnt, in the order of the labels and without gaps.
struct TruthLists {
  View<Box> boxes;   // [N,1,1,capacity], pixels of the network input
  View<int> labels;  // [N,1,1,capacity]: classes from 0
  View<int> counts;  // [N,1,1,1]

  HOST_DEVICE BoxLists lists() const { return {boxes, counts}; }
};

namespace cpu {
// Leaves out what read_truth() refuses: truths without area, outside of the image, of a class that the head
// does not have. `width` and `height` of the network input. The lists have room for all of `truths`.
void list_truths(Stream&, Truths truths, float width, float height, int classes, TruthLists lists);
}  // namespace cpu

namespace cuda {
void list_truths(Stream&, Truths truths, float width, float height, int classes, TruthLists lists);
}  // namespace cuda

}  // namespace osprey
