// Which of the matched anchors (or proposals) of an image the losses count: there are far more negatives than
// positives, and nearly all of them are easy. The CPU side is in layers/matching/sampler.cpp, the kernels in
// cuda/sampler.cu.
//
// In all of them match [N,1,1,A] is a matcher's: truths are positives, kBackground are negatives, others are
// never chosen. They write weights [N,1,1,A]: 1 for the chosen rows, else 0; and counts [N,1,1,2]: of chosen
// positives and negatives. A mini-batch that is given as [1,1,1,N*A] is chosen from as one image.
#pragma once

#include "core/random.h"
#include "core/step.h"
#include "cuda/matching.h"

namespace osprey {

struct SampleCounts {
  int positives = 0, negatives = 0;
  HOST_DEVICE int of(bool positive) const { return positive ? positives : negatives; }
  HOST_DEVICE int both() const { return positives + negatives; }
};

// At most `count` rows, of which positive_fraction may be positives; negatives take what these leave.
// 256 and 1/2 are Faster R-CNN's for proposals, 512 and 1/4 those of its second stage in today's code.
struct SampleRule {
  int count = 256;
  float positive_fraction = .5f;
  bool apart = true;  // false: the first `count` of both kinds, whatever they are

  HOST_DEVICE SampleCounts quota(SampleCounts available) const {
    const int most = int(positive_fraction * float(count));
    const int positives = most < available.positives ? most : available.positives, rest = count - positives;
    return {positives, rest < available.negatives ? rest : available.negatives};
  }
};

// All positives, and `ratio` times as many negatives (none in an image without positives).
struct HardNegativeRule {
  float ratio = 3;
  static constexpr bool apart = true;
  static constexpr int count = 0;  // of rows that are not apart

  HOST_DEVICE SampleCounts quota(SampleCounts available) const {
    const int most = int(ratio * float(available.positives));
    return {available.positives, most < available.negatives ? most : available.negatives};
  }
};

// A random order of the rows of a mini-batch, another one in every pass and for each layer.
struct RandomKeys {
  const Step* step;
  uint64_t layer;  // tells the layers of a network apart

  HOST_DEVICE uint64_t key(const Shape& match, int image, int row) const {
    Random random(step->seed, Purpose::choose_rows, uint64_t(step->pass),
                  layer << 32 | uint64_t(match.index(image, 0, 0, row)));
    return uint64_t(random.bits() | 0x80000000u) << 32 | uint32_t(row);  // no key is 0
  }
};

// By falling loss, of equal ones the first row; rows with a loss of minus infinity are not chosen, as if they
// were ignored.
struct LossKeys {
  View<const float> losses;

  HOST_DEVICE uint64_t key(const Shape&, int image, int row) const {
    const float loss = losses(image, 0, 0, row);
    return loss == -INFINITY ? kNoKey : rising_key(-loss, row);
  }
};

namespace cpu {
// At random, without replacement. "Faster R-CNN", Ren et al., NeurIPS 2015, section 3.1.3.
void sample_random(Stream&, View<const int> match, SampleRule, const Step*, uint64_t layer,
                   View<float> weights, View<int> counts);

// Those with the largest of losses [N,1,1,A]. "Training Region-based Object Detectors with Online Hard
// Example Mining", Shrivastava et al., CVPR 2016: there not `apart`, in mmdetection's OHEMSampler `apart`.
// The paper's suppression of rows that share a loss is soft_nms() with kind `hard`, threshold 0.7 and
// min_score minus infinity, whose scores are the losses: what it leaves is what is given here.
void sample_ohem(Stream&, View<const int> match, View<const float> losses, SampleRule, View<float> weights,
                 View<int> counts);

// All positives and the negatives with the largest losses. SSD, Liu et al., ECCV 2016, section 2.2.
void sample_hard(Stream&, View<const int> match, View<const float> losses, HardNegativeRule,
                 View<float> weights, View<int> counts);

// Writes rows [N,1,1,R]: the chosen rows of each image, positives before negatives, both in their order, then
// -1; counts [N,1,1,1]: how many. What R has no room for is left out.
void list_sampled(Stream&, View<const int> match, View<const float> weights, View<int> rows,
                  View<int> counts);
}  // namespace cpu

namespace cuda {
void sample_random(Stream&, View<const int> match, SampleRule, const Step*, uint64_t layer,
                   View<float> weights, View<int> counts);
void sample_ohem(Stream&, View<const int> match, View<const float> losses, SampleRule, View<float> weights,
                 View<int> counts);
void sample_hard(Stream&, View<const int> match, View<const float> losses, HardNegativeRule,
                 View<float> weights, View<int> counts);
void list_sampled(Stream&, View<const int> match, View<const float> weights, View<int> rows,
                  View<int> counts);
}  // namespace cuda

}  // namespace osprey
