// From what a region proposal network says of its anchors to a table of RoIs. "Faster R-CNN", Ren et al.,
// NeurIPS 2015, section 3.1; by levels as "Feature Pyramid Networks", Lin et al., CVPR 2017, section 4.1. The
// CPU side is in layers/nms/proposals.cpp, the kernels in cuda/proposals.cu.
#pragma once

#include "core/nwd.h"
#include "core/roi_table.h"
#include "core/stream.h"
#include "cuda/box_coder.h"
#include "cuda/matching.h"
#include "cuda/rpn_maps.h"
#include "cuda/top_k.h"

namespace osprey {

enum class ProposalOverlap { iou, nwd };

struct ProposalRule {
  BoxCoder coder;
  float min_size = 1e-3f;  // pixels: boxes less wide or less high are dropped
  float min_score = 0;     // and those whose probability is less
  ProposalOverlap overlap = ProposalOverlap::iou;
  float nms_threshold = 0.7f;
  float constant = 12.8f;  // C of NWD, in pixels

  // Whether `a`, which stays, silences `b` of the same level.
  HOST_DEVICE bool suppresses(Box a, Box b) const {
    return (overlap == ProposalOverlap::iou ? iou(a, b) : nwd(a, b, constant)) > nms_threshold;
  }
  HOST_DEVICE bool keeps(Box b, float probability) const {  // not what is not a number
    return b.width() >= min_size && b.height() >= min_size && probability >= min_score;
  }
  HOST_DEVICE static float probability(float logit) { return 1 / (1 + expf(-logit)); }
};

// L levels, of each of which at most K anchors are looked at; the best R of all that then are left.
struct ProposalWork {
  View<int> chosen;       // [N,1,L,K]: anchors of the level, best first
  View<int> counts;       // [N,1,1,L]: how many those are
  View<Box> boxes;        // [N,1,L,K]
  View<float> scores;     // [N,1,L,K]: logits; kDropped for boxes that are dropped or silenced
  View<int> best;         // [N,1,1,R]: places in scores, best first
  View<int> best_counts;  // [N,1,1,1]

  static constexpr float kDropped = -INFINITY;
  ScoreSegments left() const {  // all levels of an image as one segment
    ScoreSegments all;
    all.add(scores);
    return all;
  }
};
inline ScoreSegments segments_of(const RpnMaps& maps) {
  ScoreSegments levels;
  for (int l = 0; l < maps.count; ++l) levels.add(maps.objectness[l]);
  return levels;
}

// Of each level the K anchors with the highest logits; their boxes, decoded and clipped; without those that
// are small; without those that a better one of the same level silences; of all levels together the R best,
// with their probability as score. Of equal logits the first anchor comes first. Writes table
// [N,1,R,kRoiEntries]; boxes in pixels of the network input, matched with kBackground, then places with
// kNoRoi. anchors [1,1,1,A], of all levels.
namespace cpu {
void propose(Stream&, const RpnMaps&, View<const Box> anchors, const ProposalRule&, BoxClip,
             const ProposalWork&, View<float> table);
}
namespace cuda {
void propose(Stream&, const RpnMaps&, View<const Box> anchors, const ProposalRule&, BoxClip,
             const ProposalWork&, View<float> table);
}

}  // namespace osprey
