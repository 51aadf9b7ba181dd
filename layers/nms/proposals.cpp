// Region proposals on the CPU. Compiled without contraction to fused operations, as the kernels are, so that
// an overlap that equals the threshold does so on both.
#include "cuda/proposals.h"

#include "core/parallel.h"

namespace osprey::cpu {
namespace {

// The boxes of one level of one image, best first.
class LevelProposals {
 public:
  LevelProposals(const RpnMaps& maps, const ProposalRule& rule, const ProposalWork& work, int image,
                 int level)
      : maps_(maps),
        rule_(rule),
        image_(image),
        level_(level),
        count_(work.counts(image, 0, 0, level)),
        capacity_(work.boxes.shape.c),
        chosen_(&work.chosen(image, 0, level, 0)),
        boxes_(&work.boxes(image, 0, level, 0)),
        scores_(&work.scores(image, 0, level, 0)) {}

  void decode(View<const Box> anchors, const BoxClip& clip) {
    const int first = maps_.first_row(level_);
    for (int i = 0; i < count_; ++i) {
      const int row = chosen_[i];
      const Box anchor = anchor_of(anchors, image_, first + row);
      boxes_[i] = clip.apply(rule_.coder.decode(maps_.deltas_of(image_, level_, row), anchor), image_);
      const float logit = maps_.logit(image_, level_, row);
      scores_[i] = rule_.keeps(boxes_[i], rule_.probability(logit)) ? logit : ProposalWork::kDropped;
    }
    for (int i = count_; i < capacity_; ++i) scores_[i] = ProposalWork::kDropped;
  }

  // After `most` boxes have stayed the rest is dropped: the level can give no more.
  void silence(int most) {
    int stayed = 0;
    for (int i = 0; i < count_; ++i) {
      if (!alive(i)) continue;
      if (stayed++ >= most)
        scores_[i] = ProposalWork::kDropped;
      else
        for (int j = i + 1; j < count_; ++j)
          if (alive(j) && rule_.suppresses(boxes_[i], boxes_[j])) scores_[j] = ProposalWork::kDropped;
    }
  }

 private:
  bool alive(int i) const { return scores_[i] > ProposalWork::kDropped; }

  const RpnMaps& maps_;
  const ProposalRule& rule_;
  int image_, level_, count_, capacity_;
  const int* chosen_;
  Box* boxes_;
  float* scores_;
};

void write_table(const ProposalWork& work, View<float> table) {
  const int places = work.scores.shape.w * work.scores.shape.c;
  for (int row = 0; row < table.shape.rows(); ++row) {
    const int image = row / table.shape.w;
    RoiRow roi;
    if (row % table.shape.w < work.best_counts[image]) {
      const int from = image * places + work.best[row];
      roi = {work.boxes[from], ProposalRule::probability(work.scores[from]), kBackground};
    }
    set_roi(table, row, roi);
  }
}

}  // namespace

void propose(Stream& s, const RpnMaps& maps, View<const Box> anchors, const ProposalRule& rule, BoxClip clip,
             const ProposalWork& work, View<float> table) {
  top_k(s, segments_of(maps), work.chosen, work.counts);
  parallel_for(work.boxes.shape.n * maps.count, 1, [&](int64_t first, int64_t last) {
    for (int at = int(first); at < int(last); ++at) {
      LevelProposals level(maps, rule, work, at / maps.count, at % maps.count);
      level.decode(anchors, clip);
      level.silence(table.shape.w);
    }
  });
  top_k(s, work.left(), work.best, work.best_counts);
  write_table(work, table);
}

}  // namespace osprey::cpu
