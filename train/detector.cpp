#include "train/detector.h"

#include <algorithm>

#include "core/log.h"
#include "core/parallel.h"

namespace osprey {

Fit fit_of(const NetSection& net) { return net.letter_box ? Fit::letterbox : Fit::stretch; }

namespace {

// Darknet halves the padding without rounding; see Letterbox.
ImagePlace place_of(Fit fit, const ByteImage& image, Shape input) {
  const Letterbox box = fitted(fit, image.width, image.height, input.w, input.h);
  const float w = float(box.new_width) / float(input.w), h = float(box.new_height) / float(input.h);
  return {{(1 - w) / 2, (1 - h) / 2, w, h}, float(image.width), float(image.height)};
}

}  // namespace

ImageDetector::ImageDetector(Network& network, const DetectionOptions& options)
    : network_(network), options_(options), detector_(network, {options.threshold, options.nms_threshold}) {}

void ImageDetector::give(const std::vector<const ByteImage*>& images) {
  const Shape size = network_.input().shape;
  if (network_.device() == Device::cpu) {
    const View<float> input = network_.input();
    parallel_for(int64_t(images.size()), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Image fitted = fit(unit_image(*images[size_t(i)]), size.w, size.h, options_.fit);
        std::copy(fitted.pixels.begin(), fitted.pixels.end(), input.data + size.index(int(i), 0, 0, 0));
      }
    });
    return;
  }
  bytes_.clear();
  plans_.clear();
  for (const ByteImage* image : images) {
    plans_.push_back(fit_plan(options_.fit, image->width, image->height, size.w, size.h));
    plans_.back().part[0].offset = int64_t(bytes_.size());
    bytes_.insert(bytes_.end(), image->pixels.begin(), image->pixels.end());
  }
  plans_.resize(size_t(size.n), plans_[0]);  // the rest of the mini-batch is not looked at
  network_.set_samples(bytes_, plans_);
}

std::vector<std::vector<Detection>> ImageDetector::detect(const std::vector<const ByteImage*>& images) {
  give(images);
  for (size_t i = 0; i < images.size(); ++i)
    detector_.places()[int(i)] = place_of(options_.fit, *images[i], network_.input().shape);
  network_.upload();
  detector_.upload();
  const auto work = [&] {
    network_.enqueue_forward();
    detector_.enqueue();
  };
  if (network_.device() == Device::cpu) {
    work();
  } else {
    if (!graph_.captured()) graph_.capture(network_.stream(), work);
    graph_.replay(network_.stream());
  }
  std::vector<std::vector<Detection>> found = detector_.read();
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

Evaluated detect_all(Network& network, const Dataset& dataset, const DetectionOptions& options,
                     const std::function<void(int)>& progress) {
  Evaluated result;
  ImageDetector detector(network, options);
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
    for (const ByteImage& image : images) pointers.push_back(&image);
    const auto found = detector.detect(pointers);
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
      for (const Detection& d : found[size_t(i)])
        result.detections.push_back({start + i, d.class_id, d.score, rectangle(d.box)});
    }
    if (progress) progress(start + n);
  }
  return result;
}

}  // namespace osprey
