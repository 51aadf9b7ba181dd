// The CPU side of cuda/feedback.h.
#include "cuda/feedback.h"

#include "core/parallel.h"

namespace osprey::cpu {

void feedback_weights(Stream&, View<const int> match, BoxLists truths, FeedbackRule rule,
                      View<const float> share, View<float> weights) {
  const int rows = match.shape.c;
  parallel_for(match.size(), 4096, [=](int64_t first, int64_t last) {
    for (int i = int(first); i < int(last); ++i) {
      weights[i] = 0;
      if (match[i] < 0) continue;
      const Box truth = truths.box(i / rows, match[i]);
      weights[i] = rule.size_weight(truth) * rule.gain(truth, share[0]);
    }
  });
}

void feedback_share(Stream&, View<const int> match, BoxLists truths, View<const float> losses,
                    FeedbackRule rule, View<float> share) {
  double of_small = 0, of_large = 0;
  int small_objects = 0;
  for (int image = 0; image < match.shape.n; ++image)
    for (int row = 0; row < match.shape.c; ++row) {
      const int m = match(image, 0, 0, row);
      if (m < 0) continue;
      const Box truth = truths.box(image, m);
      const double loss = double(losses(image, 0, 0, row)) * rule.size_weight(truth);
      (rule.is_small(truth) ? of_small : of_large) += loss;
      small_objects += rule.is_small(truth);
    }
  share[0] = rule.next_share(share[0], of_small, of_small + of_large, small_objects);
}

}  // namespace osprey::cpu
