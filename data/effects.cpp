#include "data/effects.h"

#include <algorithm>
#include <cmath>

#include "data/augment.h"
#include "data/render.h"

namespace osprey {
namespace {

constexpr int kBackgroundSide = 17;

// OpenCV's deviation for a kernel of this side.
std::vector<float> gaussian(int side) {
  const float deviation = .3f * (float(side - 1) * .5f - 1) + .8f;
  std::vector<float> weights;
  float sum = 0;
  for (int i = 0; i < side; ++i) {
    const float x = (float(i) - float(side - 1) / 2) / deviation;
    weights.push_back(std::exp(-x * x / 2));
    sum += weights.back();
  }
  for (float& w : weights) w /= sum;
  return weights;
}

// Along one axis of [outer,size,inner]; beyond the edge it is repeated.
void blur_axis(const std::vector<float>& in, std::vector<float>& out, int outer, int size, int inner,
               const std::vector<float>& weights) {
  const int reach = int(weights.size()) / 2;
  std::fill(out.begin(), out.end(), 0.f);
  for (int o = 0; o < outer; ++o)
    for (int i = 0; i < size; ++i)
      for (int k = -reach; k <= reach; ++k) {
        const float weight = weights[size_t(k + reach)];
        const float* from = in.data() + (size_t(o) * size + size_t(clamped(i + k, size))) * size_t(inner);
        float* to = out.data() + (size_t(o) * size + size_t(i)) * size_t(inner);
        for (int c = 0; c < inner; ++c) to[c] += weight * from[c];
      }
}

Image blurred(const Image& image, int side) {
  const std::vector<float> weights = gaussian(side);
  Image across = image, both = image;
  blur_axis(image.pixels, across.pixels, image.height, image.width, image.channels, weights);
  blur_axis(across.pixels, both.pixels, 1, image.height, image.width * image.channels, weights);
  return both;
}

void copy_box(const Image& from, const Box& box, Image& to) {
  const int x1 = std::clamp(int(std::floor(box.x1)), 0, to.width);
  const int x2 = std::clamp(int(std::ceil(box.x2)), x1, to.width);
  const int y1 = std::clamp(int(std::floor(box.y1)), 0, to.height);
  const int y2 = std::clamp(int(std::ceil(box.y2)), y1, to.height);
  for (int y = y1; y < y2 && x2 > x1; ++y)
    std::copy_n(from.pixels.begin() + ptrdiff_t(from.index(y, x1, 0)), size_t(x2 - x1) * size_t(to.channels),
                to.pixels.begin() + ptrdiff_t(to.index(y, x1, 0)));
}

}  // namespace

Effects draw_effects(const AugmentOptions& o, Random& random) {
  Effects effects;
  effects.turn = random.uniform(-o.angle, o.angle) * float(M_PI / 180);
  const int kind = random.below(3);
  if (o.blur > 0) effects.blur = BlurKind(kind);
  effects.noise_key = uint64_t(random.bits()) << 32;
  effects.noise_key |= random.bits();
  if (random.chance(.5f)) effects.noise = o.gaussian_noise / 255;
  return effects;
}

Box turned_box(const Box& box, float x, float y, float angle) {
  const float c = std::cos(angle), s = std::sin(angle);
  const float middle_x = (box.x1 + box.x2) / 2 - x, middle_y = (box.y1 + box.y2) / 2 - y;
  const float half_w = box.width() / 2, half_h = box.height() / 2;
  const float to_x = x + c * middle_x + s * middle_y, to_y = y - s * middle_x + c * middle_y;
  const float reach_x = std::abs(c) * half_w + std::abs(s) * half_h;
  const float reach_y = std::abs(s) * half_w + std::abs(c) * half_h;
  return {to_x - reach_x, to_y - reach_y, to_x + reach_x, to_y + reach_y};
}

void turn(SamplePart& part, float angle) {
  const ImageWindow &window = part.window, &place = part.place;
  const float c = std::cos(angle), s = std::sin(angle);
  // Corners come to corners, as in resizing; then about the window's middle.
  float across = tap_scale(place.width, window.width), down = tap_scale(place.height, window.height);
  float first_x = -across * float(place.left) - float(window.width - 1) / 2;
  const float first_y = -down * float(place.top) - float(window.height - 1) / 2;
  if (part.mirror) {
    first_x = across * float(place.left + place.width - 1) - float(window.width - 1) / 2;
    across = -across;
  }
  const float middle_x = float(window.left) + float(window.width - 1) / 2;
  const float middle_y = float(window.top) + float(window.height - 1) / 2;
  part.turn = {c * across, -s * down, middle_x + c * first_x - s * first_y,
               s * across, c * down,  middle_y + s * first_x + c * first_y};
  part.turned = true;
  part.mirror = false;
  part.window = {};
}

CanvasBlur blur_of(BlurKind kind, int blur, const std::vector<Box>& boxes) {
  if (kind == BlurKind::none || blur < 1) return {};
  if (kind == BlurKind::background) return {kBackgroundSide, boxes};
  float least = float(8 * (blur + 1));
  for (const Box& box : boxes) least = std::min({least, box.width(), box.height()});
  const int side = std::min(blur / 2 * 2 + 1, (int(least / 8) - 1) / 2 * 2 + 1);
  return {side >= 3 ? side : 0, {}};
}

ByteImage blurred_canvas(SamplePart& part, const ByteImage& image, int width, int height,
                         const CanvasBlur& blur) {
  SamplePlan plan;
  plan.parts = 1;
  SamplePart& whole = plan.part[0];
  whole = part;
  whole.shown = {0, 0, width, height};
  whole.from_x = whole.from_y = 0;
  whole.noise = 0;
  Image canvas(width, height, image.channels);
  render(plan, std::span(&image, 1), width, height, canvas.pixels.data());
  Image soft = blurred(canvas, blur.side);
  for (const Box& box : blur.sharp) copy_box(canvas, box, soft);

  part.turned = part.mirror = false;
  part.place = part.window = {0, 0, width, height};
  part.colour = {};
  part.image_width = width;
  part.image_height = height;
  return rounded(soft, image.value_bytes);
}

}  // namespace osprey
