#include "train/image_feed.h"

#include <algorithm>

#include "core/parallel.h"
#include "data/render.h"

namespace osprey {

Fit fit_of(const NetSection& net) { return net.letter_box ? Fit::letterbox : Fit::stretch; }

// Darknet halves the padding without rounding; see Letterbox.
ImagePlace ImageFeed::place(const ByteImage& image) const {
  const Shape input = network_.input().shape;
  const Letterbox box = fitted(fit_, image.width, image.height, input.w, input.h);
  const float w = float(box.new_width) / float(input.w), h = float(box.new_height) / float(input.h);
  return {{(1 - w) / 2, (1 - h) / 2, w, h}, float(image.width), float(image.height)};
}

void ImageFeed::give_proposals(const std::vector<const ByteImage*>& images,
                               const std::vector<std::vector<ProposedBox>>& proposals) {
  if (proposals.size() != images.size())
    fail("the network has [proposals], but none were given with the images");
  const Proposals& given = network_.proposals();
  const int capacity = network_.proposal_capacity();
  std::fill(given.counts.begin(), given.counts.end(), 0);
  for (size_t i = 0; i < images.size(); ++i) {
    const Placement at = place(*images[i]).placement;
    std::vector<ProposedBox> placed = proposals[i];
    for (auto& [box, score] : placed)
      box = {at.x + at.w * box.x, at.y + at.h * box.y, at.w * box.w, at.h * box.h};
    given.counts[int(i)] = write_proposal_rows(placed, capacity, given.boxes.data + i * size_t(capacity) * 5);
  }
}

void ImageFeed::give(const std::vector<const ByteImage*>& images,
                     const std::vector<std::vector<ProposedBox>>& proposals) {
  if (network_.takes_proposals()) give_proposals(images, proposals);
  const Shape size = network_.input().shape;
  if (network_.device() == Device::cpu) {
    const View<float> input = network_.input();
    parallel_for(int64_t(images.size()), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Image fitted = fit(unit_image(*images[size_t(i)]), size.w, size.h, fit_);
        std::copy(fitted.pixels.begin(), fitted.pixels.end(), input.data + size.index(int(i), 0, 0, 0));
      }
    });
    return;
  }
  bytes_.clear();
  plans_.clear();
  for (const ByteImage* image : images) {
    plans_.push_back(fit_plan(fit_, image->width, image->height, size.w, size.h));
    pack(plans_.back().part[0], *image, bytes_);
  }
  plans_.resize(size_t(size.n), plans_[0]);  // the rest of the mini-batch is not looked at
  network_.set_samples(bytes_, plans_);
}

}  // namespace osprey
