// Learning rates, iteration by iteration, as PyTorch's schedulers have them.
#include "tests/golden/golden.h"
#include "train/schedule.h"

namespace osprey {
namespace {

GOLDEN(lr_schedule) {
  NetSection net;
  net.learning_rate = c.param("base_lr", 0.0f);
  net.burn_in = c.param("warmup_iters", 0);
  net.warmup =
      c.param<std::string>("warmup_method", "linear") == "constant" ? WarmUp::constant : WarmUp::linear;
  net.warmup_start = c.param("warmup_factor", 1.0f);
  net.policy = Policy::steps;
  for (const int milestone : c.param("milestones", std::vector<int>{})) {
    net.steps.push_back(milestone + 1);  // its iterations are counted from 0
    net.scales.push_back(c.param("gamma", 1.0f));
  }
  std::vector<float> rates;
  for (int t = 0; t < c.shape("lr")[0]; ++t) rates.push_back(learning_rate(net, t + 1, 0));
  c.expect("lr", rates);
}

}  // namespace
}  // namespace osprey
