#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/file.h"
#include "core/log.h"
#include "cuda/runtime.h"
#include "train/chart.h"
#include "train/crowded.h"
#include "train/interrupt.h"
#include "train/progress.h"
#include "train/sample_sheet.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

constexpr int kRefreshSeconds = 15;

// Darknet's name of a training: the .cfg file's, up to the first dot.
std::string training_name(const std::string& cfg) {
  const std::string file = fs::path(cfg).filename().string();
  return file.substr(0, file.find('.'));
}

void override_max_batches(Section& net, int64_t iterations) {
  std::erase_if(net.entries, [](const Entry& e) { return e.key == "max_batches"; });
  net.entries.push_back({"max_batches", std::to_string(iterations), net.line});
}

}  // namespace

NetworkOptions Trainer::network_options() const {
  NetworkOptions build;
  build.lenient = options_.lenient;
  build.build.device = options_.device;
  build.precision = options_.precision;
  build.build.convolution = options_.convolution;
  build.uncleared_gradients = options_.uncleared_gradients;
  return build;
}

// Processes begin alike, so that what is wrong would be told by each: the first one goes ahead, and where it
// ends the others are ended.
Trainer::Trainer(TrainOptions options) : options_(std::move(options)) {
  if (!leads()) enter_group();
  begin();
  if (leads()) group_.wait();
  if (!leads()) log_warnings_as(fmt::format("process {}", group_.rank() + 1));
}

void Trainer::enter_group() {
  group_.wait();
  log_nothing();
  options_.map = false;
  options_.port = -1;
}

// Each takes as many mini-batches of a batch.
void Trainer::check_share() const {
  const NetSection& net = network_->net();
  const int size = group_.size();
  if (net.subdivisions % size == 0) return;
  const int line = sections_[0].line_of("subdivisions"), more = (net.subdivisions / size + 1) * size;
  sections_[0].fail(
      line, fmt::format("subdivisions={} mini-batches cannot be dealt out to {} processes alike; {}",
                        net.subdivisions, size,
                        net.batch % more ? fmt::format("it must be a multiple of {}", size)
                                         : fmt::format("subdivisions={} would make {} of {} images each",
                                                       more, more, net.batch / more)));
}

void Trainer::begin() {
  sections_ = read_cfg(options_.cfg);
  if (options_.max_batches) override_max_batches(sections_[0], options_.max_batches);
  if (options_.device == Device::cuda && !group_.alone()) cuda::use_device(group_.rank());
  network_ = std::make_unique<Network>(sections_, network_options());
  const NetSection& net = network_->net();
  check_share();
  for (const auto& [key, why] : net.training_faults) sections_[0].fail(sections_[0].line_of(key), why);
  for (const Node& node : network_->nodes())
    if (const char* why = node.layer->why_not_trained()) node.section.fail(node.section.line, why);
  max_batches_ = net.max_batches;
  if (max_batches_ < 1)
    fail("{}: [net] max_batches says how long to train, and must be at least 1", options_.cfg);
  data_ = read_data_file(options_.data, options_.lenient);
  if (options_.map_on_training && !data_.has(Split::valid)) {
    data_.valid = data_.train;
    data_.valid_annotations = data_.train_annotations;
    data_.valid_images = data_.train_images;
  }
  if (!options_.save_every) options_.save_every = data_.savelast > 0 ? data_.savelast : 100;
  name_ = training_name(options_.cfg);
  if (options_.out.empty()) options_.out = data_.backup;
  state_.seed = options_.seed;
  plan();
  read_data();
  std::error_code error;
  fs::create_directories(options_.out, error);
  if (error) fail("{}: the folder for weights cannot be made: {}", options_.out, error.message());

  network_->parameters().initialise(options_.seed);
  optimizer_ = std::make_unique<Optimizer>(net, network_->parameters(), network_->stream(),
                                           share_of(net.subdivisions, group_).later);
  if (options_.resume) {
    state_ = load_checkpoint(file("_checkpoint.safetensors"), *network_, optimizer_.get());
    info("going on after iteration {} of {}", state_.iteration, max_batches_);
  } else if (!options_.weights.empty()) {
    start_from_weights();
  }
  report_.max_batches = max_batches_;
  describe_data(report_, *network_, train_set_, validation_ ? &validation_->set() : nullptr);
  if (options_.port >= 0) {
    page_ = std::make_unique<LivePage>(options_.host, options_.port);
    info("the report of this training, as it grows: http://{}:{}/", options_.host, page_->port());
  }
  if (state_.iteration >= max_batches_)
    warn("nothing to do: iteration {} of max_batches={} is reached already; {}", state_.iteration,
         max_batches_,
         options_.resume
             ? "a larger max_batches goes on"
             : "the weights tell how many images they have seen, and counting starts at 0 without "
               "--keep-seen, or with -clear where the command is Darknet's");
}

void Trainer::plan() {
  const NetSection& net = network_->net();
  const std::vector<Head*> heads = network_->heads();
  scale_ =
      std::make_unique<MultiScale>(net, heads.empty() ? 0 : heads.back()->augmentation().random, state_.seed);
  const auto [width, height] = scale_->largest();
  network_->plan(net.mini_batch(), width, height);
  if (heads.empty() && !network_->targets())
    fail(
        "{}: no layer that detects ([yolo], [retina], [rcnn], ...) or classifies ([softmax], [cost]): "
        "nothing to train for",
        options_.cfg);
}

void Trainer::read_data() {
  const NetSection& net = network_->net();
  augment_ = augmentation(*network_, sections_[0]);
  TrainingSets sets = read_training_sets(*network_, data_, options_.map, options_.strict);
  train_set_ = std::move(sets.train);
  const int64_t epoch = (int64_t(train_set_.samples.size()) + net.batch - 1) / net.batch;
  map_every_ = options_.map_every    ? options_.map_every
               : options_.map_epochs ? options_.map_epochs * epoch
                                     : std::max({int64_t(100), 4 * epoch, max_batches_ / 20});
  report_ = describe_run(options_.cfg, options_.data, *network_);
  if (const std::string crowded = tell_crowded(train_set_, network_->truth_capacity()); !crowded.empty())
    warn("{}", crowded);
  if (!sets.valid.samples.empty())
    validation_ = std::make_unique<Validation>(sections_, network_options(), std::move(sets.valid), data_.top,
                                               options_.validation_loss);
  const MemoryPlan& memory = network_->memory();
  const auto [width, height] = scale_->largest();
  info("memory: {}{:.0f} MiB for mini-batches of {} images of up to {}x{}, {:.0f} MiB for parameters",
       group_.alone() ? "" : fmt::format("each of {} processes has ", group_.size()),
       double(memory.bytes + memory.lasting) / (1 << 20), net.mini_batch(), width, height,
       double(memory.parameters + optimizer_bytes(net, network_->parameters())) / (1 << 20));
}

std::string Trainer::file(const std::string& suffix) const {
  return (fs::path(options_.out) / (name_ + suffix)).string();
}

void Trainer::start_from_weights() {
  const LoadedWeights loaded = load_weights(options_.weights, *network_, Coverage::backbone);
  const int layers = int(network_->nodes().size());
  info("{}: {} of {} layers{}", options_.weights, loaded.layers, layers,
       loaded.complete ? "" : "; the rest starts from random values");
  if (loaded.header.seen == 0) return;
  const int64_t iterations = int64_t(loaded.header.seen) / network_->net().batch;
  if (options_.keep_seen)
    optimizer_->begin_average((state_.iteration = iterations) + 1);
  else
    info(
        "these weights were trained for {} iterations; counting starts again at 0 (--keep-seen goes on from "
        "there, "
        "--resume from a checkpoint)",
        iterations);
}

void Trainer::make_loader() {
  const NetSection& net = network_->net();
  const int mini_batches = net.subdivisions;
  const Share share = share_of(mini_batches, group_);
  LoaderOptions o;
  o.batch = net.mini_batch();
  o.width = net.width;
  o.height = net.height;
  o.channels = net.channels;
  if (network_->heads().empty())
    o.classes = int(train_set_.names.size());
  else
    o.max_boxes = network_->truth_capacity();
  o.max_proposals = network_->proposal_capacity();
  o.augment = augment_;
  o.repeat_threshold = net.repeat_threshold;
  o.repeat_power = net.repeat_power;
  if (scale_->on())
    o.size_of_step = [this, mini_batches](int64_t step) { return scale_->size(step / mini_batches); };
  o.seed = state_.seed;
  o.threads = options_.loader_threads;
  o.first_step = state_.iteration * share.count;
  o.step_of = [mini_batches, share](int64_t n) {
    return n / share.count * mini_batches + share.first + n % share.count;
  };
  o.strict = options_.strict;
  o.described = options_.device != Device::cpu;
  loader_ = std::make_unique<Loader>(train_set_, o);
}

const std::vector<std::string>& Trainer::fill(Network& network) {
  const Batch& batch = loader_->next();
  const auto give_images = [&] {
    if (network.device() == Device::cpu)
      std::copy(batch.images.begin(), batch.images.end(), network.input().view<float>().begin());
    else
      network.set_samples(batch.bytes, batch.plans);
  };
  give_images();
  if (batch.step == 0) {
    network.upload();
    save_image(file("_samples.jpg"),
               sample_sheet(batch, network.read_input(), network.net().channels, train_set_.names));
    give_images();
  }
  if (const View<float> targets = network.targets())
    std::copy(batch.targets.begin(), batch.targets.end(), targets.begin());
  if (network.truth_capacity() > 0) {
    const Truths& truths = network.truths();
    std::copy(batch.truths.begin(), batch.truths.end(), truths.boxes.begin());
    std::copy(batch.counts.begin(), batch.counts.end(), truths.counts.begin());
  }
  if (const Proposals& proposals = network.proposals(); proposals.boxes) {
    std::copy(batch.proposals.begin(), batch.proposals.end(), proposals.boxes.begin());
    std::copy(batch.proposal_counts.begin(), batch.proposal_counts.end(), proposals.counts.begin());
  }
  return batch.paths;
}

void Trainer::iterate(int64_t iteration) {
  const NetSection& net = network_->net();
  const auto [width, height] = scale_->size(iteration - 1);
  const bool freezes_others = network_->freeze_for(iteration);
  if (freezes_others || network_->input().shape.w != width || network_->input().shape.h != height)
    network_->plan(net.mini_batch(), width, height);
  if (freezes_others) {
    optimizer_->take_rates(net);
    info("from iteration {} on {} layers are trained", iteration, network_->trained_layers());
  }
  if (!training_step_) training_step_ = std::make_unique<TrainingStep>(*network_, *optimizer_);
  const bool another_of_this_plan = iteration < max_batches_ &&
                                    scale_->size(iteration) == scale_->size(iteration - 1) &&
                                    !network_->freezes_others(iteration + 1);
  const IterationResult result = training_step_->run(
      iteration, state_.seed,
      [this](Network& network) -> const std::vector<std::string>& { return fill(network); },
      another_of_this_plan);
  state_.iteration = iteration;
  state_.average_loss = state_.average_loss < 0 ? result.loss : 0.9 * state_.average_loss + 0.1 * result.loss;
  state_.history.push_back({iteration, float(result.loss), float(state_.average_loss), result.rate, -1});
  last_parts_ = result.parts;
}

bool Trainer::measurement_is_due(int64_t iteration) const {
  if (!validation_) return false;
  return iteration == max_batches_ || (iteration >= network_->net().burn_in && iteration % map_every_ == 0);
}

int64_t Trainer::next_measurement(int64_t iteration) const {
  const int64_t from = std::max(iteration + 1, network_->net().burn_in);
  return std::min((from + map_every_ - 1) / map_every_ * map_every_, max_batches_);
}

// As NAME_1000.weights and so on, at Darknet's iterations.
bool Trainer::is_kept(int64_t iteration) const {
  const int64_t every = data_.saveweights >= 0 ? data_.saveweights : max_batches_ < 10000 ? 1000 : 10000;
  return every > 0 && iteration % every == 0;
}

void Trainer::measure(const WeightsHeader& header) {
  measured_ = validation_->measure(network_->parameters(), network_->step());
  state_.history.back().score = measured_.score;
  state_.history.back().validation_loss = measured_.loss;
  if (measured_.found) report_.findings = findings_of(validation_->set(), *measured_.found);
  if (measured_.score > state_.best_score) {
    state_.best_score = measured_.score;
    save_weights(file("_best.weights"), *network_, header);
  }
  write_report();
}

bool Trainer::patience_is_over() const {
  if (options_.patience == 0) return false;
  int since_best = 0;
  float best = -1;
  for (const HistoryPoint& h : state_.history) {
    if (h.score < 0) continue;
    since_best = h.score > best ? 0 : since_best + 1;
    best = std::max(best, h.score);
  }
  return since_best >= options_.patience;
}

void Trainer::save(int64_t iteration) {
  if (!leads()) return;
  WeightsHeader header;
  header.seen = uint64_t(iteration) * uint64_t(network_->net().batch);
  save_weights(file("_last.weights"), *network_, header);
  if (optimizer_->has_average(iteration)) {
    optimizer_->exchange_average();
    save_weights(file("_ema.weights"), *network_, header);
    optimizer_->exchange_average();
  }
  save_checkpoint(file("_checkpoint.safetensors"), *network_, state_, optimizer_.get());
  write_report();
}

void Trainer::write_report() {
  const fs::path folder = options_.out;
  write_file((folder / "chart.svg").string(),
             chart_svg(name_, state_.history, max_batches_, report_.score_name));
  report_.history = state_.history;
  write_file((folder / "report.html").string(), report_html(report_));
  if (page_) page_->show(report_html(report_, kRefreshSeconds));
}

std::string Trainer::progress_text(double images_per_second) const {
  const HistoryPoint& now = state_.history.back();
  const bool detects = !network_->heads().empty();
  std::string text = fmt::format("loss {:.4g} avg {:.4g}  ", now.loss, state_.average_loss);
  if (detects)
    text += fmt::format("IoU {:.3f}  ", last_parts_.matched ? last_parts_.iou / last_parts_.matched : 0.0);
  text += fmt::format("rate {:.3g}  {:.1f} images/s", now.rate, images_per_second);
  if (measured_.score >= 0)
    text += fmt::format("  {} {:.1f}% best {:.1f}%", detects ? "mAP" : "top-1", 100 * measured_.score,
                        100 * state_.best_score);
  if (measured_.loss >= 0) text += fmt::format("  valid loss {:.4g}", measured_.loss);
  return text;
}

TrainResult Trainer::run() {
  TrainResult result;
  const InterruptGuard interrupt;
  make_loader();
  Progress progress("train", max_batches_, state_.iteration);
  const int64_t first = state_.iteration;
  const int batch = network_->net().batch;
  double measuring = 0;  // seconds in evaluation, which are not training speed
  WeightsHeader header;
  header.seen = uint64_t(state_.iteration) * uint64_t(batch);
  while (state_.iteration < max_batches_ && !group_.any(interrupt.requested()) && !result.stopped_early) {
    const int64_t iteration = state_.iteration + 1;
    const double began = progress.seconds();
    iterate(iteration);
    const double seconds = progress.seconds() - began;
    header.seen = uint64_t(iteration) * uint64_t(batch);
    if (measurement_is_due(iteration)) {
      const double before = progress.seconds();
      measure(header);
      measuring += progress.seconds() - before;
      result.stopped_early = iteration < max_batches_ && patience_is_over();
    }
    result.stopped_early = group_.any(result.stopped_early);
    if (iteration % options_.save_every == 0 || iteration == max_batches_ || result.stopped_early)
      save(iteration);
    if (leads() && is_kept(iteration))
      save_weights(file(fmt::format("_{}.weights", iteration)), *network_, header);
    const double rate = double(iteration - first) * batch / std::max(progress.seconds() - measuring, 1e-9);
    const double left = progress.seconds() / double(iteration - first) * double(max_batches_ - iteration);
    if (options_.tell && leads())
      options_.tell({iteration, iteration * batch, state_.history.back().loss, state_.average_loss,
                     state_.history.back().rate, seconds, left, measured_.score, state_.best_score,
                     next_measurement(iteration),
                     double(iteration) * batch / double(train_set_.samples.size())});
    else if (leads())
      progress.update(iteration, progress_text(rate));
    result.images_per_second = rate;
  }
  progress.finish();
  result.interrupted = state_.iteration < max_batches_ && !result.stopped_early;
  if (result.stopped_early)
    info("stopped after iteration {}: the last {} measurements brought no better {} than {:.2f}%",
         state_.iteration, options_.patience, Validation::score_name(*network_), 100 * state_.best_score);
  if (result.interrupted) {
    save(state_.iteration);
    info("stopped after iteration {}: saved; --resume goes on from here", state_.iteration);
  } else if (leads()) {
    save_weights(file("_final.weights"), *network_, header);
  }
  if (loader_->broken_images())
    warn("{} reads of images failed; others took their place", loader_->broken_images());
  result.iterations = state_.iteration;
  result.seconds = progress.seconds();
  result.average_loss = state_.average_loss;
  result.measured = measured_;
  result.best_score = state_.best_score;
  result.score_name = Validation::score_name(*network_);
  return result;
}

}  // namespace osprey
