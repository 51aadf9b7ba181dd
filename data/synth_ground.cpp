// The ground of the synthetic scenes, what clutters it, and the camera above it.
#include <algorithm>
#include <cmath>

#include "data/synth_shapes.h"

namespace osprey {
namespace {

Rgb blend(Rgb a, Rgb b, float share) {
  return {a.r + (b.r - a.r) * share, a.g + (b.g - a.g) * share, a.b + (b.b - a.b) * share};
}

float smooth_step(float low, float high, float v) {
  const float t = std::clamp((v - low) / (high - low), 0.f, 1.f);
  return t * t * (3 - 2 * t);
}

// Value noise: random numbers on a lattice of `cell` pixels, smoothly joined; octaves halve cell and weight
// until `finest`. About 0..1.
class Noise {
 public:
  Noise(int width, int height, float cell, float finest, Random& random)
      : width_(width), values_(size_t(width) * size_t(height), 0.f) {
    float weight = 1, total = 0;
    for (; cell >= finest; cell /= 2, weight /= 2) {
      add(height, cell, weight, random);
      total += weight;
    }
    for (float& v : values_) v /= total;
  }
  float at(int x, int y) const { return values_[size_t(y) * size_t(width_) + size_t(x)]; }

 private:
  void add(int height, float cell, float weight, Random& random) {
    const int columns = int(float(width_) / cell) + 3, rows = int(float(height) / cell) + 3;
    std::vector<float> lattice(size_t(columns) * size_t(rows));
    for (float& v : lattice) v = random.uniform();
    const float shift_x = random.uniform(), shift_y = random.uniform();
    std::vector<int> column(static_cast<size_t>(width_));
    std::vector<float> share(static_cast<size_t>(width_));
    for (int x = 0; x < width_; ++x) {
      const float u = float(x) / cell + shift_x, f = u - std::floor(u);
      column[size_t(x)] = int(u);
      share[size_t(x)] = f * f * (3 - 2 * f);
    }
    for (int y = 0; y < height; ++y) {
      const float v = float(y) / cell + shift_y, f = v - std::floor(v), fy = f * f * (3 - 2 * f);
      const float* upper = lattice.data() + size_t(int(v)) * size_t(columns);
      const float* lower = upper + columns;
      float* out = values_.data() + size_t(y) * size_t(width_);
      for (int x = 0; x < width_; ++x) {
        const int i = column[size_t(x)];
        const float a = upper[i] + (upper[i + 1] - upper[i]) * share[size_t(x)];
        const float b = lower[i] + (lower[i + 1] - lower[i]) * share[size_t(x)];
        out[x] += weight * (a + (b - a) * fy);
      }
    }
  }

  int width_;
  std::vector<float> values_;
};

// A turned rectangle on the ground: a field with furrows, or tarmac.
struct Parcel {
  float x, y, half_length, half_width, c, s;
  Rgb colour;
  float furrow;  // pixels from one to the next; 0: none
};

Parcel draw_parcel(int width, int height, bool tarmac, Random& random) {
  const float a = random.uniform(0, 6.2831853f);
  Parcel parcel{random.uniform(0, float(width)),
                random.uniform(0, float(height)),
                random.uniform(30, 80),
                random.uniform(25, 60),
                std::cos(a),
                std::sin(a),
                {},
                0};
  if (tarmac) {
    const float grey = random.uniform(.4f, .58f);
    parcel.colour = {grey, grey, grey * 1.02f};
  } else {
    parcel.colour = blend({.6f, .52f, .25f}, {.3f, .45f, .15f}, random.uniform());
    parcel.furrow = random.uniform(4, 8);
  }
  return parcel;
}

void lay(const Parcel& parcel, Ground& ground, const Noise& grain) {
  Image& image = ground.image;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const float dx = float(x) - parcel.x, dy = float(y) - parcel.y;
      const float u = parcel.c * dx + parcel.s * dy, v = parcel.c * dy - parcel.s * dx;
      const float inside = std::min(parcel.half_length - std::abs(u), parcel.half_width - std::abs(v));
      if (inside <= -.5f || ground.water[size_t(y) * size_t(image.width) + size_t(x)]) continue;
      const float wave = parcel.furrow > 0 ? .1f * std::sin(v * 6.2831853f / parcel.furrow) : 0;
      const float light = .8f + .4f * grain.at(x, y) + wave,
                  share = .85f * std::clamp(inside + .5f, 0.f, 1.f);
      float* pixel = &image.at(y, x, 0);
      const float colour[] = {parcel.colour.r, parcel.colour.g, parcel.colour.b};
      for (int k = 0; k < 3; ++k) pixel[k] += (colour[k] * light - pixel[k]) * share;
    }
}

void lay(const Road& road, Image& image, const Noise& grain) {
  const float c = std::cos(road.angle), s = std::sin(road.angle);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const float dx = float(x) + .5f - road.at.x, dy = float(y) + .5f - road.at.y;
      const float along = c * dx + s * dy, across = std::abs(c * dy - s * dx), half = road.width / 2;
      if (across > half + 2) continue;
      float* pixel = &image.at(y, x, 0);
      const float dust = .5f * std::clamp(half + 2 - across, 0.f, 1.f),
                  share = std::clamp(half - across, 0.f, 1.f);
      const float asphalt = .28f + .12f * grain.at(x, y);
      const bool dash = along - 16 * std::floor(along / 16) < 8;
      const float line = std::max(dash ? std::clamp(1.1f - across, 0.f, 1.f) : 0.f,
                                  .6f * std::clamp(1 - std::abs(across - half + 2), 0.f, 1.f));
      for (int k = 0; k < 3; ++k) {
        pixel[k] += (.5f - .06f * float(k) - pixel[k]) * dust;
        pixel[k] += (asphalt - pixel[k]) * share;
        pixel[k] += (.85f - pixel[k]) * .8f * line;
      }
    }
}

void paint_land_and_water(Ground& ground, const Noise& relief, const Noise& cover, const Noise& grain,
                          Random& random) {
  const bool has_water = random.chance(.7f);
  const float shore = has_water ? random.uniform(.46f, .56f) : 2;
  const Rgb grass = blend({.24f, .36f, .14f}, {.38f, .44f, .2f}, random.uniform());
  const Rgb soil = blend({.5f, .4f, .28f}, {.62f, .55f, .42f}, random.uniform());
  const Rgb deep = blend({.05f, .16f, .26f}, {.08f, .26f, .3f}, random.uniform()),
            shallow = {.2f, .42f, .42f};
  const float dryness = random.uniform(-.15f, .15f);
  for (int y = 0; y < ground.image.height; ++y)
    for (int x = 0; x < ground.image.width; ++x) {
      const float depth = relief.at(x, y) - shore, fine = grain.at(x, y);
      Rgb land = blend(grass, soil, smooth_step(.35f, .65f, cover.at(x, y) + dryness));
      land = blend(land, {.76f, .7f, .52f}, smooth_step(-.025f, 0, depth));  // a beach
      const float light = .72f + .56f * fine;
      land = {land.r * light, land.g * light, land.b * light};
      const float wave = .9f + .2f * fine;
      Rgb water = blend(shallow, deep, smooth_step(0, .06f, depth));
      water = {water.r * wave, water.g * wave, water.b * wave};
      const Rgb colour = blend(land, water, smooth_step(-.004f, .004f, depth));
      float* pixel = &ground.image.at(y, x, 0);
      pixel[0] = colour.r, pixel[1] = colour.g, pixel[2] = colour.b;
      ground.water[size_t(y) * size_t(ground.image.width) + size_t(x)] = depth > 0;
    }
}

Shape tree(Random& random) {
  const Rgb leaf = blend({.1f, .24f, .08f}, {.25f, .38f, .12f}, random.uniform());
  Shape shape;
  for (int i = 0; i < 5; ++i)
    shape.push_back(
        disc({random.uniform(-.2f, .2f), random.uniform(-.2f, .2f)}, random.uniform(.18f, .3f), leaf));
  shape.push_back(disc({-.1f, -.1f}, .14f, blend(leaf, {.6f, .7f, .3f}, .3f)));
  return shape;
}

Shape rock(Random& random) {
  const float grey = random.uniform(.4f, .6f);
  std::vector<Point> points;
  for (int i = 0; i < 6; ++i) {
    const float a = (float(i) + random.uniform(0, .5f)) * 1.0471976f;
    points.push_back({.5f * std::cos(a), .4f * std::sin(a)});  // on an ellipse, so convex
  }
  return {polygon(points, {grey, grey * .96f, grey * .9f}),
          disc({-.08f, -.08f}, .2f, {grey * 1.15f, grey * 1.1f, grey})};
}

// Paint on the ground: a cross or a bar.
Shape mark(Random& random) {
  const Rgb white = {.8f, .8f, .76f};
  Shape shape = {rounded_box({0, 0}, {.5f, .06f}, 0, white)};
  if (random.chance(.5f)) shape.push_back(rounded_box({0, 0}, {.06f, .5f}, 0, white));
  return shape;
}

bool is_free(const std::vector<Box>& taken, float x, float y, float radius) {
  const Box box = {x - radius, y - radius, x + radius, y + radius};
  return std::none_of(taken.begin(), taken.end(),
                      [&](const Box& other) { return intersection(box, other) > 0; });
}

}  // namespace

bool Ground::is_water(float x, float y) const {
  const int column = std::clamp(int(x), 0, image.width - 1), row = std::clamp(int(y), 0, image.height - 1);
  return water[size_t(row) * size_t(image.width) + size_t(column)] != 0;
}

Ground draw_ground(int width, int height, Random& random) {
  Ground ground{Image(width, height, 3), std::vector<uint8_t>(size_t(width) * size_t(height)), {}};
  const Noise relief(width, height, 110, 7, random), cover(width, height, 40, 5, random),
      grain(width, height, 8, 1, random);
  paint_land_and_water(ground, relief, cover, grain, random);
  const float places = std::max(1.f, float(width) * float(height) / 65536.f);  // parcels and roads per area
  const int fields = int(float(random.below(3)) * places), aprons = int(float(random.below(3)) * places);
  for (int i = 0; i < fields; ++i) lay(draw_parcel(width, height, false, random), ground, grain);
  for (int i = 0; i < aprons; ++i) lay(draw_parcel(width, height, true, random), ground, grain);
  const int roads = random.below(3);
  for (int i = 0; i < roads; ++i) {
    ground.roads.push_back(
        {{random.uniform(.15f, .85f) * float(width), random.uniform(.15f, .85f) * float(height)},
         random.uniform(0, 6.2831853f),
         random.uniform(22, 30)});
    lay(ground.roads.back(), ground.image, grain);
  }
  return ground;
}

void scatter_clutter(Ground& ground, const std::vector<Box>& taken, Point light, Random& random) {
  Image& image = ground.image;
  const float places = float(image.width) * float(image.height) / 65536.f;
  const int count = std::max(1, int(random.uniform(12, 40) * places));
  float grove_x = 0, grove_y = 0;
  for (int i = 0; i < count; ++i) {
    if (i % 8 == 0)
      grove_x = random.uniform(0, float(image.width)), grove_y = random.uniform(0, float(image.height));
    const float kind = random.uniform(), x = grove_x + 18 * random.normal(),
                y = grove_y + 18 * random.normal();
    const float angle = random.uniform(0, 6.2831853f), size = random.uniform(5, 16);
    if (!is_free(taken, x, y, size * .5f + 2) || x < 0 || y < 0 || x >= float(image.width) ||
        y >= float(image.height))
      continue;
    if (kind < .7f && !ground.is_water(x, y))
      paint(image, tree(random), {x, y, size, angle}, {light.x * 3, light.y * 3});
    else if (kind < .85f || ground.is_water(x, y))
      paint(image, rock(random), {x, y, size * .6f, angle}, {light.x * 1.5f, light.y * 1.5f});
    else
      paint(image, mark(random), {x, y, size, angle}, {0, 0});
  }
}

void scatter_tiny_clutter(Ground& ground, const std::vector<Box>& taken, Point light, Random& random) {
  Image& image = ground.image;
  const float w = float(image.width), h = float(image.height);
  const int count = std::max(1, int(random.uniform(20, 50) * w * h / 65536.f));
  for (int i = 0; i < count; ++i) {
    const float kind = random.uniform(), x = random.uniform(0, w), y = random.uniform(0, h);
    const Pose pose = {x, y, random.uniform(4, 9), random.uniform(0, 6.2831853f)};
    if (!is_free(taken, x, y, pose.length * .5f + 1)) continue;
    const Shape shape = kind < .35f && !ground.is_water(x, y) ? tree(random)
                        : kind < .7f || ground.is_water(x, y) ? rock(random)
                                                              : mark(random);
    paint(image, shape, pose, {light.x, light.y});
  }
}

void photograph(Image& image, Random& random) {
  const float exposure = random.uniform(.82f, 1.12f);
  const float gain[] = {exposure * random.uniform(.95f, 1.05f), exposure,
                        exposure * random.uniform(.95f, 1.05f)};
  const float side = random.uniform(0, .16f), noise = random.uniform(.008f, .028f);
  const size_t row = size_t(image.width) * 3;
  // A small blur: each pixel takes `side` of its neighbours, along rows, then along columns.
  std::vector<float> soft(image.pixels);
  for (int pass = 0; pass < 2; ++pass) {
    const size_t step = pass == 0 ? 3 : row;
    const std::vector<float> before = soft;
    for (size_t i = step; i + step < soft.size(); ++i)
      soft[i] = before[i] * (1 - 2 * side) + side * (before[i - step] + before[i + step]);
  }
  for (size_t i = 0; i < soft.size(); ++i) {
    // The sum of four bytes is close to normal: mean 510, deviation 147.8.
    const uint32_t bits = random.bits();
    const float sum = float((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
    image.pixels[i] = std::clamp(soft[i] * gain[i % 3] + noise * (sum - 510) / 147.8f, 0.f, 1.f);
  }
}

}  // namespace osprey
