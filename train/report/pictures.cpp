// The images with the most mistakes, with what is there and what was said drawn over them.
#include <fmt/format.h>

#include <algorithm>

#include "core/log.h"
#include "train/report/sections.h"
#include "train/report/svg.h"

namespace osprey {
namespace {

constexpr int kPictures = 12, kLongestSide = 480;

// RFC 4648.
std::string base64(const std::string& bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += i + k <= bytes.size() ? digits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

const char* colour_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::right:
      return "#2e933c";
    case Verdict::confused:
      return "#7b4ea3";
    case Verdict::missed:
      return "#1f6fb4";
    case Verdict::doubled:
      return "#edae49";
    case Verdict::invented:
      break;
  }
  return "#d1495b";
}

class Picture {
 public:
  Picture(const MeasuredSet& measured, const JudgedImage& judged) : measured_(measured), judged_(judged) {}

  std::string html() const {
    const Sample& sample = measured_.valid.samples[size_t(judged_.image)];
    Image image = visible(load_image(sample.image, 0));
    const double scale = std::min(1.0, double(kLongestSide) / std::max(image.width, image.height));
    if (scale < 1)
      image = resize(image, std::max(1, int(image.width * scale)), std::max(1, int(image.height * scale)));
    Svg svg(image.width, image.height);
    svg.image("data:image/jpeg;base64," + base64(encode_jpeg(image, 80)));
    for (const JudgedBox& b : judged_.boxes) draw(svg, b, scale);
    return "<figure>\n" + svg.finish() + "<figcaption>" + escaped(sample.image) + ": " + escaped(counts()) +
           "</figcaption>\n</figure>\n";
  }

 private:
  void draw(Svg& svg, const JudgedBox& b, double scale) const {
    const bool said = b.detection >= 0;
    const Rectangle& box =
        said ? measured_.found.detections[b.detection].box : measured_.found.truths[b.truth].box;
    svg.rectangle(box.x * scale, box.y * scale, box.width * scale, box.height * scale, colour_of(b.verdict),
                  said ? Svg::Style::stroke : Svg::Style::dashed, words(b));
  }
  std::string words(const JudgedBox& b) const {
    const std::vector<std::string>& names = measured_.valid.names;
    std::string text;
    if (b.detection >= 0) {
      const DetectedBox& d = measured_.found.detections[b.detection];
      text = fmt::format("{} {:.0f}%", names[size_t(d.class_id)], 100 * d.score);
    }
    switch (b.verdict) {
      case Verdict::right:
        return text;
      case Verdict::confused:
        return text + ", is " + names[size_t(measured_.found.truths[b.truth].class_id)];
      case Verdict::doubled:
        return text + ", found twice";
      case Verdict::invented:
        return text + ", nothing is there";
      case Verdict::missed:
        break;
    }
    return names[size_t(measured_.found.truths[b.truth].class_id)] + ", missed";
  }
  std::string counts() const {
    static const std::pair<Verdict, const char*> kinds[] = {{Verdict::right, "right"},
                                                            {Verdict::missed, "missed"},
                                                            {Verdict::invented, "invented"},
                                                            {Verdict::confused, "confused"},
                                                            {Verdict::doubled, "found twice"}};
    std::string text;
    for (const auto& [verdict, name] : kinds) {
      const auto is_one = [v = verdict](const JudgedBox& b) { return b.verdict == v; };
      if (const auto n = std::count_if(judged_.boxes.begin(), judged_.boxes.end(), is_one))
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", n, name);
    }
    return text;
  }

  const MeasuredSet& measured_;
  const JudgedImage& judged_;
};

}  // namespace

std::string pictures_section(const MeasuredSet& m) {
  std::string pictures;
  int shown = 0;
  for (const JudgedImage& image : m.judgement.images) {
    if (shown == kPictures || image.mistakes == 0) break;
    try {
      pictures += Picture(m, image).html();
      ++shown;
    } catch (const Error& e) {
      warn("{}", e.what());
    }
  }
  if (pictures.empty()) return "";
  return section_of(
      "The images with the most mistakes",
      "Green: found. Red: nothing is there. Blue, dashed: missed. Violet: another class. Yellow: "
      "found twice. The mouse on a frame shows its class and score.",
      "<div class=\"pictures\">\n" + pictures + "</div>\n");
}

}  // namespace osprey
