#include "train/report/svg.h"

#include <fmt/format.h>

#include <iterator>

namespace osprey {

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  return out;
}

const char* series_colour(int series) {
  static const char* const colours[] = {"#1f6fb4", "#d1495b", "#2e933c", "#edae49", "#7b4ea3",
                                        "#00798c", "#8d5524", "#e377c2", "#6b7280", "#9acd32"};
  return colours[size_t(series) % std::size(colours)];
}

Svg::Svg(double width, double height) : width_(width), height_(height) {
  out_ = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      width, height);
}

void Svg::line(double x1, double y1, double x2, double y2, const char* colour) {
  out_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1,
                      y1, x2, y2, colour);
}

void Svg::text(double x, double y, const char* anchor, const char* colour, const std::string& words,
               int size) {
  out_ += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\" font-size=\"{}\">{}</text>\n", x, y,
      anchor, colour, size, escaped(words));
}

void Svg::polyline(const std::vector<std::pair<double, double>>& points, const char* colour) {
  out_ += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"", colour);
  for (const auto& [x, y] : points) out_ += fmt::format("{:.1f},{:.1f} ", x, y);
  out_ += "\"/>\n";
}

void Svg::titled(const std::string& shape, const std::string& tag, const std::string& title) {
  out_ +=
      title.empty() ? shape + "/>\n" : fmt::format("{}><title>{}</title></{}>\n", shape, escaped(title), tag);
}

void Svg::circle(double x, double y, double radius, const char* colour, const std::string& title) {
  titled(fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"", x, y, radius, colour),
         "circle", title);
}

void Svg::rectangle(double x, double y, double width, double height, const char* colour, Style style,
                    const std::string& title) {
  const std::string paint = style == Style::fill
                                ? fmt::format("fill=\"{}\"", colour)
                                : fmt::format("fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{}", colour,
                                              style == Style::dashed ? " stroke-dasharray=\"5 3\"" : "");
  titled(fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" {}", x, y, width,
                     height, paint),
         "rect", title);
}

void Svg::image(const std::string& source) {
  out_ += fmt::format("<image width=\"{}\" height=\"{}\" href=\"{}\"/>\n", width_, height_, source);
}

}  // namespace osprey
