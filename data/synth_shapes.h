// What the scenes of the synthetic set are painted with: shapes of few parts, ground, and clutter.
#pragma once

#include <cstdint>
#include <vector>

#include "core/box.h"
#include "core/random.h"
#include "data/image.h"

namespace osprey {

struct Point {
  float x, y;
};

// A convex polygon, a box with round corners or a disc, told by how far outside of it a point is.
struct Part {
  enum class Kind { polygon, rounded_box, disc } kind;
  struct Edge {
    float nx, ny, offset;  // outside: nx*x + ny*y > offset
  };
  std::vector<Edge> edges;
  Point centre{0, 0}, half{0, 0};
  float radius = 0;
  Rgb colour{0, 0, 0};

  float distance(Point p) const;  // negative inside
};

// In units of the object's length: its nose is at x = 0.5, its tail at -0.5. Later parts lie on earlier ones.
using Shape = std::vector<Part>;

enum class Thing { car, truck, ship, plane, tank };
Shape draw_thing(Thing thing, Random& random);

Part disc(Point centre, float radius, Rgb colour);
Part rounded_box(Point centre, Point half, float radius, Rgb colour);
Part polygon(const std::vector<Point>& points, Rgb colour);  // convex, in either order

struct Pose {
  float x, y, length, angle;  // centre and length in pixels, radians
};

// Paints a shape with smooth edges over its shadow, which falls `shadow` pixels aside. Returns the bounds of
// the pixels that are covered at least half, in whole pixels; empty if there are none.
Box paint(Image& image, const Shape& shape, const Pose& pose, Point shadow);

// The ground, and what may stand where.
struct Road {
  Point at;
  float angle, width;
};
struct Ground {
  Image image;
  std::vector<uint8_t> water;  // [height,width]: 1 where there is water
  std::vector<Road> roads;
  bool is_water(float x, float y) const;
};
Ground draw_ground(int width, int height, Random& random);

// Trees, rocks and painted marks at random places, away from `taken`.
void scatter_clutter(Ground& ground, const std::vector<Box>& taken, Point light, Random& random);

// The same of 4 to 9 pixels, many of them, all over the ground.
void scatter_tiny_clutter(Ground& ground, const std::vector<Box>& taken, Point light, Random& random);

// Camera: exposure, tint, softness, noise.
void photograph(Image& image, Random& random);

}  // namespace osprey
