#include "train/detector.h"

#include "train/image_batches.h"

namespace osprey {

ImageDetector::ImageDetector(Network& network, const DetectionOptions& options)
    : feed_(network, options.fit), detector_(network, options.settings) {}

std::vector<std::vector<Detection>> ImageDetector::detect(
    const std::vector<const ByteImage*>& images, const std::vector<std::vector<ProposedBox>>& proposals) {
  feed_.give(images, proposals);
  for (size_t i = 0; i < images.size(); ++i) detector_.places()[int(i)] = feed_.place(*images[i]);
  std::vector<std::vector<Detection>> found = detector_.run();
  found.resize(images.size());
  return found;
}

namespace {

void add_truths(Evaluated& result, const Sample& sample, int index, int width, int height) {
  for (const Label& label : sample.labels) {
    const Rectangle box = rectangle(scaled(corners(label.box), float(width), float(height)));
    result.truths.push_back({index, label.class_id, box, label.difficult, label.crowd,
                             label.area > 0 ? double(label.area) : area(box)});
  }
}

}  // namespace

Evaluated evaluate_images(const Network& network, const Dataset& dataset, const FindBoxes& find,
                          const std::function<void(int)>& progress) {
  Evaluated result;
  const Shape input = network.input().shape;
  for_each_batch(dataset, input.n, input.c, [&](const ImageBatch& batch) {
    std::vector<const Sample*> samples;
    for (int i = 0; i < batch.count(); ++i)
      samples.push_back(batch.broken[size_t(i)] ? nullptr : &dataset.samples[size_t(batch.first + i)]);
    const std::vector<std::vector<DetectedBox>> found = find(batch.pointers(), samples);
    for (int i = 0; i < batch.count(); ++i) {
      const Sample& sample = dataset.samples[size_t(batch.first + i)];
      const ByteImage& image = batch.images[size_t(i)];
      const bool broken = batch.broken[size_t(i)];
      result.broken_images += broken;
      add_truths(result, sample, batch.first + i, broken && sample.width ? sample.width : image.width,
                 broken && sample.height ? sample.height : image.height);
      if (broken) continue;
      for (DetectedBox box : found[size_t(i)]) {
        box.image = batch.first + i;
        result.detections.push_back(box);
      }
    }
    if (progress) progress(batch.first + batch.count());
  });
  return result;
}

std::vector<std::vector<ProposedBox>> proposals_for(const Network& network,
                                                    const std::vector<const Sample*>& samples) {
  std::vector<std::vector<ProposedBox>> proposals;
  if (!network.takes_proposals()) return proposals;
  for (const Sample* sample : samples)
    proposals.push_back(sample ? read_proposals(sample->proposals) : std::vector<ProposedBox>());
  return proposals;
}

Evaluated detect_all(Network& network, const Dataset& dataset, const DetectionOptions& options,
                     const std::function<void(int)>& progress) {
  ImageDetector detector(network, options);
  const auto find = [&](const std::vector<const ByteImage*>& images,
                        const std::vector<const Sample*>& samples) {
    std::vector<std::vector<DetectedBox>> found;
    for (const std::vector<Detection>& of_image : detector.detect(images, proposals_for(network, samples))) {
      found.emplace_back();
      for (const Detection& d : of_image) found.back().push_back({0, d.class_id, d.score, rectangle(d.box)});
    }
    return found;
  };
  return evaluate_images(network, dataset, find, progress);
}

}  // namespace osprey
