// Which RoIs the second stage is trained with. Matching and choosing are done by cuda/matching_max_iou.h and
// cuda/sampler.h; here is what brings a table of RoIs there and back. The CPU side is in
// layers/roi/roi_sampler.cpp, the kernels in cuda/roi_sampler.cu.
#pragma once

#include "core/roi_table.h"
#include "core/stream.h"
#include "cuda/matching.h"

namespace osprey {

// The RoIs of a table [N,1,R,kRoiEntries] and then the truths of their image, A places in all. Those beyond
// the count have boxes without area, which overlap nothing.
struct RoiCandidates {
  View<Box> boxes;     // [N,1,1,A]
  View<float> scores;  // [N,1,1,A]: 1 for truths
  View<int> counts;    // [N,1,1,1]
};

namespace cpu {
// Truths for which A leaves no room are left out.
void gather_candidates(Stream&, View<const float> table, BoxLists truths, RoiCandidates);
// Candidates beyond the count, and background that overlaps truths by less than `least`, become kIgnored.
void ignore_candidates(Stream&, RoiCandidates, View<const float> overlap, float least, View<int> match);
// table [N,1,S,kRoiEntries]: for each place the candidate that `rows` [N,1,1,S] names, with its match, or
// nothing where that is negative. Without `rows` place k has candidate k.
void write_samples(Stream&, RoiCandidates, View<const int> match, View<const int> rows, View<float> table);
}  // namespace cpu

namespace cuda {
void gather_candidates(Stream&, View<const float> table, BoxLists truths, RoiCandidates);
void ignore_candidates(Stream&, RoiCandidates, View<const float> overlap, float least, View<int> match);
void write_samples(Stream&, RoiCandidates, View<const int> match, View<const int> rows, View<float> table);
}  // namespace cuda

}  // namespace osprey
