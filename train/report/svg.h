// Drawings as SVG text: the few shapes that curves and diagrams are made of.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace osprey {

std::string escaped(const std::string& text);  // &, <, > and " as HTML and XML want them

// A colour for each of a few series, far apart for neighbours; they repeat after ten.
const char* series_colour(int series);

// Coordinates are in units of the drawing, from its top left corner.
class Svg {
 public:
  Svg(double width, double height);

  void line(double x1, double y1, double x2, double y2, const char* colour);
  // anchor: "start", "middle" or "end" of the words is at x.
  void text(double x, double y, const char* anchor, const char* colour, const std::string& words,
            int size = 12);
  void polyline(const std::vector<std::pair<double, double>>& points, const char* colour);
  // `title` is shown where the mouse rests; none if empty.
  void circle(double x, double y, double radius, const char* colour, const std::string& title = {});
  // `style`: "fill" of a colour, or only its "stroke", solid or dashed.
  enum class Style { fill, stroke, dashed };
  void rectangle(double x, double y, double width, double height, const char* colour, Style style,
                 const std::string& title = {});
  // A picture that lies under what follows, over the whole drawing; `source` is its address.
  void image(const std::string& source);

  std::string finish() const { return out_ + "</svg>\n"; }

 private:
  void titled(const std::string& shape, const std::string& tag, const std::string& title);

  double width_, height_;
  std::string out_;
};

}  // namespace osprey
