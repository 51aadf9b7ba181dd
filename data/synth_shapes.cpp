// The five things of the synthetic set, and how a shape is painted.
#include "data/synth_shapes.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace osprey {
namespace {

constexpr Rgb kGlass = {.08f, .1f, .14f};

Rgb shaded(Rgb c, float by) {
  return {std::min(c.r * by, 1.f), std::min(c.g * by, 1.f), std::min(c.b * by, 1.f)};
}

Rgb pick(std::initializer_list<Rgb> colours, Random& random) {
  return shaded(colours.begin()[random.below(int(colours.size()))], random.uniform(.88f, 1.1f));
}

void both_sides(Shape& shape, std::vector<Point> points, Rgb colour) {
  shape.push_back(polygon(points, colour));
  for (Point& p : points) p.y = -p.y;
  shape.push_back(polygon(points, colour));
}

Shape car(Random& random) {
  const Rgb paint = pick({{.8f, .1f, .1f},
                          {.12f, .25f, .7f},
                          {.9f, .9f, .9f},
                          {.9f, .75f, .1f},
                          {.1f, .1f, .12f},
                          {.6f, .62f, .65f}},
                         random);
  return {rounded_box({0, 0}, {.5f, .235f}, .12f, paint), rounded_box({-.06f, 0}, {.3f, .19f}, .06f, kGlass),
          rounded_box({-.07f, 0}, {.17f, .19f}, .05f, shaded(paint, 1.12f))};
}

Shape truck(Random& random) {
  const Rgb load = pick({{.92f, .92f, .9f}, {.75f, .77f, .8f}, {.85f, .8f, .65f}, {.35f, .5f, .7f}}, random);
  const Rgb cab = pick({{.85f, .15f, .1f}, {.1f, .3f, .75f}, {.95f, .6f, .05f}, {.1f, .5f, .25f}}, random);
  Shape shape = {rounded_box({.2f, 0}, {.1f, .07f}, .01f, {.15f, .15f, .15f}),
                 rounded_box({-.14f, 0}, {.36f, .15f}, .015f, load),
                 rounded_box({.38f, 0}, {.12f, .14f}, .04f, cab),
                 rounded_box({.44f, 0}, {.025f, .115f}, .02f, kGlass)};
  for (int i = 0; i < 4; ++i)
    shape.push_back(rounded_box({-.41f + .18f * float(i), 0}, {.008f, .14f}, 0, shaded(load, .8f)));
  return shape;
}

Shape ship(Random& random) {
  const Rgb hull = pick({{.45f, .12f, .1f}, {.15f, .17f, .22f}, {.1f, .3f, .3f}, {.85f, .85f, .85f}}, random);
  const Rgb deck = pick({{.65f, .45f, .3f}, {.55f, .58f, .6f}, {.4f, .55f, .45f}}, random);
  const auto outline = [](float shrink) {
    std::vector<Point> points = {{-.5f, -.11f}, {-.42f, -.14f}, {.2f, -.14f},  {.38f, -.09f}, {.5f, 0},
                                 {.38f, .09f},  {.2f, .14f},    {-.42f, .14f}, {-.5f, .11f}};
    for (Point& p : points) p = {p.x * (1 - shrink * .4f), p.y * (1 - shrink)};
    return points;
  };
  Shape shape = {polygon(outline(0), hull), polygon(outline(.25f), deck)};
  shape.push_back(rounded_box({-.33f, 0}, {.08f, .1f}, .02f, {.95f, .95f, .93f}));
  shape.push_back(disc({-.36f, 0}, .03f, {.2f, .2f, .2f}));
  for (int i = 0; i < 3; ++i)
    shape.push_back(rounded_box({-.13f + .16f * float(i), 0}, {.055f, .075f}, .01f, shaded(deck, .7f)));
  return shape;
}

Shape plane(Random& random) {
  const Rgb skin = pick({{.95f, .95f, .95f}, {.82f, .84f, .88f}, {.9f, .9f, .82f}}, random);
  const Rgb mark = pick({{.8f, .15f, .15f}, {.1f, .25f, .7f}, {.1f, .5f, .5f}}, random);
  Shape shape;
  both_sides(shape, {{.14f, .03f}, {-.02f, .03f}, {-.2f, .47f}, {-.13f, .48f}}, shaded(skin, .93f));
  both_sides(shape, {{-.36f, .02f}, {-.47f, .02f}, {-.5f, .18f}, {-.44f, .18f}}, shaded(skin, .9f));
  for (const float y : {-.19f, .19f})
    shape.push_back(rounded_box({.06f, y}, {.06f, .025f}, .02f, {.4f, .42f, .45f}));
  shape.push_back(rounded_box({0, 0}, {.5f, .055f}, .055f, skin));
  shape.push_back(rounded_box({-.42f, 0}, {.08f, .015f}, .01f, mark));
  shape.push_back(rounded_box({.42f, 0}, {.02f, .035f}, .015f, kGlass));
  return shape;
}

Shape tank(Random& random) {
  const Rgb roof = pick({{.93f, .93f, .9f}, {.8f, .8f, .76f}, {.7f, .72f, .74f}}, random);
  Shape shape = {disc({0, 0}, .5f, shaded(roof, .62f)), disc({0, 0}, .45f, roof),
                 disc({.06f, .06f}, .34f, shaded(roof, 1.06f))};
  for (int i = 0; i < 3; ++i) {
    const float a = float(i) * 1.0471976f, c = std::cos(a), s = std::sin(a), w = .012f;
    shape.push_back(polygon({{.45f * c - w * s, .45f * s + w * c},
                             {-.45f * c - w * s, -.45f * s + w * c},
                             {-.45f * c + w * s, -.45f * s - w * c},
                             {.45f * c + w * s, .45f * s - w * c}},
                            shaded(roof, .82f)));
  }
  shape.push_back(disc({0, 0}, .07f, shaded(roof, .55f)));
  return shape;
}

void mix(float* pixel, Rgb colour, float share) {
  pixel[0] += (colour.r - pixel[0]) * share;
  pixel[1] += (colour.g - pixel[1]) * share;
  pixel[2] += (colour.b - pixel[2]) * share;
}

// A pixel is covered by how far its centre is inside, over one pixel's width (`soft` pixels for shadows).
float coverage(float distance_pixels, float soft) {
  return std::clamp(.5f - distance_pixels / soft, 0.f, 1.f);
}

}  // namespace

float Part::distance(Point p) const {
  if (kind == Kind::disc) return std::hypot(p.x - centre.x, p.y - centre.y) - radius;
  if (kind == Kind::polygon) {
    float most = -1e9f;
    for (const Edge& e : edges) most = std::max(most, e.nx * p.x + e.ny * p.y - e.offset);
    return most;
  }
  const float x = std::abs(p.x - centre.x) - half.x + radius, y = std::abs(p.y - centre.y) - half.y + radius;
  const float outside = x > 0 && y > 0 ? std::sqrt(x * x + y * y) : std::max(x, y);
  return outside - radius;
}

Part disc(Point centre, float radius, Rgb colour) {
  Part part{Part::Kind::disc, {}, centre, {}, radius, colour};
  return part;
}

Part rounded_box(Point centre, Point half, float radius, Rgb colour) {
  Part part{Part::Kind::rounded_box, {}, centre, half, std::min({radius, half.x, half.y}), colour};
  return part;
}

Part polygon(const std::vector<Point>& points, Rgb colour) {
  Part part{Part::Kind::polygon, {}, {}, {}, 0, colour};
  float twice_area = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const Point a = points[i], b = points[(i + 1) % points.size()];
    twice_area += a.x * b.y - b.x * a.y;
  }
  const float turn = twice_area > 0 ? 1.f : -1.f;
  for (size_t i = 0; i < points.size(); ++i) {
    const Point a = points[i], b = points[(i + 1) % points.size()];
    const float length = std::hypot(b.x - a.x, b.y - a.y);
    const float nx = turn * (b.y - a.y) / length, ny = -turn * (b.x - a.x) / length;
    part.edges.push_back({nx, ny, nx * a.x + ny * a.y});
  }
  return part;
}

Shape draw_thing(Thing thing, Random& random) {
  switch (thing) {
    case Thing::car:
      return car(random);
    case Thing::truck:
      return truck(random);
    case Thing::ship:
      return ship(random);
    case Thing::plane:
      return plane(random);
    case Thing::tank:
      return tank(random);
  }
  return {};
}

Box paint(Image& image, const Shape& shape, const Pose& pose, Point shadow) {
  const float c = std::cos(pose.angle), s = std::sin(pose.angle), reach = pose.length * .72f + 2;
  const auto local = [&](float x, float y) -> Point {
    const float dx = (x - pose.x) / pose.length, dy = (y - pose.y) / pose.length;
    return {c * dx + s * dy, c * dy - s * dx};
  };
  const auto nearest = [&](Point p) {
    float least = 1e9f;
    for (const Part& part : shape) least = std::min(least, part.distance(p));
    return least * pose.length;
  };
  const float rx = reach + std::abs(shadow.x), ry = reach + std::abs(shadow.y);
  const int x0 = std::max(0, int(pose.x - rx)), x1 = std::min(image.width, int(pose.x + rx) + 1);
  const int y0 = std::max(0, int(pose.y - ry)), y1 = std::min(image.height, int(pose.y + ry) + 1);
  int left = x1, right = x0 - 1, top = y1, bottom = y0 - 1;
  for (int y = y0; y < y1; ++y)
    for (int x = x0; x < x1; ++x) {
      float* pixel = &image.at(y, x, 0);
      const float px = float(x) + .5f, py = float(y) + .5f;
      if (shadow.x != 0 || shadow.y != 0)
        mix(pixel, {.02f, .03f, .05f}, .5f * coverage(nearest(local(px - shadow.x, py - shadow.y)), 2));
      const Point p = local(px, py);
      float most = 0;
      for (const Part& part : shape) {
        const float share = coverage(part.distance(p) * pose.length, 1);
        if (share > 0) mix(pixel, part.colour, share);
        most = std::max(most, share);
      }
      if (most < .5f) continue;
      left = std::min(left, x), right = std::max(right, x);
      top = std::min(top, y), bottom = std::max(bottom, y);
    }
  if (right < left) return {};
  return {float(left), float(top), float(right + 1), float(bottom + 1)};
}

}  // namespace osprey
