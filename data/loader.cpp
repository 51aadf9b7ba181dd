#include "data/loader.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "core/error.h"
#include "core/log.h"
#include "data/class_sample.h"
#include "data/render.h"
#include "data/repeats.h"

namespace osprey {
namespace {

constexpr uint64_t kEffects = uint64_t(1) << 32;  // their numbers are no sample's

LoaderOptions checked(LoaderOptions options, size_t samples) {
  if (samples == 0) fail("there are no images to load");
  if (options.batch < 1) fail("batch must be at least 1, not {}", options.batch);
  if (options.threads < 1) fail("the loader needs at least 1 thread, not {}", options.threads);
  if (options.prefetch < 1) fail("the loader needs to make at least 1 batch ahead, not {}", options.prefetch);
  if (options.first_step < 0) fail("the first step must not be negative, but is {}", options.first_step);
  options.augment.width = options.width;
  options.augment.height = options.height;
  options.augment.max_boxes = options.max_boxes;
  check(options.augment);
  return options;
}

}  // namespace

Loader::Loader(const Dataset& dataset, LoaderOptions options)
    : dataset_(dataset),
      options_(checked(std::move(options), dataset.samples.size())),
      repeats_(repeat_factors(dataset, options_.repeat_threshold, options_.repeat_power)),
      epoch_(int64_t(repeats_.empty() ? dataset.samples.size() : repeated(repeats_, 0).size())),
      slots_(size_t(options_.prefetch) + 1),
      current_(options_.first_step - 1) {
  for (int i = 0; i < options_.threads; ++i)
    workers_.emplace_back([this](std::stop_token stop) { work(std::move(stop)); });
}

const Batch& Loader::next() {
  std::unique_lock lock(mutex_);
  ++current_;
  work_to_do_.notify_all();
  Slot& slot = slots_[size_t(current_) % slots_.size()];
  batch_ready_.wait(lock, [&] { return slot.step == current_ && slot.ready; });
  if (slot.error) std::rethrow_exception(slot.error);
  return slot.batch;
}

void Loader::work(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto step = [&] { return options_.first_step + ticket_ / options_.batch; };
    // A slot is free once its batch is no longer the current one.
    if (!work_to_do_.wait(lock, stop, [&] {
          return step() < std::max(current_, options_.first_step) + int64_t(slots_.size());
        }))
      return;
    const int i = int(ticket_ % options_.batch);
    Slot& slot = slots_[size_t(step()) % slots_.size()];
    if (i == 0) open(slot, step());
    ++ticket_;
    std::exception_ptr error;
    lock.unlock();
    try {
      make(slot, i);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    // Of several errors the first image's is told, whatever the threads' order.
    if (error && (!slot.error || i < slot.failed)) {
      slot.error = error;
      slot.failed = i;
    }
    if (--slot.remaining > 0) continue;
    lock.unlock();
    gather(slot);
    lock.lock();
    slot.ready = true;
    batch_ready_.notify_all();
  }
}

// Buffers keep their memory from one use of the slot to the next.
void Loader::open(Slot& slot, int64_t step) {
  Batch& batch = slot.batch;
  slot.step = step;
  batch.step = options_.step_of ? options_.step_of(step) : step;
  slot.remaining = options_.batch;
  slot.ready = false;
  slot.error = nullptr;
  batch.width = batch.height = 0;
  try {
    std::tie(batch.width, batch.height) = options_.size_of_step ? options_.size_of_step(batch.step)
                                                                : std::pair(options_.width, options_.height);
    if (batch.width < 1 || batch.height < 1)
      fail("step {} asks for images of {}x{}", batch.step, batch.width, batch.height);
    const size_t count = size_t(options_.batch);
    if (options_.described) {
      batch.plans.resize(count);
      slot.bytes.resize(count);
    } else {
      batch.images.resize(count * size_t(batch.width) * size_t(batch.height) * size_t(options_.channels));
    }
    batch.truths.resize(count * size_t(options_.max_boxes) * 5);
    batch.counts.resize(count);
    batch.proposals.resize(count * size_t(options_.max_proposals) * 5);
    batch.proposal_counts.resize(count);
    batch.targets.resize(count * size_t(options_.classes));
    batch.paths.resize(count);
  } catch (...) {
    slot.error = std::current_exception();
    slot.failed = -1;  // before all images
  }
}

void Loader::make(Slot& slot, int i) {
  Batch& batch = slot.batch;
  {
    std::lock_guard lock(mutex_);
    if (slot.error && slot.failed < 0) return;
  }
  AugmentOptions augmentation = options_.augment;
  augmentation.width = batch.width;
  augmentation.height = batch.height;
  std::array<ByteImage, 4> images;
  Described sample = describe_sample(slot, i, augmentation, images);
  make_pixels(slot, i, sample, images);
  if (options_.classes > 0) {
    std::copy(sample.classes.begin(), sample.classes.end(),
              batch.targets.begin() + int64_t(i) * options_.classes);
    return;
  }
  float* rows = batch.truths.data() + size_t(i) * size_t(options_.max_boxes) * 5;
  std::fill_n(rows, options_.max_boxes * 5, 0.f);
  for (const auto& [box, class_id] : sample.truths) {
    const float row[] = {box.x, box.y, box.w, box.h, float(class_id)};
    rows = std::copy_n(row, 5, rows);
  }
  batch.counts[size_t(i)] = int(sample.truths.size());
  if (options_.max_proposals == 0) return;
  float* proposals = batch.proposals.data() + size_t(i) * size_t(options_.max_proposals) * 5;
  std::fill_n(proposals, options_.max_proposals * 5, 0.f);
  batch.proposal_counts[size_t(i)] = write_proposal_rows(sample.proposals, options_.max_proposals, proposals);
}

// Reads the images of a sample as well.
Described Loader::describe_sample(Slot& slot, int i, const AugmentOptions& augmentation,
                                  std::array<ByteImage, 4>& images) {
  Batch& batch = slot.batch;
  Random random(options_.seed, Purpose::augment, uint64_t(batch.step), uint64_t(i));
  Random more(options_.seed, Purpose::augment, uint64_t(batch.step), uint64_t(i) + kEffects);
  const bool classifies = options_.classes > 0;
  const ClassMix mix = classifies ? draw_class_mix(augmentation, random) : ClassMix::none;
  size_t parts = size_t(images_of(mix));
  if (!classifies) {
    const bool mosaic = random.chance(.5f) && augmentation.mosaic;
    const bool two = more.chance(.5f) && augmentation.mixup;
    parts = mosaic ? 4 : two ? 2 : 1;
  }
  std::array<std::vector<Label>, 4> labels;
  std::array<std::vector<ProposedBox>, 4> proposals;
  std::array<Labelled, 4> labelled;
  std::array<Effects, 4> effects;
  const int64_t position = batch.step * options_.batch + i;
  for (size_t k = 0; k < parts; ++k) {
    const Sample& sample = read(k == 0 ? sample_at(position) : partner_of(position, random), images[k]);
    labels[k] = usable_labels(sample);
    if (options_.max_proposals > 0) proposals[k] = read_proposals(sample.proposals);
    labelled[k] = {images[k].width, images[k].height, labels[k], proposals[k], sample.classes};
    effects[k] = draw_effects(augmentation, more);
    if (k == 0) batch.paths[size_t(i)] = sample.image;
  }
  if (classifies) return describe_class(labelled, mix, augmentation, options_.classes, random, effects);
  if (parts == 4) return describe_mosaic(labelled, augmentation, random, effects);
  Described sample = describe(labelled[0], augmentation, random, effects[0]);
  if (parts == 1) return sample;
  return mean_of(std::move(sample), describe(labelled[1], augmentation, random, effects[1]), augmentation);
}

void Loader::make_pixels(Slot& slot, int i, Described& sample, std::array<ByteImage, 4>& images) {
  Batch& batch = slot.batch;
  for (size_t k = 0; k < size_t(sample.plan.parts); ++k)
    if (const CanvasBlur& blur = sample.blur[k]; blur.side > 0)
      images[k] = blurred_canvas(sample.plan.part[k], images[k], batch.width, batch.height, blur);
  if (options_.described) {
    std::vector<uint8_t>& bytes = slot.bytes[size_t(i)];
    bytes.clear();
    for (int k = 0; k < sample.plan.parts; ++k) pack(sample.plan.part[k], images[size_t(k)], bytes);
    batch.plans[size_t(i)] = sample.plan;
    return;
  }
  render(sample.plan, images, batch.width, batch.height,
         batch.images.data() + batch.images.size() / size_t(options_.batch) * size_t(i));
}

// The bytes of all samples in their order, whatever order the threads made them in.
void Loader::gather(Slot& slot) {
  if (!options_.described) return;
  Batch& batch = slot.batch;
  batch.bytes.clear();
  for (size_t i = 0; i < slot.bytes.size(); ++i) {
    batch.bytes.resize(image_begin(batch.bytes.size()));
    for (SamplePart& part : batch.plans[i].part) part.offset += int64_t(batch.bytes.size());
    batch.bytes.insert(batch.bytes.end(), slot.bytes[i].begin(), slot.bytes[i].end());
  }
}

int Loader::sample_at(int64_t position) {
  const size_t at = size_t(position % epoch_);
  return options_.shuffle ? (*order_of(position / epoch_))[at] : int(at % dataset_.samples.size());
}

int Loader::partner_of(int64_t position, Random& random) {
  if (repeats_.empty()) return random.below(int(dataset_.samples.size()));
  return (*order_of(position / epoch_))[size_t(random.below(int(epoch_)))];
}

std::shared_ptr<const Loader::Order> Loader::order_of(int64_t epoch) {
  std::lock_guard lock(order_mutex_);
  std::shared_ptr<const Order>& order = orders_[epoch];
  if (!order) {
    Random random(options_.seed, Purpose::sample, uint64_t(epoch));
    Order fresh(dataset_.samples.size());
    std::iota(fresh.begin(), fresh.end(), 0);
    if (!repeats_.empty()) fresh = repeated(repeats_, random.uniform());
    for (size_t i = fresh.size(); i > 1; --i) std::swap(fresh[i - 1], fresh[size_t(random.below(int(i)))]);
    order = std::make_shared<const Order>(std::move(fresh));
  }
  const auto result = order;
  // Threads are at most a few steps apart, but an epoch may be shorter than a step.
  if (orders_.size() > 64) orders_.erase(orders_.begin());
  return result;
}

// Reads an image; one that is broken is told, and the next sample takes its place.
const Sample& Loader::read(int index, ByteImage& image) {
  const size_t count = dataset_.samples.size();
  for (size_t attempt = 0; attempt < count; ++attempt) {
    const Sample& sample = dataset_.samples[(size_t(index) + attempt) % count];
    try {
      image = load_bytes(sample.image, options_.channels, JpegReader::libjpeg);
      return sample;
    } catch (const Error& e) {
      if (options_.strict) throw;
      ++broken_;
      warn("{}; the next image takes its place", e.what());
    }
  }
  fail("none of the {} images of the set can be read", count);
}

std::vector<Label> Loader::usable_labels(const Sample& sample) const {
  std::vector<Label> labels;
  for (const Label& label : sample.labels)
    if (!label.crowd && (options_.difficult || !label.difficult)) labels.push_back(label);
  return labels;
}

}  // namespace osprey
