#include "train/image_batches.h"

#include <algorithm>

#include "core/error.h"
#include "core/log.h"
#include "core/parallel.h"

namespace osprey {

std::vector<const ByteImage*> ImageBatch::pointers() const {
  std::vector<const ByteImage*> pointers;
  for (const ByteImage& image : images) pointers.push_back(&image);
  return pointers;
}

void for_each_batch(const Dataset& dataset, int batch, int channels,
                    const std::function<void(const ImageBatch&)>& use, bool strict) {
  const int count = int(dataset.samples.size());
  for (int first = 0; first < count; first += batch) {
    ImageBatch read;
    read.first = first;
    read.images.resize(size_t(std::min(batch, count - first)));
    std::vector<std::string> problems(read.images.size());
    parallel_for(read.count(), 1, [&](int64_t begin, int64_t end) {
      for (size_t i = size_t(begin); i < size_t(end); ++i) try {
          read.images[i] = load_bytes(dataset.samples[size_t(first) + i].image, channels);
        } catch (const Error& e) {
          problems[i] = e.what();
          read.images[i] = {1, 1, channels, std::vector<uint8_t>(size_t(channels))};
        }
    });
    for (const std::string& problem : problems) {
      if (!problem.empty() && strict) fail("{}", problem);
      if (!problem.empty()) warn("{}", problem);
      read.broken.push_back(!problem.empty());
    }
    use(read);
  }
}

}  // namespace osprey
