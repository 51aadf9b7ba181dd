#include "train/validation_loss.h"

#include <algorithm>

#include "train/detector.h"
#include "train/image_batches.h"
#include "train/iteration.h"

namespace osprey {
namespace {

// Whole mini-batches are measured, so the set must consist of them: the largest divisor of its size.
int batch_for(int64_t images) {
  int batch = ValidationLoss::kLargestBatch;
  while (images % batch != 0) --batch;
  return batch;
}

}  // namespace

NetworkOptions ValidationLoss::options_of(NetworkOptions training) {
  training.build.training = training.build.losses_only = true;
  return training;
}

ValidationLoss::ValidationLoss(const std::vector<Section>& sections, NetworkOptions options,
                               const Dataset& set)
    : set_(set), network_(sections, options_of(options)) {
  const NetSection& net = network_.net();
  network_.plan(batch_for(int64_t(set.samples.size())), net.width, net.height);
}

void ValidationLoss::put_truths(int image, const Sample& sample, const Letterbox& place) {
  const Truths& truths = network_.truths();
  int& count = truths.counts[image] = 0;
  for (const Label& label : sample.labels) {
    if (label.crowd || label.difficult || count == network_.truth_capacity()) continue;
    const CentreBox box = place.to_network(label.box);
    const float row[] = {box.x, box.y, box.w, box.h, float(label.class_id)};
    for (int k = 0; k < 5; ++k) truths.boxes(image, 0, count, k) = row[k];
    ++count;
  }
}

void ValidationLoss::put_targets(int image, const Sample& sample) {
  const View<float> targets = network_.targets();
  const int classes = targets.size() / targets.shape.n;
  std::fill_n(targets.data + size_t(image) * size_t(classes), classes, 0.0f);
  for (const int c : sample.classes) targets[image * classes + c] = 1;
}

double ValidationLoss::measure(const Parameters& trained, const Step& step) {
  network_.parameters().take_values(trained);
  network_.clear_losses();
  network_.wait_for_upload();
  network_.step() = step;
  const Shape input = network_.input().shape;
  const Fit fit = network_.heads().empty() ? Fit::crop : fit_of(network_.net());
  ImageFeed feed(network_, fit);
  for_each_batch(set_, input.n, input.c, [&](const ImageBatch& batch) {
    network_.wait_for_upload();
    std::vector<const Sample*> samples;
    for (int i = 0; i < batch.count(); ++i) {
      const ByteImage& image = batch.images[size_t(i)];
      samples.push_back(&set_.samples[size_t(batch.first + i)]);
      if (network_.targets()) put_targets(i, *samples.back());
      if (network_.truth_capacity() > 0)
        put_truths(i, *samples.back(), fitted(fit, image.width, image.height, input.w, input.h));
    }
    feed.give(batch.pointers(), proposals_for(network_, samples));
    network_.forward();
  });
  LossReport parts;
  return mean_loss(network_, int64_t(set_.samples.size()), parts);
}

}  // namespace osprey
