#include "data/draw.h"

#include <algorithm>
#include <cmath>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_easy_font.h>
#pragma GCC diagnostic pop

namespace osprey {
namespace {

float luminance(Rgb c) { return .299f * c.r + .587f * c.g + .114f * c.b; }

// Pixels x1..x2-1, y1..y2-1, as far as they exist.
void fill(Image& image, int64_t x1, int64_t y1, int64_t x2, int64_t y2, Rgb colour) {
  const float grey = luminance(colour);
  for (int y = int(std::max<int64_t>(y1, 0)); y < std::min<int64_t>(y2, image.height); ++y)
    for (int x = int(std::max<int64_t>(x1, 0)); x < std::min<int64_t>(x2, image.width); ++x) {
      float* pixel = &image.at(y, x, 0);
      if (image.channels < 3) {
        pixel[0] = grey;
      } else {
        pixel[0] = colour.r;
        pixel[1] = colour.g;
        pixel[2] = colour.b;
      }
    }
}

struct Vertex {
  float x, y, z;
  unsigned char colour[4];
};

// The letters as rectangles, `scale` pixels to a unit of the font.
void draw_text(Image& image, int left, int top, int scale, std::string& text, Rgb colour) {
  std::vector<Vertex> vertices(text.size() * 70);  // the font needs about 270 bytes a letter
  const int quads =
      stb_easy_font_print(0, 0, text.data(), nullptr, vertices.data(), int(vertices.size() * sizeof(Vertex)));
  for (int q = 0; q < quads; ++q) {
    const Vertex &a = vertices[size_t(q) * 4], &b = vertices[size_t(q) * 4 + 2];
    fill(image, left + int(a.x) * scale, top + int(a.y) * scale, left + int(b.x) * scale,
         top + int(b.y) * scale, colour);
  }
}

int whole(float v) { return int(std::lround(std::clamp(v, -1e6f, 1e6f))); }

}  // namespace

Rgb class_colour(int class_id) {
  // Steps of the golden ratio spread the hues of any number of classes.
  const double turn = double(class_id) * .6180339887 + .58;
  return hsv_to_rgb({float(turn - std::floor(turn)), class_id % 2 ? .65f : .85f, class_id % 3 ? 1.f : .9f});
}

void draw_box(Image& image, const Box& box, Rgb colour, const std::string& text) {
  if (!(std::isfinite(box.x1) && std::isfinite(box.y1) && std::isfinite(box.x2) && std::isfinite(box.y2)))
    return;
  const int thick = std::max(1, int(std::lround(float(image.height) * .003f)));
  const int x1 = whole(box.x1), y1 = whole(box.y1);
  const int x2 = std::max(whole(box.x2), x1 + 1), y2 = std::max(whole(box.y2), y1 + 1);
  fill(image, x1, y1, x2, y1 + thick, colour);
  fill(image, x1, y2 - thick, x2, y2, colour);
  fill(image, x1, y1, x1 + thick, y2, colour);
  fill(image, x2 - thick, y1, x2, y2, colour);
  if (text.empty()) return;

  std::string letters = text.substr(0, 200);
  for (char& c : letters)
    if (c < 32 || c > 126) c = '?';
  const int scale = std::max(1, image.height / 480);
  const int width = (stb_easy_font_width(letters.data()) + 3) * scale, height = 11 * scale;
  const int left = std::clamp(x1, 0, std::max(0, image.width - width));
  const int top = y1 >= height ? y1 - height : std::max(y1, 0);  // inside where there is no room above
  fill(image, left, top, left + width, top + height, colour);
  draw_text(image, left + 2 * scale, top + 2 * scale, scale, letters,
            luminance(colour) > .5f ? Rgb{0, 0, 0} : Rgb{1, 1, 1});
}

}  // namespace osprey
