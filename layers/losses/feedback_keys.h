// The cfg keys of feedback (core/feedback.h), and its memory.
#pragma once

#include "core/cfg.h"
#include "core/feedback.h"
#include "layers/layer.h"

namespace osprey {

void feedback_keys(Keys& k, Feedback& feedback);
// In training.
void plan_feedback(Plan& p, Feedback& feedback);

}  // namespace osprey
