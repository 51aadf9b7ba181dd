// The losses of heads that judge every anchor.
#include "cuda/dense_loss.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

std::vector<Box> boxes_of(const std::vector<float>& corners) {
  std::vector<Box> all;
  for (size_t i = 0; i + 3 < corners.size(); i += 4)
    all.push_back({corners[i], corners[i + 1], corners[i + 2], corners[i + 3]});
  return all;
}

GOLDEN_ON_DEVICES(retinanet_loss) {
  const std::vector<int> shape = c.shape("cls_logits");
  const int images = shape[0], rows = shape[1], classes = shape[2];
  const auto floats = [&](int channels) { return std::vector<float>(size_t(images) * rows * channels); };
  const std::vector<Box> anchors = boxes_of(c.floats("anchors"));
  std::vector<int> match = c.ints("matched");
  std::vector<float> logits = c.floats("cls_logits"), deltas = c.floats("bbox_regression");
  int capacity = 1;
  for (int n = 0; n < images; ++n)
    if (c.has("gt" + std::to_string(n))) capacity = std::max(capacity, c.shape("gt" + std::to_string(n))[0]);
  std::vector<Box> truths(size_t(images) * capacity);
  std::vector<int> labels(truths.size()), counts(size_t(images), 0);
  for (int n = 0; n < images; ++n) {
    if (!c.has("gt" + std::to_string(n))) continue;
    const std::vector<Box> gt = boxes_of(c.floats("gt" + std::to_string(n)));
    const std::vector<int> classes_of = c.ints("labels" + std::to_string(n));
    std::copy(gt.begin(), gt.end(), truths.begin() + n * capacity);
    std::copy(classes_of.begin(), classes_of.end(), labels.begin() + n * capacity);
    counts[n] = int(gt.size());
  }

  const auto row = [&](auto& values, int channels) {
    return View{values.data(), Shape{images, 1, rows, channels}};
  };
  const Shape list = {images, 1, 1, capacity}, per_row = {images, 1, 1, rows};
  std::vector<float> logit_gradients = floats(classes), delta_gradients = floats(4), weights = floats(1),
                     class_targets = floats(1), sums(size_t(images) * 2), losses(static_cast<size_t>(images));
  std::vector<LossReport> parts(size_t(dense_parts({images, 1, rows, 1})));
  DenseRule rule;
  rule.class_loss.alpha = c.param("alpha", .25f);
  rule.class_loss.gamma = c.param("gamma", 2.f);
  rule.box_loss.beta = 0;
  const DenseWork work = {{weights.data(), per_row},
                          {class_targets.data(), per_row},
                          {sums.data(), {images, 1, 1, 2}},
                          {parts.data(), {1, 1, 1, int(parts.size() * sizeof(LossReport))}, Type::u8}};
  LossReport report;
  Stream s{device};
  on(s, cpu::dense_loss, cuda::dense_loss)(
      s, DenseRows{row(logits, classes), row(deltas, 4), {}},
      DenseTargets{{anchors.data(), {1, 1, 1, rows}},
                   {match.data(), per_row},
                   {{truths.data(), list}, {labels.data(), list}, {counts.data(), {images, 1, 1, 1}}}},
      rule, work, DenseGradients{row(logit_gradients, classes), row(delta_gradients, 4), {}},
      View<float>{losses.data(), {images, 1, 1, 1}}, &report);

  // The engine's losses and gradients are sums over images, which the optimizer divides; the case has their
  // mean.
  for (std::vector<float>* gradients : {&logit_gradients, &delta_gradients})
    for (float& g : *gradients) g /= float(images);
  c.expect("loss_cls", std::vector<double>{report.class_loss / images});
  c.expect("loss_box", std::vector<double>{report.box_loss / images});
  c.expect("d_cls_logits", logit_gradients);
  c.expect("d_bbox_regression", delta_gradients);
}

}  // namespace
}  // namespace osprey
