// Losses and their gradients, against PyTorch, torchvision, mmdetection and the authors of NWD, on both
// devices.
#include "cuda/dice_loss.h"
#include "cuda/losses.h"

#include <map>

#include "tests/golden/golden.h"

namespace osprey {
namespace {

using golden::nchw;
using golden::nhwc;
using Values = std::vector<float>;

View<const float> constant(const Values& v, Shape shape) { return {v.data(), shape}; }
View<float> view(Values& v, Shape shape) { return {v.data(), shape}; }

void expect_value_loss(const golden::Case& c, Device device, const char* x_name, const char* dx_name,
                       ValueLoss loss) {
  const Values x = c.floats(x_name), target = c.floats("target"), dy = c.floats("dy");
  const Shape shape = {1, 1, 1, int(x.size())};
  Values y(x.size()), dx(x.size(), 0);
  Stream s{device};
  on(s, cpu::value_loss, cuda::value_loss)(s, constant(x, shape), constant(target, shape), loss,
                                           view(y, shape));
  on(s, cpu::value_loss_backward, cuda::value_loss_backward)(s, constant(x, shape), constant(target, shape),
                                                             loss, constant(dy, shape), view(dx, shape));
  c.expect("y", y);
  c.expect(dx_name, dx);
}

GOLDEN_ON_DEVICES(smooth_l1) {
  const ValueLoss loss = {ValueLoss::Kind::smooth_l1, c.params().at("beta")};
  expect_value_loss(c, device, "pred", "dpred", loss);
}

GOLDEN_ON_DEVICES(bce_logits) { expect_value_loss(c, device, "logits", "dlogits", {ValueLoss::Kind::bce}); }

GOLDEN_ON_DEVICES(sigmoid_focal_loss) {
  const ValueLoss loss = {ValueLoss::Kind::focal, 1, c.params().at("alpha"), c.params().at("gamma")};
  expect_value_loss(c, device, "logits", "dlogits", loss);
}

// The mean, and its gradient: the weights of the rows are both the sum's and dy.
GOLDEN_ON_DEVICES(softmax_ce) {
  const std::vector<int> shape = c.shape("logits");
  const Values logits = nhwc(c.array("logits")),
               class_weights = c.has("weight") ? c.floats("weight") : Values();
  const std::vector<int> labels = c.ints("target");
  const bool image = shape.size() == 4;
  const Shape of_logits =
      image ? Shape{shape[0], shape[2], shape[3], shape[1]} : Shape{1, 1, shape[0], shape[1]};
  const Shape of_rows = {of_logits.n, of_logits.h, of_logits.w, 1};
  RowClasses rule;
  rule.ignore = c.params().at("ignore_index");
  if (!class_weights.empty()) rule.class_weights = constant(class_weights, {1, 1, 1, of_logits.c});
  Values losses(labels.size()), weights(labels.size()), mean(1), dlogits(logits.size(), 0);
  const View<const int> of_labels(labels.data(), of_rows);
  const auto x = constant(logits, of_logits);
  Stream s{device};
  on(s, cpu::cross_entropy, cuda::cross_entropy)(s, x, of_labels, rule, view(losses, of_rows));
  on(s, cpu::mean_weights, cuda::mean_weights)(s, of_labels, rule, of_logits.c, view(weights, of_rows));
  on(s, cpu::weighted_sum, cuda::weighted_sum)(s, constant(losses, of_rows), constant(weights, of_rows),
                                               view(mean, {1, 1, 1, 1}));
  on(s, cpu::cross_entropy_backward, cuda::cross_entropy_backward)(
      s, x, of_labels, rule, constant(weights, of_rows), view(dlogits, of_logits));
  c.expect("y", mean);
  c.expect("dlogits", image ? nchw(dlogits, {of_logits.n, of_logits.h, of_logits.w, of_logits.c}) : dlogits);
}

// Each mask is one item of a batch.
GOLDEN_ON_DEVICES(dice) {
  const Values logits = c.floats("logits"), target = c.floats("target"), dy = c.floats("dy");
  const int masks = int(dy.size());
  const Shape shape = {masks, 1, 1, int(logits.size()) / masks}, each = {masks, 1, 1, 1};
  Values y(dy.size()), dlogits(logits.size(), 0);
  Stream s{device};
  on(s, cpu::dice_loss, cuda::dice_loss)(s, constant(logits, shape), constant(target, shape),
                                         c.param("eps", 1.0f), view(y, each));
  on(s, cpu::dice_loss_backward, cuda::dice_loss_backward)(s, constant(logits, shape),
                                                           constant(target, shape), c.param("eps", 1.0f),
                                                           constant(dy, each), view(dlogits, shape));
  c.expect("y", y);
  c.expect("dlogits", dlogits);
}

BoxLossRule::Kind box_loss_kind(const golden::Case& c) {
  using Kind = BoxLossRule::Kind;
  const std::map<std::string, Kind> kinds = {
      {"iou linear", Kind::iou}, {"iou log", Kind::iou_log},   {"iou square", Kind::iou_square},
      {"giou", Kind::giou},      {"diou", Kind::diou},         {"ciou", Kind::ciou},
      {"nwd exp", Kind::nwd},    {"nwd sqrt", Kind::nwd_sqrt}, {"nwd log", Kind::nwd_log}};
  if (c.param<std::string>("alpha", "") == "differentiated") return Kind::whole_ciou;
  const std::string mode = c.param<std::string>("mode", "");
  return kinds.at(c.params().at("kind").get<std::string>() + (mode.empty() ? "" : " " + mode));
}

GOLDEN_ON_DEVICES(box_loss) {
  BoxLossRule rule;
  rule.kind = box_loss_kind(c);
  rule.constant = c.param("C", 12.8f);
  const Values boxes = c.floats("pred"), targets = c.floats("target");
  const int count = int(boxes.size() / 4);
  const Shape shape = {1, 1, count, 4}, rows = {1, 1, count, 1};
  Values losses(size_t(count), 0), dy(size_t(count), 1), dboxes(boxes.size(), 0);
  Stream s{device};
  const auto p = constant(boxes, shape), t = constant(targets, shape);
  on(s, cpu::box_loss, cuda::box_loss)(s, p, t, rule, view(losses, rows));
  on(s, cpu::box_loss_backward, cuda::box_loss_backward)(s, p, t, rule, constant(dy, rows),
                                                         view(dboxes, shape));
  c.expect("loss", losses);
  c.expect("dpred", dboxes);
}

}  // namespace
}  // namespace osprey
