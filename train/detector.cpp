#include "train/detector.h"

#include <algorithm>

#include "core/log.h"
#include "core/parallel.h"

namespace osprey {

Fit fit_of(const NetSection& net) { return net.letter_box ? Fit::letterbox : Fit::stretch; }

std::vector<std::vector<Detection>> detect(Network& network, const std::vector<const Image*>& images,
                                           const DetectionOptions& options) {
  const std::vector<Head*> heads = network.heads();
  if (heads.empty()) fail("the network has no layer that detects ([yolo], [region])");
  const View<float> input = network.input();
  const Shape size = input.shape;
  parallel_for(int64_t(images.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Image fitted = fit(*images[size_t(i)], size.w, size.h, options.fit);
      std::copy(fitted.pixels.begin(), fitted.pixels.end(), input.data + size.index(int(i), 0, 0, 0));
    }
  });
  network.forward();
  std::vector<std::vector<Detection>> found;
  for (size_t i = 0; i < images.size(); ++i) {
    const Letterbox box = fitted(options.fit, images[i]->width, images[i]->height, size.w, size.h);
    // Darknet halves the padding without rounding; see Letterbox.
    const float w = float(box.new_width) / float(size.w), h = float(box.new_height) / float(size.h);
    const Placement placement{(1 - w) / 2, (1 - h) / 2, w, h};
    found.push_back(detections(heads, int(i), options.threshold, options.nms_threshold, placement,
                               images[i]->width, images[i]->height));
  }
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
  const int batch = network.input().shape.n, channels = network.input().shape.c;
  const int count = int(dataset.samples.size());
  for (int start = 0; start < count; start += batch) {
    const int n = std::min(batch, count - start);
    std::vector<Image> images;
    std::vector<std::string> problems;
    images.resize(size_t(n));
    problems.resize(size_t(n));
    parallel_for(n, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) try {
          images[size_t(i)] = load_image(dataset.samples[size_t(start + i)].image, channels);
        } catch (const Error& e) {
          problems[size_t(i)] = e.what();
          images[size_t(i)] = Image(1, 1, channels);
        }
    });
    std::vector<const Image*> pointers;
    for (const Image& image : images) pointers.push_back(&image);
    const auto found = detect(network, pointers, options);
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
