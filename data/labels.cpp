// Darknet's label files, and where they are.
#include "data/labels.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "data/text_file.h"

namespace osprey {
namespace {

// Sizes above 1 are cut.
std::optional<Complaint> parse_line(std::string_view line, int classes, Label& label) {
  const auto fields = words(line);
  if (fields.size() != 5)
    return Complaint{fmt::format("expected `class x y w h`, found {} field{}", fields.size(),
                                 fields.size() == 1 ? "" : "s")};
  if (!parse_number(fields[0], label.class_id))
    return Complaint{fmt::format("`{}` is not a class number", fields[0])};
  if (label.class_id < 0 || label.class_id >= classes)
    return Complaint{fmt::format("class {} is not in 0..{}", label.class_id, classes - 1),
                     Fault::unknown_class};
  float* const values[] = {&label.box.x, &label.box.y, &label.box.w, &label.box.h};
  for (size_t i = 0; i < 4; ++i)
    if (!parse_number(fields[i + 1], *values[i]))
      return Complaint{fmt::format("`{}` is not a number", fields[i + 1])};
  CentreBox& b = label.box;
  if (b.w <= 0 || b.h <= 0) return Complaint{fmt::format("a box of size {} x {}", b.w, b.h), Fault::no_area};
  if (b.x <= 0 || b.x > 1 || b.y <= 0 || b.y > 1)
    return Complaint{fmt::format("centre {}, {} is outside the image (expected 0..1)", b.x, b.y),
                     Fault::outside};
  b.w = std::min(b.w, 1.f);
  b.h = std::min(b.h, 1.f);
  return std::nullopt;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  if (const size_t at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

std::string with_extension(const std::string& path, const char* extension) {
  const size_t slash = path.find_last_of("/\\"), dot = path.rfind('.');
  const bool has_one = dot != std::string::npos && (slash == std::string::npos || dot > slash);
  return (has_one ? path.substr(0, dot) : path) + extension;
}

std::string alexeyab_rule(const std::string& image) {
  std::string path = image;
  for (const char* folder : {"train2017", "val2017", "train2014", "val2014"})
    path = replaced(path, fmt::format("/images/{}/", folder), fmt::format("/labels/{}/", folder));
  return with_extension(replaced(path, "/JPEGImages/", "/labels/"), ".txt");
}

std::string pjreddie_rule(const std::string& image) {
  return with_extension(
      replaced(replaced(replaced(image, "images", "labels"), "JPEGImages", "labels"), "raw", "labels"),
      ".txt");
}

std::string last_folder_rule(const std::string& image) {
  constexpr std::string_view kFolder = "/images/";
  std::string path = image;
  if (const size_t at = path.rfind(kFolder); at != std::string::npos)
    path.replace(at, kFolder.size(), "/labels/");
  return with_extension(path, ".txt");
}

}  // namespace

std::string Problem::text() const {
  return line > 0 ? fmt::format("{}:{}: {}", file, line, what) : fmt::format("{}: {}", file, what);
}

LabelFile read_darknet_labels(const std::string& path, int classes) {
  LabelFile result;
  int number = 0;
  for (const std::string& line : read_lines(path, "the labels")) {
    ++number;
    if (trimmed(line).empty()) continue;
    Label label;
    if (const auto complaint = parse_line(line, classes, label))
      result.problems.push_back({path, number, complaint->what, complaint->fault});
    else
      result.labels.push_back(label);
  }
  return result;
}

void write_darknet_labels(const std::string& path, const std::vector<Label>& labels) {
  std::string text;
  for (const Label& l : labels)
    text += fmt::format("{} {} {} {} {}\n", l.class_id, l.box.x, l.box.y, l.box.w, l.box.h);
  write_file(path, text);
}

std::vector<std::string> label_paths(const std::string& image_path) {
  std::vector<std::string> paths;
  for (const std::string& path :
       {alexeyab_rule(image_path), pjreddie_rule(image_path), last_folder_rule(image_path)})
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
  return paths;
}

}  // namespace osprey
