// The largest of many scores, as before non-maximum suppression: of each level of a pyramid by itself, or of
// a whole image. The CPU side is in layers/nms/top_k.cpp, the kernel in cuda/top_k.cu.
#pragma once

#include "core/stream.h"
#include "core/view.h"
#include "cuda/levels.h"

namespace osprey {

// Some of the scores of each image, side by side. Those that are -infinity or not a number do not take part.
struct ScoreSegment {
  View<const float> scores;  // [N,H,W,C], of which each image's H*W*C are numbered as they lie
  int first = 0, length = 0;

  HOST_DEVICE float score(int image, int i) const {
    return scores[image * (scores.size() / scores.shape.n) + first + i];
  }
};

struct ScoreSegments {
  ScoreSegment segments[kMostLevels];
  int count = 0;

  void add(View<const float> scores, int first, int length) { segments[count++] = {scores, first, length}; }
  void add(View<const float> scores) { add(scores, 0, scores.shape.h * scores.shape.w * scores.shape.c); }
};

// The kernel sorts what it has chosen in the shared memory of a block: 8 bytes each, 128 KiB in all, which
// compute capability 8.0 and 9.0 have.
constexpr int kMostChosen = 16384;

// Chooses of each segment the K largest scores; of equal ones those that come first. Writes chosen [N,1,S,K]:
// their numbers within the segment, in falling order of score, then -1; counts [N,1,1,S]: how many those are.
// K is at most kMostChosen.
namespace cpu {
void top_k(Stream&, ScoreSegments, View<int> chosen, View<int> counts);
}
namespace cuda {
void top_k(Stream&, ScoreSegments, View<int> chosen, View<int> counts);
}

}  // namespace osprey
