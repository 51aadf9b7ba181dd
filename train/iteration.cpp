#include "train/iteration.h"

#include <algorithm>
#include <cmath>

#include "core/log.h"
#include "cuda/runtime.h"
#include "train/schedule.h"

namespace osprey {
namespace {

std::string named(const std::vector<std::string>& images) {
  std::string list;
  for (size_t i = 0; i < images.size() && i < 4; ++i) list += (i ? ", " : "") + images[i];
  if (images.size() > 4) list += fmt::format(" and {} more", images.size() - 4);
  return list;
}

// Null, with a warning, where gradients go through the host's memory.
std::unique_ptr<cuda::GpuGroup> join_gpus(ProcessGroup& group) {
  if (const std::string missing = cuda::gpu_groups_missing(); !missing.empty()) {
    if (!cuda::emulated()) warn("{}", missing);
    return nullptr;
  }
  cuda::GpuGroupName name;
  if (group.leads()) name = cuda::name_gpu_group();
  group.take_from_leader(&name, sizeof(name));
  return std::make_unique<cuda::GpuGroup>(name, group.rank(), group.size());
}

constexpr const char* kCure = "lower learning_rate or raise burn_in, and check these images and their labels";

}  // namespace

Share share_of(int subdivisions, const ProcessGroup& group) {
  const int count = subdivisions / group.size(), first = group.rank() * count;
  return {first, count, subdivisions - first - count};
}

TrainingStep::TrainingStep(Network& network, Optimizer& optimizer, bool eager, ProcessGroup& group)
    : network_(network),
      optimizer_(optimizer),
      group_(group),
      share_(share_of(network.net().subdivisions, group)),
      eager_(eager || network.device() == Device::cpu) {
  const auto& nodes = network.nodes();
  if (std::none_of(nodes.begin(), nodes.end(), [](const Node& n) { return n.layer->has_loss(); }))
    fail("the network has no layer with a loss: nothing to train for");
  if (group_.alone()) return;
  optimizer_.begin_sharing();
  if (network_.device() == Device::cuda) gpus_ = join_gpus(group_);
}

void TrainingStep::pass() {
  network_.enqueue_forward();
  optimizer_.check_losses(network_.device_losses(), int(network_.nodes().size()));
  network_.backward();
}

void TrainingStep::update() { optimizer_.update(network_.device_step()); }

// Both graphs hold addresses of the network's plan.
void TrainingStep::prepare_graphs() {
  if (eager_ || plan_ == network_.plan_number()) return;
  plan_ = network_.plan_number();
  const bool whole = network_.net().subdivisions == 1;
  pass_.capture(network_.stream(), [&] {
    pass();
    if (whole) update();
  });
  if (!whole) update_.capture(network_.stream(), [&] { update(); });
}

void TrainingStep::take(int m, const FillMiniBatch& fill) {
  network_.wait_for_upload();  // of the mini-batch before, whose memory is filled anew
  if (!ahead_) next_images_ = fill(network_);
  ahead_ = false;
  images_.push_back(next_images_);
  Step& step = network_.step();
  step.pass = (step.iteration - 1) * network_.net().subdivisions + m;
  step.seen = (step.pass + 1) * network_.net().mini_batch();
  network_.upload();
}

IterationResult TrainingStep::run(int64_t iteration, uint64_t seed, const FillMiniBatch& fill,
                                  bool another_follows) {
  const NetSection& net = network_.net();
  prepare_graphs();
  network_.wait_for_upload();
  Step& step = network_.step();
  step.iteration = iteration;
  step.seed = seed;
  step.learning_rate = learning_rate(net, iteration, seed);
  network_.clear_losses();
  optimizer_.clear_faults();
  images_.clear();
  run_passes(iteration, fill);
  if (!group_.alone()) {
    if (another_follows) look_ahead(fill);
    if (const Faults faults = optimizer_.faults(); faults.any()) blame(faults, iteration);
    share();
  }
  if (eager_)
    update();
  else if (net.subdivisions > 1)
    update_.replay(network_.stream());
  if (group_.alone() && another_follows) look_ahead(fill);
  if (const Faults faults = optimizer_.faults(); faults.any()) blame(faults, iteration);
  return result(step.learning_rate);
}

void TrainingStep::run_passes(int64_t iteration, const FillMiniBatch& fill) {
  for (int m = share_.first; m < share_.first + share_.count; ++m) {
    take(m, fill);
    eager_ ? pass() : pass_.replay(network_.stream());
    if (network_.device() == Device::cpu)  // where looking costs nothing, and the mini-batch is still there
      if (const Faults faults = optimizer_.faults(); faults.any()) blame(faults, iteration);
  }
  if (!group_.alone()) optimizer_.check_gradients();  // while it is known whose they are
}

// While the device is at work.
void TrainingStep::look_ahead(const FillMiniBatch& fill) {
  if (network_.device() == Device::cpu) return;
  network_.wait_for_upload();
  next_images_ = fill(network_);
  ahead_ = true;
}

void TrainingStep::share() {
  optimizer_.weigh_statistics();
  Parameters& p = network_.parameters();
  if (gpus_) {
    gpus_->sum(network_.stream(), p.device_gradients(), p.size());
  } else {
    p.download_gradients();
    group_.sum(p.gradients(), p.size());
    p.upload_gradients();
  }
  optimizer_.merge_statistics();
}

double mean_loss(const Network& network, int64_t images, LossReport& parts) {
  const std::vector<LossReport> reports = network.losses();
  double sum = 0;
  int losses = 0;
  for (size_t i = 0; i < reports.size(); ++i) {
    if (!network.nodes()[i].layer->has_loss()) continue;
    ++losses;
    sum += reports[i].loss;
    add(parts, reports[i]);
  }
  return sum / (double(losses) * double(images));
}

IterationResult TrainingStep::result(float rate) {
  LossReport parts;
  const double loss = mean_loss(network_, network_.net().batch, parts);
  double sums[] = {loss,
                   parts.loss,
                   parts.iou,
                   parts.class_loss,
                   parts.box_loss,
                   parts.objectness_loss,
                   double(parts.matched)};
  group_.sum(sums, std::size(sums));
  return {sums[0], rate, {sums[1], sums[2], sums[3], sums[4], sums[5], int64_t(sums[6])}};
}

// Runs forward again, layer by layer, to find the first whose output is not finite. Outputs share memory, so
// they can only be told apart while they are made.
void TrainingStep::blame(const Faults& faults, int64_t iteration) {
  if (faults.loss == Faults::kNone) {
    const ParameterSpan& span = network_.parameters().spans()[size_t(faults.span)];
    fail(
        "iteration {}: the gradient of {} ({}) is not finite; images: {}; lower learning_rate or raise "
        "burn_in",
        iteration, network_.where(span.layer), span.info.name, named(images_.back()));
  }
  const std::vector<float> input = network_.read_input();
  if (!std::all_of(input.begin(), input.end(), [](float v) { return std::isfinite(v); }))
    fail("iteration {}: the input is not finite, in {}", iteration, named(images_.back()));
  const int layer = network_.first_not_finite();
  if (layer < 0)
    fail("iteration {}: the loss of {} is not finite, though every layer's output is; images: {}; {}",
         iteration, network_.where(faults.loss), named(images_.back()), kCure);
  fail("iteration {}: {} is the first whose output is not finite; images: {}; {}", iteration,
       network_.where(layer), named(images_.back()), kCure);
}

}  // namespace osprey
