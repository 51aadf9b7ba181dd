#include "data/augment.h"

#include <algorithm>
#include <tuple>

#include "core/error.h"

namespace osprey {
namespace {

// Where the network input shows an image. The margins follow from the image, not from the crop, so that
// jitter still changes the aspect ratio.
Letterbox placement(const Labelled& image, const AugmentOptions& options) {
  return fitted(options.letter_box ? Fit::letterbox : Fit::stretch, image.width, image.height, options.width,
                options.height);
}

ImageWindow window_of(const Labelled& image, const Crop& crop) {
  return {crop.left, crop.top, image.width - crop.left - crop.right, image.height - crop.top - crop.bottom};
}

// The whole input filled by one image.
SamplePart part_of(const Labelled& image, const Crop& crop, const AugmentOptions& options,
                   const Effects& effects) {
  const Letterbox place = placement(image, options);
  // Mirroring the canvas moves a margin of odd width by one pixel.
  const int left = crop.flip ? options.width - place.left() - place.new_width : place.left();
  SamplePart part;
  part.shown = {0, 0, options.width, options.height};
  part.place = {left, place.top(), place.new_width, place.new_height};
  part.mirror = crop.flip;
  part.window = window_of(image, crop);
  part.colour = crop.colour;
  part.image_width = image.width;
  part.image_height = image.height;
  part.noise = effects.noise;
  part.noise_key = effects.noise_key;
  if (crop.turn != 0) turn(part, crop.turn);
  return part;
}

// A box in units of the network input, cut at the crop's edge (Darknet's correct_boxes).
CentreBox in_network(CentreBox of_image, const Labelled& image, const Crop& crop,
                     const AugmentOptions& options) {
  const ImageWindow window = window_of(image, crop);
  const float w = float(image.width), h = float(image.height);
  const float sx = float(window.width) / w, sy = float(window.height) / h;
  const float dx = float(window.left) / w / sx, dy = float(window.top) / h / sy;
  Box box = corners(of_image);
  if (crop.turn != 0) {
    const float middle_x = float(window.left) + float(window.width) / 2;
    const float middle_y = float(window.top) + float(window.height) / 2;
    box = scaled(turned_box(scaled(box, w, h), middle_x, middle_y, crop.turn), 1 / w, 1 / h);
  }
  box = {box.x1 / sx - dx, box.y1 / sy - dy, box.x2 / sx - dx, box.y2 / sy - dy};
  if (crop.flip) box = {1 - box.x2, box.y1, 1 - box.x1, box.y2};
  box = {std::clamp(box.x1, 0.f, 1.f), std::clamp(box.y1, 0.f, 1.f), std::clamp(box.x2, 0.f, 1.f),
         std::clamp(box.y2, 0.f, 1.f)};
  return options.letter_box ? placement(image, options).to_network(centre(box)) : centre(box);
}

bool usable(const CentreBox& b, const AugmentOptions& options) {
  return b.w >= 1.f / float(options.width) && b.h >= 1.f / float(options.height) && b.x > 0 && b.x <= 1 &&
         b.y > 0 && b.y <= 1;
}

std::vector<Truth> truths_of(const Labelled& image, const Crop& crop, const AugmentOptions& options,
                             Random& random) {
  std::vector<Truth> truths;
  for (const Label& label : image.labels)
    if (const CentreBox box = in_network(label.box, image, crop, options); usable(box, options))
      truths.push_back({box, label.class_id});
  for (size_t i = truths.size(); i > 1; --i) std::swap(truths[i - 1], truths[size_t(random.below(int(i)))]);
  if (truths.size() > size_t(options.max_boxes)) truths.resize(size_t(options.max_boxes));
  return truths;
}

// In pixels of the canvas.
std::vector<Box> boxes_of(const std::vector<Truth>& truths, const AugmentOptions& o) {
  std::vector<Box> boxes;
  for (const Truth& truth : truths)
    boxes.push_back(scaled(corners(truth.box), float(o.width), float(o.height)));
  return boxes;
}

std::vector<ProposedBox> proposals_of(const Labelled& image, const Crop& crop,
                                      const AugmentOptions& options) {
  std::vector<ProposedBox> proposals;
  for (const ProposedBox& proposal : image.proposals)
    if (const CentreBox box = in_network(proposal.box, image, crop, options); box.w > 0 && box.h > 0)
      proposals.push_back({box, proposal.score});
  return proposals;
}

// Half of a mosaic's images move to a corner of their crop, so that most of the image is in its quarter.
void move_to_corner(Crop& crop, int quarter) {
  const bool left_quarter = quarter % 2 == 0, upper_quarter = quarter < 2;
  if (left_quarter != crop.flip) {
    crop.right += crop.left;
    crop.left = 0;
  } else {
    crop.left += crop.right;
    crop.right = 0;
  }
  if (upper_quarter) {
    crop.bottom += crop.top;
    crop.top = 0;
  } else {
    crop.top += crop.bottom;
    crop.bottom = 0;
  }
}

// A quarter of the mosaic, and the pixel of the augmented image that comes to its first pixel.
struct Quarter {
  int x0, y0, x1, y1;  // in the mosaic, the end not included
  int from_x, from_y;
};

Quarter quarter_of(int i, int cut_x, int cut_y, const Crop& crop, const Labelled& image,
                   const AugmentOptions& o) {
  const int left = crop.flip ? crop.right : crop.left, right = crop.flip ? crop.left : crop.right;
  const auto beyond = [](int margin, int to, int from) {
    return int(std::max<int64_t>(0, -int64_t(margin) * to / from));
  };
  Quarter q;
  const bool west = i % 2 == 0, north = i < 2;
  q.x0 = west ? 0 : cut_x;
  q.x1 = west ? cut_x : o.width;
  q.y0 = north ? 0 : cut_y;
  q.y1 = north ? cut_y : o.height;
  q.from_x = west ? o.width - cut_x - std::min(o.width - cut_x, beyond(right, o.width, image.width))
                  : std::min(cut_x, beyond(left, o.width, image.width));
  q.from_y = north
                 ? o.height - cut_y - std::min(o.height - cut_y, beyond(crop.bottom, o.height, image.height))
                 : std::min(cut_y, beyond(crop.top, o.height, image.height));
  return q;
}

struct Edges {
  int left, right, top, bottom;  // in pixels, cut off to whole numbers as Darknet does
};

Edges edges(const CentreBox& b, const AugmentOptions& o) {
  const float w = float(o.width), h = float(o.height);
  return {int((b.x - b.w / 2) * w), int((b.x + b.w / 2) * w), int((b.y - b.h / 2) * h),
          int((b.y + b.h / 2) * h)};
}

CentreBox cut_to_quarter(const CentreBox& b, const Quarter& q, const AugmentOptions& o) {
  const Edges e = edges(b, o);
  const float left = float(std::clamp(e.left, q.x0, q.x1)), right = float(std::clamp(e.right, q.x0, q.x1));
  const float top = float(std::clamp(e.top, q.y0, q.y1)), bottom = float(std::clamp(e.bottom, q.y0, q.y1));
  return centre(scaled({left, top, right, bottom}, 1.f / float(o.width), 1.f / float(o.height)));
}

// The part of a proposal in its quarter, for which nothing asks to be in whole pixels.
CentreBox within_quarter(CentreBox b, const Quarter& q, const AugmentOptions& o) {
  const float w = float(o.width), h = float(o.height);
  b.x += float(q.x0 - q.from_x) / w;
  b.y += float(q.y0 - q.from_y) / h;
  const Box box = corners(b);
  return centre({std::max(box.x1, float(q.x0) / w), std::max(box.y1, float(q.y0) / h),
                 std::min(box.x2, float(q.x1) / w), std::min(box.y2, float(q.y1) / h)});
}

// The first of each, then the second of each, ...
std::vector<ProposedBox> in_turn(std::span<const std::vector<ProposedBox>> of_images) {
  std::vector<ProposedBox> all;
  size_t most = 0;
  for (const auto& of_image : of_images) most = std::max(most, of_image.size());
  for (size_t rank = 0; rank < most; ++rank)
    for (const auto& of_image : of_images)
      if (rank < of_image.size()) all.push_back(of_image[rank]);
  return all;
}

CentreBox cut_to_picture(CentreBox b, const AugmentOptions& o) {
  const float w = float(o.width), h = float(o.height);
  const Edges e = edges(b, o);
  const auto lower = [](float& at, float& size, float excess) {
    at -= excess / 2;
    size += excess;
  };
  if (e.left < 0) lower(b.x, b.w, float(e.left) / w);
  if (e.right > o.width) b.x -= float(e.right - o.width) / w / 2, b.w -= float(e.right - o.width) / w;
  if (e.top < 0) lower(b.y, b.h, float(e.top) / h);
  if (e.bottom > o.height) b.y -= float(e.bottom - o.height) / h / 2, b.h -= float(e.bottom - o.height) / h;
  return b;
}

bool inside_picture(const CentreBox& b, const AugmentOptions& o) {
  const Edges e = edges(b, o);
  return e.left >= 0 && e.right <= o.width && e.top >= 0 && e.bottom <= o.height && b.x > 0 && b.x < 1 &&
         b.y > 0 && b.y < 1 && b.w > 1.f / float(o.width) && b.w < 1 && b.h > 1.f / float(o.height) &&
         b.h < 1;
}

}  // namespace

void check(const AugmentOptions& o) {
  if (o.width < 1 || o.height < 1) fail("the network input of {}x{} is empty", o.width, o.height);
  if (o.max_boxes < 1) fail("max must be at least 1, not {}", o.max_boxes);
  if (!(o.jitter >= 0 && o.jitter <= 10)) fail("jitter must be between 0 and 10, not {}", o.jitter);
  if (!(o.resize > 0 && o.resize <= 100)) fail("resize must be above 0 and at most 100, not {}", o.resize);
  if (!(o.hue >= 0 && o.hue <= 1)) fail("hue must be between 0 and 1, not {}", o.hue);
  if (!(o.saturation > 0)) fail("saturation must be above 0, not {}", o.saturation);
  if (!(o.exposure > 0)) fail("exposure must be above 0, not {}", o.exposure);
  if (!(o.angle >= 0 && o.angle <= 180)) fail("angle must be between 0 and 180 degrees, not {}", o.angle);
  if (o.blur < 0) fail("blur must not be negative, but is {}", o.blur);
  if (!(o.gaussian_noise >= 0 && o.gaussian_noise <= 127))
    fail("gaussian_noise must be between 0 and 127, not {}", o.gaussian_noise);
  if (!(o.aspect > 0)) fail("aspect must be above 0, not {}", o.aspect);
  if (o.min_crop < 0 || o.max_crop < 0)
    fail("min_crop and max_crop must not be negative, but are {} and {}", o.min_crop, o.max_crop);
  if (!(o.label_smoothing >= 0 && o.label_smoothing < 1))
    fail("label_smooth_eps must be at least 0 and below 1, not {}", o.label_smoothing);
  if (o.mosaic && o.letter_box) fail("mosaic=1 and letter_box=1 do not go together: turn one of them off");
}

Crop draw_crop(const AugmentOptions& options, int image_width, int image_height, Random& random) {
  // Every number is drawn whatever the options, so that turning one of them on moves no other draw.
  const float left = random.uniform(-1, 1), right = random.uniform(-1, 1);
  const float top = random.uniform(-1, 1), bottom = random.uniform(-1, 1);
  const float zoom_left = random.uniform(), zoom_right = random.uniform();
  Crop crop;
  crop.flip = random.chance(.5f) && options.flip;
  crop.colour.hue = random.uniform(-options.hue, options.hue);
  crop.colour.saturation = random.scale(options.saturation);
  crop.colour.exposure = random.scale(options.exposure);

  const int dw = int(float(image_width) * options.jitter), dh = int(float(image_height) * options.jitter);
  const float down = std::min(options.resize, 1 / options.resize), up = 1 / down;
  // Darknet ties the zoom of both axes: top uses left's number, bottom right's.
  const auto zoom = [&](int size, float u) {
    const int least = int(float(size) * (1 - 1 / down) / 2);
    const int most = options.resize < 1 ? 0 : int(float(size) * (1 - 1 / up) / 2);
    return float(least) + float(most - least) * u;
  };
  crop.left = int(float(int(left * float(dw))) + zoom(image_width, zoom_left));
  crop.right = int(float(int(right * float(dw))) + zoom(image_width, zoom_right));
  crop.top = int(float(int(top * float(dh))) + zoom(image_height, zoom_left));
  crop.bottom = int(float(int(bottom * float(dh))) + zoom(image_height, zoom_right));
  if (image_width - crop.left - crop.right < 1 || image_height - crop.top - crop.bottom < 1)
    crop.left = crop.right = crop.top = crop.bottom = 0;
  return crop;
}

Described describe(const Labelled& image, const AugmentOptions& options, Random& random,
                   const Effects& effects) {
  Crop crop = draw_crop(options, image.width, image.height, random);
  crop.turn = effects.turn;
  Described sample;
  sample.plan.parts = 1;
  sample.plan.part[0] = part_of(image, crop, options, effects);
  sample.truths = truths_of(image, crop, options, random);
  sample.proposals = proposals_of(image, crop, options);
  sample.blur[0] = blur_of(effects.blur, options.blur, boxes_of(sample.truths, options));
  return sample;
}

Described mean_of(Described first, Described second, const AugmentOptions& options) {
  first.plan.parts = 2;
  first.plan.mixed = true;
  first.plan.part[1] = second.plan.part[0];
  first.blur[1] = std::move(second.blur[0]);
  const size_t room = size_t(options.max_boxes) - first.truths.size();
  second.truths.resize(std::min(second.truths.size(), room));
  first.truths.insert(first.truths.end(), second.truths.begin(), second.truths.end());
  first.proposals = in_turn(std::array{std::move(first.proposals), std::move(second.proposals)});
  return first;
}

Described describe_mosaic(const std::array<Labelled, 4>& images, const AugmentOptions& options,
                          Random& random, const std::array<Effects, 4>& effects) {
  const int least_x = int(float(options.width) * .2f), least_y = int(float(options.height) * .2f);
  const int cut_x = least_x + random.below(options.width - 2 * least_x + 1);
  const int cut_y = least_y + random.below(options.height - 2 * least_y + 1);
  Described sample;
  std::array<std::vector<ProposedBox>, 4> proposals;
  sample.plan.parts = 4;
  for (int i = 0; i < 4; ++i) {
    const Labelled& image = images[size_t(i)];
    Crop crop = draw_crop(options, image.width, image.height, random);
    crop.turn = effects[size_t(i)].turn;
    if (random.chance(.5f)) move_to_corner(crop, i);
    const Quarter q = quarter_of(i, cut_x, cut_y, crop, image, options);
    SamplePart& part = sample.plan.part[i];
    part = part_of(image, crop, options, effects[size_t(i)]);
    part.shown = {q.x0, q.y0, q.x1 - q.x0, q.y1 - q.y0};
    part.from_x = q.from_x;
    part.from_y = q.from_y;
    const std::vector<Truth> truths = truths_of(image, crop, options, random);
    sample.blur[size_t(i)] = blur_of(effects[size_t(i)].blur, options.blur, boxes_of(truths, options));
    for (Truth truth : truths) {
      truth.box.x += float(q.x0 - q.from_x) / float(options.width);
      truth.box.y += float(q.y0 - q.from_y) / float(options.height);
      truth.box =
          options.mosaic_bound ? cut_to_quarter(truth.box, q, options) : cut_to_picture(truth.box, options);
      if (inside_picture(truth.box, options) && sample.truths.size() < size_t(options.max_boxes))
        sample.truths.push_back(truth);
    }
    for (ProposedBox proposal : proposals_of(image, crop, options)) {
      proposal.box = within_quarter(proposal.box, q, options);
      if (proposal.box.w > 0 && proposal.box.h > 0) proposals[size_t(i)].push_back(proposal);
    }
  }
  sample.proposals = in_turn(proposals);
  return sample;
}

}  // namespace osprey
