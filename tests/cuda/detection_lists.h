// Lists of candidates for the tests of detection's kernels: with boxes and probabilities as given, in memory
// of the test's own.
#pragma once

#include <vector>

#include "cuda/nms.h"

namespace osprey::test {

class OwnLists {
 public:
  // probabilities [candidates, classes] of each image; all places are of one pixel, where the image lies in
  // the whole network input.
  OwnLists(const std::vector<std::vector<Box>>& boxes, const std::vector<std::vector<float>>& probabilities,
           int classes, int capacity, int most)
      : probabilities_(probabilities),
        places_(boxes.size()),
        candidates_(boxes.size() * size_t(capacity)),
        counts_(2 * boxes.size()),
        kept_(boxes.size() * size_t(classes) * size_t((capacity + 31) / 32), 0xDEADBEEF),
        found_(boxes.size() * size_t(most)) {
    const int images = int(boxes.size());
    for (int n = 0; n < images; ++n) {
      counts_[n] = int(boxes[n].size());
      for (int i = 0; i < std::min(counts_[n], capacity); ++i)
        candidates_[n * capacity + i] = {boxes[n][i], 1, probabilities_[n].data() + i * classes};
    }
    lists.places = {places_.data(), {images, 1, 1, 1}};
    lists.candidates = {candidates_.data(), {images, 1, 1, capacity}};
    lists.counts = {counts_.data(), {images, 1, 1, 1}};
    lists.kept = {kept_.data(), {images, 1, classes, (capacity + 31) / 32}};
    lists.found = {found_.data(), {images, 1, 1, most}};
    lists.found_counts = {counts_.data() + images, {images, 1, 1, 1}};
  }
  OwnLists(const OwnLists&) = delete;

  bool kept(int image, int class_id, int candidate) const {
    return lists.kept(image, 0, class_id, candidate / 32) >> candidate % 32 & 1;
  }
  std::vector<ImagePlace>& places() { return places_; }

  DetectionLists lists;

 private:
  std::vector<std::vector<float>> probabilities_;
  std::vector<ImagePlace> places_;
  std::vector<CandidateBox> candidates_;
  std::vector<int> counts_;
  std::vector<unsigned> kept_;
  std::vector<ListedDetection> found_;
};

}  // namespace osprey::test
