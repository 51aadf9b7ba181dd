// Each truth takes the k anchors that resemble it most, whatever the threshold says: so that tiny objects,
// which overlap no anchor by much, get as many as the others. "Detecting Tiny Objects in Aerial Images: A
// Normalized Wasserstein Distance and a New Benchmark", Xu et al., ISPRS Journal 190, 2022 (there
// "ranking-based assigning").
//
// As in the authors' code, all anchors that tie with the k-th are taken too, and one that several truths take
// goes to the last of them. The others are background where all truths are unlike them, else ignored.
#pragma once

#include "core/similarity.h"
#include "cuda/matching.h"

namespace osprey {

struct RankingRule {
  SimilarityRule similarity = {Similarity::nwd, 12.7f, 1e-6f};
  float background = .3f;  // anchors that no truth takes are background below this, else ignored
  float covered = 1;       // anchors of which a larger part lies in one region are ignored and never taken
};

// Writes match [N,1,1,A]; overlap [N,1,1,A]: the largest similarity, 0 without truths, -1 for anchors in
// regions; chosen [N,1,capacity of truths,k]: of each truth its k anchors, the most similar first, of equal
// ones the first, -1 where there are no more. Without truths all anchors outside of regions are background.
namespace cpu {
void ranking_matching(Stream&, View<const Box> anchors, BoxLists truths, BoxLists regions, RankingRule,
                      View<int> chosen, View<int> match, View<float> overlap);
}
namespace cuda {
void ranking_matching(Stream&, View<const Box> anchors, BoxLists truths, BoxLists regions, RankingRule,
                      View<int> chosen, View<int> match, View<float> overlap);
}

}  // namespace osprey
