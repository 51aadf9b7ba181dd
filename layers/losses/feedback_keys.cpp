#include "layers/losses/feedback_keys.h"

namespace osprey {

void feedback_keys(Keys& k, Feedback& feedback) {
  k.flag("feedback", feedback.on, false)
      .help(
          "1: boxes of small objects count more while these have little part in the box loss of the step "
          "before, a parametrisation of our own; where a training is resumed, or its images change their "
          "size, "
          "that part is measured anew");
  k.real("feedback_threshold", feedback.rule.enough, 0.1f)
      .more_than(0)
      .help("feedback: the part that is enough");
  k.real("feedback_strength", feedback.rule.strength, 1)
      .at_least(0)
      .help("feedback: the smallest objects count up to 1 + this");
  k.real("feedback_area", feedback.rule.small_area, 1024)
      .more_than(0)
      .help("feedback: the area of small objects at most, in pixels of the network input");
  k.real("feedback_momentum", feedback.rule.momentum, 0)
      .between(0, 1)
      .help("feedback: how much that part keeps of its value before");
}

void plan_feedback(Plan& p, Feedback& feedback) {
  if (feedback.on) p.lasting(feedback.share, {1, 1, 1, 1});
}

}  // namespace osprey
