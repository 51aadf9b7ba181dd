#include "train/validation.h"

#include <algorithm>

#include "train/classifier.h"
#include "train/metrics/darknet_map.h"

namespace osprey {
namespace {

NetworkOptions never_training(NetworkOptions options) {
  options.build.training = false;
  return options;
}

}  // namespace

Validation::Validation(const std::vector<Section>& sections, NetworkOptions options, Dataset set, int top,
                       bool with_loss)
    : set_(std::move(set)), network_(sections, never_training(options)), top_(top) {
  const NetSection& net = network_.net();
  network_.plan(std::clamp(net.mini_batch(), 1, 8), net.width, net.height);
  if (with_loss) loss_ = std::make_unique<ValidationLoss>(sections, options, set_);
}

const char* Validation::score_name(const Network& network) {
  return network.heads().empty() ? "top-1" : "mAP@0.5";
}

Measured Validation::measure(const Parameters& trained, const Step& step) {
  network_.parameters().take_values(trained);
  network_.prepare();
  Measured measured = measure_score();
  if (loss_) measured.loss = float(loss_->measure(trained, step));
  return measured;
}

Measured Validation::measure_score() {
  if (network_.heads().empty()) {
    const Accuracy accuracy = measure_accuracy(network_, set_, top_);
    return {float(accuracy.top1()), accuracy.k > 1 ? float(accuracy.top_k()) : -1, accuracy.k, -1, {}};
  }
  Evaluated found = detect_all(network_, set_, map_options(fit_of(network_.net())));
  const float map = float(darknet_map(found.truths, found.detections, int(set_.names.size())).map);
  return {map, -1, 1, -1, std::move(found)};
}

}  // namespace osprey
