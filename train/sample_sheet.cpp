#include "train/sample_sheet.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/draw.h"

namespace osprey {
namespace {

constexpr int kMost = 16, kColumns = 4;
constexpr int kLeastSide = 96;  // of an image that has a text

void draw_boxes(Image& image, const Batch& batch, int n, const std::vector<std::string>& names) {
  const size_t capacity = batch.truths.size() / batch.counts.size() / 5;
  for (int t = 0; t < batch.counts[size_t(n)]; ++t) {
    const float* v = batch.truths.data() + (size_t(n) * capacity + size_t(t)) * 5;
    const Box box =
        scaled(corners(CentreBox{v[0], v[1], v[2], v[3]}), float(image.width), float(image.height));
    draw_box(image, box, class_colour(int(v[4])), names[size_t(v[4])]);
  }
}

// The classes of more than a tenth of the target, so that smoothing is not told for each of them.
void draw_classes(Image& image, const Batch& batch, int n, const std::vector<std::string>& names) {
  std::string text;
  int strongest = 0;
  const float* targets = batch.targets.data() + size_t(n) * names.size();
  for (size_t i = 0; i < names.size(); ++i) {
    if (targets[i] > targets[strongest]) strongest = int(i);
    if (targets[i] <= .1f) continue;
    text += text.empty() ? names[i] : ", " + names[i];
    if (targets[i] < 1) text += fmt::format(" {:.2f}", targets[i]);
  }
  const Box all{0, 0, float(image.width), float(image.height)};
  draw_box(image, all, class_colour(strongest), text);
}

}  // namespace

Image sample_sheet(const Batch& batch, const std::vector<float>& images, int channels,
                   const std::vector<std::string>& names) {
  const int shown = std::min<int>(int(batch.paths.size()), kMost);
  const int columns = std::min(shown, kColumns), rows = (shown + columns - 1) / columns;
  const int zoom = std::max(1, (kLeastSide + batch.width - 1) / batch.width);
  const int width = zoom * batch.width, height = zoom * batch.height;
  Image sheet(columns * width, rows * height, channels < 3 ? 1 : 3);
  for (int n = 0; n < shown; ++n) {
    Image image(batch.width, batch.height, channels);
    std::copy_n(images.begin() + int64_t(n) * int64_t(image.pixels.size()), image.pixels.size(),
                image.pixels.begin());
    image = resize(visible(image), width, height);
    if (batch.targets.empty())
      draw_boxes(image, batch, n, names);
    else
      draw_classes(image, batch, n, names);
    const int left = n % columns * width, top = n / columns * height;
    for (int y = 0; y < height; ++y)
      std::copy_n(image.pixels.begin() + int64_t(image.index(y, 0, 0)),
                  size_t(width) * size_t(sheet.channels),
                  sheet.pixels.begin() + int64_t(sheet.index(top + y, left, 0)));
  }
  return sheet;
}

}  // namespace osprey
