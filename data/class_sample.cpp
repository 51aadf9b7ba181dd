#include "data/class_sample.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace osprey {
namespace {

// Adds an image's part of the targets. The part of the true classes that smoothing takes goes to the others,
// 1 / (k - 1) of it to each.
void add_targets(std::vector<float>& targets, std::span<const int> classes, float share, float smoothing) {
  for (const int i : classes) targets[size_t(i)] += share * (1 - smoothing);
  const size_t others = targets.size() - 1;
  if (smoothing == 0 || others == 0) return;
  for (size_t k = 0; k < targets.size(); ++k)
    if (std::find(classes.begin(), classes.end(), int(k)) == classes.end())
      targets[k] += share * smoothing / float(others);
}

float share_of(const ImageWindow& shown, const AugmentOptions& o) {
  return float(shown.width) * float(shown.height) / (float(o.width) * float(o.height));
}

ImageWindow draw_rectangle(const AugmentOptions& o, Random& random) {
  ImageWindow rectangle;
  rectangle.width = std::max(1, int(random.uniform(.3f, .8f) * float(o.width)));
  rectangle.height = std::max(1, int(random.uniform(.3f, .8f) * float(o.height)));
  rectangle.left = random.below(o.width - rectangle.width + 1);
  rectangle.top = random.below(o.height - rectangle.height + 1);
  return rectangle;
}

// The images keep their places: a quarter shows what its image has there.
void show(SamplePart& part, const ImageWindow& shown) {
  part.shown = shown;
  part.from_x = shown.left;
  part.from_y = shown.top;
}

void cut_to_quarters(SamplePlan& plan, const AugmentOptions& o, Random& random) {
  const int cut_x = int(random.uniform(.2f, .8f) * float(o.width));
  const int cut_y = int(random.uniform(.2f, .8f) * float(o.height));
  for (int i = 0; i < 4; ++i) {
    const int left = i % 2 ? cut_x : 0, top = i / 2 ? cut_y : 0;
    show(plan.part[i], {left, top, i % 2 ? o.width - cut_x : cut_x, i / 2 ? o.height - cut_y : cut_y});
  }
}

}  // namespace

ClassMix draw_class_mix(const AugmentOptions& options, Random& random) {
  std::vector<ClassMix> kinds;
  if (options.mixup) kinds.push_back(ClassMix::mean);
  if (options.cutmix) kinds.push_back(ClassMix::paste);
  if (options.mosaic) kinds.push_back(ClassMix::mosaic);
  const bool mixes = random.chance(.5f);
  const float which = random.uniform();
  if (kinds.empty() || !mixes) return ClassMix::none;
  return kinds[size_t(which * float(kinds.size()))];
}

int images_of(ClassMix mix) { return mix == ClassMix::none ? 1 : mix == ClassMix::mosaic ? 4 : 2; }

SamplePart describe_crop(const Labelled& image, const AugmentOptions& o, Random& random) {
  const float aspect = random.scale(o.aspect);
  const int window = std::max(o.width, o.height);
  const int least = o.min_crop ? o.min_crop : window, most = o.max_crop ? o.max_crop : 2 * window;
  const int side = least + random.below(std::max(most - least, 0) + 1);
  const float w = float(image.width), h = float(image.height);
  const float scale = float(side) / std::min(h, w / aspect);
  const float turn = random.uniform(-o.angle, o.angle) * float(M_PI / 180);
  const auto room = [&](float size) { return std::max((size - float(window)) / 2, 0.f); };
  const float room_x = room(w * scale / aspect), room_y = room(h * scale);
  const float dx = random.uniform(-room_x, room_x), dy = random.uniform(-room_y, room_y);
  const bool flip = random.chance(.5f) && o.flip;

  SamplePart part;
  part.shown = part.place = {0, 0, o.width, o.height};
  part.image_width = image.width;
  part.image_height = image.height;
  part.turned = true;
  // From the input's pixel to the window's, whose middle is 0, then by (dx, dy) and to the image's.
  const float to_x = (flip ? -1.f : 1.f) * float(window) / float(o.width);
  const float to_y = float(window) / float(o.height);
  const float first_x = to_x * (.5f - float(o.width) / 2) + dx;
  const float first_y = to_y * (.5f - float(o.height) / 2) + dy;
  const float across = aspect / scale, down = 1 / scale, c = std::cos(turn), s = std::sin(turn);
  part.turn = {c * across * to_x, -s * down * to_y, c * across * first_x - s * down * first_y + (w - 1) / 2,
               s * across * to_x, c * down * to_y,  s * across * first_x + c * down * first_y + (h - 1) / 2};
  part.colour.hue = random.uniform(-o.hue, o.hue);
  part.colour.saturation = random.scale(o.saturation);
  part.colour.exposure = random.scale(o.exposure);
  return part;
}

Described describe_class(std::span<const Labelled> images, ClassMix mix, const AugmentOptions& options,
                         int classes, Random& random, const std::array<Effects, 4>& effects) {
  Described sample;
  SamplePlan& plan = sample.plan;
  plan.parts = images_of(mix);
  plan.mixed = mix == ClassMix::mean;
  for (int i = 0; i < plan.parts; ++i) {
    const Effects& effect = effects[size_t(i)];
    plan.part[i] = describe_crop(images[size_t(i)], options, random);
    plan.part[i].noise = effect.noise;
    plan.part[i].noise_key = effect.noise_key;
    sample.blur[size_t(i)] = blur_of(effect.blur, options.blur, {});
  }
  if (mix == ClassMix::mosaic) cut_to_quarters(plan, options, random);
  // The first part lies over the others: what is pasted.
  if (mix == ClassMix::paste) show(plan.part[0], draw_rectangle(options, random));
  sample.classes.resize(size_t(classes));
  const float pasted = share_of(plan.part[0].shown, options);
  for (int i = 0; i < plan.parts; ++i) {
    const float share = mix == ClassMix::mean              ? .5f
                        : mix == ClassMix::paste && i == 1 ? 1 - pasted
                                                           : share_of(plan.part[i].shown, options);
    add_targets(sample.classes, images[size_t(i)].classes, share, options.label_smoothing);
  }
  return sample;
}

}  // namespace osprey
