#include "core/feedback.h"

#include <gtest/gtest.h>

namespace osprey {
namespace {

// A small truth of 16x16, one of just 32x32, and a large one of 64x32.
constexpr Box kSmall = {0, 0, 16, 16}, kJustSmall = {8, 8, 40, 40}, kLarge = {0, 0, 64, 32};

struct Own {
  explicit Own(float share) : share(share) {
    feedback.on = true;
    feedback.share = {&this->share, {1, 1, 1, 1}};
  }
  float share;
  Feedback feedback;
};

TEST(Feedback, SmallObjectsGainWhileTheirShareIsSmall) {
  Own own(.05f);
  // Half of enough, and a quarter of the area: 1 + 1/2 * 3/4.
  EXPECT_FLOAT_EQ(own.feedback.gain(kSmall), 1.375f);
  EXPECT_FLOAT_EQ(own.feedback.gain(kJustSmall), 1);
  EXPECT_FLOAT_EQ(own.feedback.gain(kLarge), 1);
  own.share = .1f;  // enough
  EXPECT_FLOAT_EQ(own.feedback.gain(kSmall), 1);
  own.share = 0;  // not known yet
  EXPECT_FLOAT_EQ(own.feedback.gain(kSmall), 1);
  own.share = .05f;
  own.feedback.rule.strength = 2;
  own.feedback.rule.enough = .2f;
  EXPECT_FLOAT_EQ(own.feedback.gain(kSmall), 1 + 2 * .75f * .75f);
  own.feedback.on = false;
  EXPECT_FLOAT_EQ(own.feedback.gain(kSmall), 1);
}

TEST(Feedback, TheShareIsThatOfSmallObjects) {
  Own own(0);
  FeedbackSums sums, more;
  own.feedback.tell(kSmall, 1, sums);
  own.feedback.tell(kLarge, 5, sums);
  own.feedback.tell(kJustSmall, 2, more);
  add(sums, more);
  EXPECT_EQ(sums.small_objects, 2);
  own.feedback.move(sums);
  EXPECT_FLOAT_EQ(own.share, 3 / 8.f);
}

TEST(Feedback, AStepThatSaysNothingLeavesTheShare) {
  for (const FeedbackSums& sums : {FeedbackSums{0, 3, 0}, FeedbackSums{0, 0, 2}, FeedbackSums{1, INFINITY, 1},
                                   FeedbackSums{1, NAN, 1}, FeedbackSums{}}) {
    Own own(.05f);
    own.feedback.move(sums);
    EXPECT_EQ(own.share, .05f);
  }
}

TEST(Feedback, TheShareMayMoveSlowly) {
  Own own(.05f);
  own.feedback.rule.momentum = .75f;
  own.feedback.move({1, 4, 1});
  EXPECT_FLOAT_EQ(own.share, .75f * .05f + .25f * .25f);
  own.share = 0;
  own.feedback.move({1, 4, 1});
  EXPECT_FLOAT_EQ(own.share, .25f);  // not from a share that is not known
}

}  // namespace
}  // namespace osprey
