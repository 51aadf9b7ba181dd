#include "train/detector.h"

#include <algorithm>

#include "core/log.h"
#include "core/parallel.h"

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
  const int batch = network.input().shape.n, channels = network.input().shape.c;
  const int count = int(dataset.samples.size());
  for (int start = 0; start < count; start += batch) {
    const int n = std::min(batch, count - start);
    std::vector<ByteImage> images;
    std::vector<std::string> problems;
    images.resize(size_t(n));
    problems.resize(size_t(n));
    parallel_for(n, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) try {
          images[size_t(i)] = load_bytes(dataset.samples[size_t(start + i)].image, channels);
        } catch (const Error& e) {
          problems[size_t(i)] = e.what();
          images[size_t(i)] = {1, 1, channels, std::vector<uint8_t>(size_t(channels))};
        }
    });
    std::vector<const ByteImage*> pointers;
    std::vector<const Sample*> samples;
    for (int i = 0; i < n; ++i) {
      pointers.push_back(&images[size_t(i)]);
      samples.push_back(problems[size_t(i)].empty() ? &dataset.samples[size_t(start + i)] : nullptr);
    }
    const std::vector<std::vector<DetectedBox>> found = find(pointers, samples);
    for (int i = 0; i < n; ++i) {
      const Sample& sample = dataset.samples[size_t(start + i)];
      const bool broken = !problems[size_t(i)].empty();
      if (broken) {
        warn("{}", problems[size_t(i)]);
        ++result.broken_images;
      }
      add_truths(result, sample, start + i, broken && sample.width ? sample.width : images[size_t(i)].width,
                 broken && sample.height ? sample.height : images[size_t(i)].height);
      if (broken) continue;
      for (DetectedBox box : found[size_t(i)]) {
        box.image = start + i;
        result.detections.push_back(box);
      }
    }
    if (progress) progress(start + n);
  }
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
