// Pascal VOC annotations: one XML file per image.
#include <algorithm>
#include <cmath>
#include <optional>
#include <pugixml.hpp>
#include <sstream>

#include "core/cfg.h"
#include "core/error.h"
#include "core/file.h"
#include "data/labels.h"
#include "data/text_file.h"

namespace osprey {
namespace {

int line_of(const std::string& text, ptrdiff_t offset) {
  const auto end = text.begin() + std::clamp<ptrdiff_t>(offset, 0, ptrdiff_t(text.size()));
  return 1 + int(std::count(text.begin(), end, '\n'));
}

bool number(const pugi::xml_node& parent, const char* name, float& value) {
  return parse_number(trimmed(parent.child_value(name)), value);
}

// The box is in units of the image.
std::optional<Complaint> parse_object(const pugi::xml_node& object, const std::vector<std::string>& names,
                                      int width, int height, Label& label) {
  const std::string name(trimmed(object.child_value("name")));
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    return Complaint{fmt::format("`{}` is not in the names{}", name, did_you_mean(name, names)),
                     Fault::unknown_class};
  label.class_id = int(found - names.begin());
  label.difficult = trimmed(object.child_value("difficult")) == "1";
  const pugi::xml_node bounds = object.child("bndbox");
  if (!bounds) return Complaint{fmt::format("an object `{}` without <bndbox>", name)};
  float xmin, ymin, xmax, ymax;
  if (!number(bounds, "xmin", xmin) || !number(bounds, "ymin", ymin) || !number(bounds, "xmax", xmax) ||
      !number(bounds, "ymax", ymax))
    return Complaint{fmt::format("the box of `{}` needs numbers in <xmin>, <ymin>, <xmax> and <ymax>", name)};
  if (xmax <= xmin || ymax <= ymin)
    return Complaint{fmt::format("an empty box of `{}`: {}, {}, {}, {}", name, xmin, ymin, xmax, ymax),
                     Fault::no_area};
  const float w = float(width), h = float(height);
  const Box box = {std::clamp(xmin - 1, 0.f, w), std::clamp(ymin - 1, 0.f, h), std::clamp(xmax, 0.f, w),
                   std::clamp(ymax, 0.f, h)};
  if (area(box) <= 0)
    return Complaint{fmt::format("the box of `{}` is outside the image of {}x{}: {}, {}, {}, {}", name, width,
                                 height, xmin, ymin, xmax, ymax),
                     Fault::outside};
  label.box = centre(scaled(box, 1 / w, 1 / h));
  return std::nullopt;
}

}  // namespace

LabelFile read_voc_labels(const std::string& path, const std::vector<std::string>& names, int width,
                          int height) {
  const std::string text = read_file(path, "the annotations");
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(text.data(), text.size());
  if (!parsed) fail("{}:{}: not valid XML: {}", path, line_of(text, parsed.offset), parsed.description());
  const pugi::xml_node root = document.child("annotation");
  if (!root) fail("{}: no <annotation> in it, so not a Pascal VOC file", path);
  LabelFile result;
  const pugi::xml_node size = root.child("size");
  float w = 0, h = 0;
  const bool told =
      number(size, "width", w) && number(size, "height", h) && w >= 1 && h >= 1 && w < 1e6f && h < 1e6f;
  result.width = told ? int(w) : width;
  result.height = told ? int(h) : height;
  if (result.width < 1 || result.height < 1)
    fail("{}: <size> does not tell the image's width and height", path);
  for (const pugi::xml_node& object : root.children("object")) {
    Label label;
    if (const auto complaint = parse_object(object, names, result.width, result.height, label))
      result.problems.push_back(
          {path, line_of(text, object.offset_debug()), complaint->what, complaint->fault});
    else
      result.labels.push_back(label);
  }
  return result;
}

void write_voc_labels(const std::string& path, const std::string& image_name, int width, int height,
                      const std::vector<Label>& labels, const std::vector<std::string>& names) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("annotation");
  const auto put = [](pugi::xml_node parent, const char* name, const auto& value) {
    parent.append_child(name).text().set(value);
  };
  put(root, "filename", image_name.c_str());
  pugi::xml_node size = root.append_child("size");
  put(size, "width", width);
  put(size, "height", height);
  put(size, "depth", 3);
  for (const Label& label : labels) {
    pugi::xml_node object = root.append_child("object");
    put(object, "name", names.at(size_t(label.class_id)).c_str());
    put(object, "difficult", int(label.difficult));
    pugi::xml_node bounds = object.append_child("bndbox");
    const Box box = scaled(corners(label.box), float(width), float(height));
    put(bounds, "xmin", int(std::lround(box.x1)) + 1);
    put(bounds, "ymin", int(std::lround(box.y1)) + 1);
    put(bounds, "xmax", int(std::lround(box.x2)));
    put(bounds, "ymax", int(std::lround(box.y2)));
  }
  std::ostringstream text;
  document.save(text, "  ", pugi::format_default | pugi::format_no_declaration);
  write_file(path, text.str());
}

}  // namespace osprey
