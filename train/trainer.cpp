#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/file.h"
#include "core/log.h"
#include "data/draw.h"
#include "models/weights.h"
#include "train/chart.h"
#include "train/crowded.h"
#include "train/interrupt.h"
#include "train/metrics/darknet_map.h"
#include "train/progress.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

constexpr int kRefreshSeconds = 15;

// Darknet's name of a training: the .cfg file's, up to the first dot.
std::string training_name(const std::string& cfg) {
  const std::string file = fs::path(cfg).filename().string();
  return file.substr(0, file.find('.'));
}

void warn_of_overlap(const Dataset& train, const Dataset& valid) {
  std::set<std::string> images;
  for (const Sample& s : train.samples) images.insert(s.image);
  int64_t shared = 0;
  for (const Sample& s : valid.samples) shared += images.count(s.image);
  if (shared == int64_t(valid.samples.size()))
    warn("the validation list has only images that are trained on: its mAP says nothing about new images");
  else if (shared)
    warn("{} of {} validation images are also trained on", shared, valid.samples.size());
}

AugmentOptions augmentation(const NetSection& net, const Head::Augmentation& head) {
  AugmentOptions a;
  a.jitter = head.jitter;
  a.resize = head.resize;
  a.hue = net.hue;
  a.saturation = net.saturation;
  a.exposure = net.exposure;
  a.flip = net.flip;
  a.letter_box = net.letter_box;
  a.mosaic = net.mosaic;
  a.mosaic_bound = net.mosaic_bound;
  return a;
}

void override_max_batches(Section& net, int64_t iterations) {
  std::erase_if(net.entries, [](const Entry& e) { return e.key == "max_batches"; });
  net.entries.push_back({"max_batches", std::to_string(iterations), net.line});
}

}  // namespace

Trainer::Trainer(TrainOptions options) : options_(std::move(options)) {
  sections_ = read_cfg(options_.cfg);
  if (options_.max_batches) override_max_batches(sections_[0], options_.max_batches);
  NetworkOptions build;
  build.lenient = options_.lenient;
  build.build.device = options_.device;
  build.precision = options_.precision;
  build.build.reference_convolution = options_.reference_convolution;
  build.uncleared_gradients = options_.uncleared_gradients;
  network_ = std::make_unique<Network>(sections_, build);
  build.build.training = false;
  evaluation_ = std::make_unique<Network>(sections_, build);
  const NetSection& net = network_->net();
  for (const std::string& key : net.training_unsupported)
    sections_[0].fail(sections_[0].line_of(key),
                      fmt::format("{} is not supported in training yet: remove it", key));
  for (const Node& node : network_->nodes())
    if (const char* why = node.layer->why_not_trained()) node.section.fail(node.section.line, why);
  const std::vector<Head*> heads = network_->heads();
  if (heads.empty())
    fail("{}: no layer that detects ([yolo], [retina], [rcnn], ...): nothing to train for", options_.cfg);

  data_ = read_data_file(options_.data);
  train_set_ = load_dataset(data_, Split::train, options_.strict);
  for (Head* head : heads)
    if (head->label_classes() != int(train_set_.names.size()))
      fail("{}: its heads have classes={}, but {} names {} classes", options_.cfg, head->label_classes(),
           options_.data, train_set_.names.size());
  info("{}", train_set_.report.text(train_set_.names));
  if (options_.map && !data_.valid.empty()) {
    valid_set_ = load_dataset(data_, Split::valid, options_.strict);
    warn_of_overlap(train_set_, valid_set_);
  }
  if (network_->takes_proposals()) {
    find_proposals(train_set_, data_);
    find_proposals(valid_set_, data_);
  }

  max_batches_ = net.max_batches;
  if (max_batches_ < 1)
    fail("{}: [net] max_batches says how long to train, and must be at least 1", options_.cfg);
  const int64_t epoch = (int64_t(train_set_.samples.size()) + net.batch - 1) / net.batch;
  map_every_ = options_.map_every    ? options_.map_every
               : options_.map_epochs ? options_.map_epochs * epoch
                                     : std::max({int64_t(100), 4 * epoch, max_batches_ / 20});
  if (!options_.save_every) options_.save_every = data_.savelast > 0 ? data_.savelast : 100;

  name_ = training_name(options_.cfg);
  if (options_.out.empty()) options_.out = data_.backup;
  std::error_code error;
  fs::create_directories(options_.out, error);
  if (error) fail("{}: the folder for weights cannot be made: {}", options_.out, error.message());

  state_.seed = options_.seed;
  scale_ = std::make_unique<MultiScale>(net, heads.back()->augmentation().random, options_.seed);
  const auto [width, height] = scale_->largest();
  network_->plan(net.mini_batch(), width, height);
  report_ = describe_run(options_.cfg, options_.data, *network_);
  if (const std::string crowded = tell_crowded(train_set_, network_->truth_capacity()); !crowded.empty()) {
    warn("{}", crowded);
    report_.warnings.push_back(crowded);
  }
  if (!valid_set_.samples.empty())
    evaluation_->plan(std::clamp(net.mini_batch(), 1, 8), net.width, net.height);
  const MemoryPlan& memory = network_->memory();
  info("memory: {:.0f} MiB for mini-batches of {} images of up to {}x{}, {:.0f} MiB for parameters",
       double(memory.bytes + memory.lasting) / (1 << 20), net.mini_batch(), width, height,
       double(memory.parameters + optimizer_bytes(net, network_->parameters())) / (1 << 20));

  network_->parameters().initialise(options_.seed);
  optimizer_ = std::make_unique<Optimizer>(net, network_->parameters(), network_->stream());
  if (options_.resume) {
    state_ = load_checkpoint(file("_checkpoint.safetensors"), *network_, optimizer_.get());
    info("going on after iteration {} of {}", state_.iteration, max_batches_);
  } else if (!options_.weights.empty()) {
    start_from_weights();
  }
  report_.max_batches = max_batches_;
  report_.train = &train_set_;
  if (!valid_set_.samples.empty()) report_.valid = &valid_set_;
  if (options_.port >= 0) {
    page_ = std::make_unique<LivePage>(options_.host, options_.port);
    info("the report of this training, as it grows: http://{}:{}/", options_.host, page_->port());
  }
  if (state_.iteration >= max_batches_)
    warn("nothing to do: iteration {} of max_batches={} is reached already", state_.iteration, max_batches_);
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
  LoaderOptions o;
  o.batch = net.mini_batch();
  o.width = net.width;
  o.height = net.height;
  o.channels = net.channels;
  o.max_boxes = network_->truth_capacity();
  o.max_proposals = network_->proposal_capacity();
  o.augment = augmentation(net, network_->heads().back()->augmentation());
  if (scale_->on())
    o.size_of_step = [this, mini_batches](int64_t step) { return scale_->size(step / mini_batches); };
  o.seed = state_.seed;
  o.threads = options_.loader_threads;
  o.first_step = state_.iteration * mini_batches;
  o.strict = options_.strict;
  o.described = options_.device != Device::cpu;
  loader_ = std::make_unique<Loader>(train_set_, o);
}

// The first images as the network sees them, with their boxes: most mistakes in labels show here.
void Trainer::write_sample_sheet(const Batch& batch, const std::vector<float>& images) {
  const int shown = std::min<int>(int(batch.counts.size()), 16);
  const int columns = std::min(shown, 4), rows = (shown + columns - 1) / columns;
  const int channels = network_->net().channels, capacity = network_->truth_capacity();
  if (channels != 1 && channels != 3) return;
  Image sheet(columns * batch.width, rows * batch.height, channels);
  for (int n = 0; n < shown; ++n) {
    Image image(batch.width, batch.height, channels);
    std::copy_n(images.begin() + int64_t(n) * int64_t(image.pixels.size()), image.pixels.size(),
                image.pixels.begin());
    for (int t = 0; t < batch.counts[size_t(n)]; ++t) {
      const float* v = batch.truths.data() + (size_t(n) * capacity + t) * 5;
      const Box box =
          scaled(corners(CentreBox{v[0], v[1], v[2], v[3]}), float(batch.width), float(batch.height));
      draw_box(image, box, class_colour(int(v[4])), train_set_.names[size_t(v[4])]);
    }
    const int left = n % columns * batch.width, top = n / columns * batch.height;
    for (int y = 0; y < batch.height; ++y)
      std::copy_n(image.pixels.begin() + int64_t(image.index(y, 0, 0)), size_t(batch.width) * channels,
                  sheet.pixels.begin() + int64_t(sheet.index(top + y, left, 0)));
  }
  save_image(file("_samples.jpg"), sheet);
}

void Trainer::iterate(int64_t iteration) {
  const auto [width, height] = scale_->size(iteration - 1);
  if (network_->input().shape.w != width || network_->input().shape.h != height)
    network_->plan(network_->net().mini_batch(), width, height);
  if (!training_step_) training_step_ = std::make_unique<TrainingStep>(*network_, *optimizer_);
  const IterationResult result = training_step_->run(
      iteration, state_.seed,
      [&](Network& network) -> const std::vector<std::string>& {
        const Batch& batch = loader_->next();
        const Truths& truths = network.truths();
        const auto give_images = [&] {
          if (network.device() == Device::cpu)
            std::copy(batch.images.begin(), batch.images.end(), network.input().view<float>().begin());
          else
            network.set_samples(batch.bytes, batch.plans);
        };
        give_images();
        if (batch.step == 0) {
          network.upload();
          write_sample_sheet(batch, network.read_input());
          give_images();
        }
        std::copy(batch.truths.begin(), batch.truths.end(), truths.boxes.begin());
        std::copy(batch.counts.begin(), batch.counts.end(), truths.counts.begin());
        if (const Proposals& proposals = network.proposals(); proposals.boxes) {
          std::copy(batch.proposals.begin(), batch.proposals.end(), proposals.boxes.begin());
          std::copy(batch.proposal_counts.begin(), batch.proposal_counts.end(), proposals.counts.begin());
        }
        return batch.paths;
      },
      iteration < max_batches_ && scale_->size(iteration) == scale_->size(iteration - 1));
  state_.iteration = iteration;
  state_.average_loss = state_.average_loss < 0 ? result.loss : 0.9 * state_.average_loss + 0.1 * result.loss;
  state_.history.push_back({iteration, float(result.loss), float(state_.average_loss), result.rate, -1});
  last_parts_ = result.parts;
}

bool Trainer::map_is_due(int64_t iteration) const {
  if (valid_set_.samples.empty()) return false;
  return iteration == max_batches_ || (iteration >= network_->net().burn_in && iteration % map_every_ == 0);
}

int64_t Trainer::next_map(int64_t iteration) const {
  const int64_t from = std::max(iteration + 1, network_->net().burn_in);
  return std::min((from + map_every_ - 1) / map_every_ * map_every_, max_batches_);
}

// As NAME_1000.weights and so on, at Darknet's iterations.
bool Trainer::is_kept(int64_t iteration) const {
  const int64_t every = data_.saveweights >= 0 ? data_.saveweights : max_batches_ < 10000 ? 1000 : 10000;
  return every > 0 && iteration % every == 0;
}

float Trainer::measure_map() {
  evaluation_->parameters().take_values(network_->parameters());
  evaluation_->prepare();
  const Evaluated found = detect_all(*evaluation_, valid_set_, map_options(fit_of(network_->net())));
  report_.findings = findings_of(valid_set_, found);
  return float(darknet_map(found.truths, found.detections, int(valid_set_.names.size())).map);
}

void Trainer::save(int64_t iteration) {
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
  write_file((folder / "chart.svg").string(), chart_svg(name_, state_.history, max_batches_));
  report_.history = state_.history;
  write_file((folder / "report.html").string(), report_html(report_));
  if (!page_) return;
  report_.refresh_seconds = kRefreshSeconds;
  page_->show(report_html(report_));
  report_.refresh_seconds = 0;
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
  while (state_.iteration < max_batches_ && !interrupt.requested()) {
    const int64_t iteration = state_.iteration + 1;
    const double began = progress.seconds();
    iterate(iteration);
    const double seconds = progress.seconds() - began;
    header.seen = uint64_t(iteration) * uint64_t(batch);
    if (map_is_due(iteration)) {
      const double before = progress.seconds();
      last_map_ = measure_map();
      measuring += progress.seconds() - before;
      state_.history.back().map = last_map_;
      if (last_map_ > state_.best_map) {
        state_.best_map = last_map_;
        save_weights(file("_best.weights"), *network_, header);
      }
      write_report();
    }
    if (iteration % options_.save_every == 0 || iteration == max_batches_) save(iteration);
    if (is_kept(iteration)) save_weights(file(fmt::format("_{}.weights", iteration)), *network_, header);
    const double rate = double(iteration - first) * batch / std::max(progress.seconds() - measuring, 1e-9);
    const LossReport& parts = last_parts_;
    std::string text =
        fmt::format("loss {:.4g} avg {:.4g}  IoU {:.3f}  rate {:.3g}  {:.1f} images/s",
                    state_.history.back().loss, state_.average_loss,
                    parts.matched ? parts.iou / parts.matched : 0.0, state_.history.back().rate, rate);
    if (last_map_ >= 0)
      text += fmt::format("  mAP {:.1f}% best {:.1f}%", 100 * last_map_, 100 * state_.best_map);
    const double left = progress.seconds() / double(iteration - first) * double(max_batches_ - iteration);
    if (options_.tell)
      options_.tell({iteration, iteration * batch, state_.history.back().loss, state_.average_loss,
                     state_.history.back().rate, seconds, left, last_map_, state_.best_map,
                     next_map(iteration)});
    else
      progress.update(iteration, text);
    result.images_per_second = rate;
  }
  progress.finish();
  result.interrupted = state_.iteration < max_batches_;
  if (result.interrupted) {
    save(state_.iteration);
    info("stopped after iteration {}: saved; --resume goes on from here", state_.iteration);
  } else {
    save_weights(file("_final.weights"), *network_, header);
  }
  if (loader_->broken_images())
    warn("{} reads of images failed; others took their place", loader_->broken_images());
  result.iterations = state_.iteration;
  result.seconds = progress.seconds();
  result.average_loss = state_.average_loss;
  result.map = last_map_;
  result.best_map = state_.best_map;
  return result;
}

}  // namespace osprey
