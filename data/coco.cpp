// COCO instances: one JSON file for a whole set.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "core/cfg.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json_text.h"
#include "core/log.h"
#include "data/labels.h"
#include "data/text_file.h"

namespace osprey {
namespace {

using json = nlohmann::json;

// Masks make up most of a COCO file and are of no use here, so they are dropped while parsing.
json parse(const std::string& path) {
  const std::string text = read_file(path, "the annotations");
  const auto keep = [](int, json::parse_event_t event, json& value) {
    return event != json::parse_event_t::key || value != "segmentation";
  };
  try {
    json document = json::parse(text, keep);
    for (const char* part : {"images", "annotations", "categories"})
      if (!document.is_object() || !document.contains(part) || !document[part].is_array())
        fail("{}: no list `{}` in it, so not a COCO instances file", path, part);
    return document;
  } catch (const json::out_of_range&) {
    fail("{}: not valid JSON: a number in it is too large", path);
  } catch (const json::parse_error& e) {
    const size_t end = std::min(e.byte, text.size());
    fail("{}:{}: not valid JSON", path, 1 + std::count(text.begin(), text.begin() + ptrdiff_t(end), '\n'));
  }
}

// A record's number, or false. Some tools write identifiers as text, which is refused: they would not match.
template <class Number>
bool number(const json& record, const char* key, Number& value) {
  if (!record.is_object()) return false;
  const auto found = record.find(key);
  if (found == record.end() || !found->is_number()) return false;
  if (std::abs(found->get<double>()) > double(std::numeric_limits<Number>::max()) / 2) return false;
  value = found->get<Number>();
  return true;
}

std::string word(const json& record, const char* key) {
  if (!record.is_object()) return {};
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
}

using Categories = std::map<int64_t, std::string>;

Categories read_categories(const json& document, const std::string& path) {
  Categories categories;
  for (const json& record : document["categories"]) {
    int64_t id;
    const std::string name = word(record, "name");
    if (!number(record, "id", id) || name.empty()) fail("{}: a category without `id` or `name`", path);
    if (!categories.emplace(id, name).second) fail("{}: two categories have the id {}", path, id);
  }
  if (categories.empty()) fail("{}: `categories` is empty", path);
  return categories;
}

// The class of each category id.
std::map<int64_t, int> assign_classes(const Categories& categories, const std::string& path, CocoSet& set) {
  if (set.names.empty())
    for (const auto& [id, name] : categories) set.names.push_back(name);
  std::vector<std::string> known;
  for (const auto& [id, name] : categories) known.push_back(name);
  std::map<int64_t, int> classes;
  for (const std::string& name : set.names) {
    const auto found = std::find_if(categories.begin(), categories.end(), [&](const auto& category) {
      return category.second == name && !classes.contains(category.first);
    });
    if (found == categories.end())
      fail("{}: no category is called `{}`{} (they are: {})", path, name, did_you_mean(name, known),
           fmt::join(known, ", "));
    classes.emplace(found->first, int(set.category_ids.size()));
    set.category_ids.push_back(found->first);
  }
  return classes;
}

std::optional<Complaint> parse_annotation(const json& record, const CocoImage& image, Label& label) {
  const auto found = record.find("bbox");
  if (found == record.end() || !found->is_array() || found->size() != 4 ||
      !std::all_of(found->begin(), found->end(), [](const json& value) { return value.is_number(); }))
    return Complaint{"`bbox` is not four numbers"};
  const float x = (*found)[0].get<float>(), y = (*found)[1].get<float>();
  const float w = (*found)[2].get<float>(), h = (*found)[3].get<float>();
  if (!(w > 0 && h > 0))
    return Complaint{fmt::format("an empty box: {}, {}, {}, {}", x, y, w, h), Fault::no_area};
  const float width = float(image.width), height = float(image.height);
  const Box box = {std::clamp(x, 0.f, width), std::clamp(y, 0.f, height), std::clamp(x + w, 0.f, width),
                   std::clamp(y + h, 0.f, height)};
  if (!(osprey::area(box) > 0))
    return Complaint{fmt::format("the box {}, {}, {}, {} is outside the image of {}x{}", x, y, w, h,
                                 image.width, image.height),
                     Fault::outside};
  label.box = centre(scaled(box, 1 / width, 1 / height));
  number(record, "area", label.area);
  if (const auto crowd = record.find("iscrowd"); crowd != record.end())
    label.crowd = *crowd == true || (crowd->is_number() && *crowd != 0);
  return std::nullopt;
}

void read_images(const json& document, const std::string& path, CocoSet& set) {
  for (const json& record : document["images"]) {
    CocoImage image;
    image.file_name = word(record, "file_name");
    if (!number(record, "id", image.id) || image.file_name.empty())
      fail("{}: an image without `id` or `file_name`", path);
    if (!number(record, "width", image.width) || !number(record, "height", image.height) || image.width < 1 ||
        image.height < 1)
      fail("{}: image {} needs `width` and `height`, as boxes are in pixels", path, image.id);
    set.images.push_back(std::move(image));
  }
}

}  // namespace

CocoSet read_coco(const std::string& path, const std::vector<std::string>& names) {
  const json document = parse(path);
  CocoSet set;
  set.names = names;
  const Categories categories = read_categories(document, path);
  const std::map<int64_t, int> classes = assign_classes(categories, path, set);
  read_images(document, path, set);
  std::unordered_map<int64_t, size_t> index;
  for (size_t i = 0; i < set.images.size(); ++i)
    if (!index.emplace(set.images[i].id, i).second)
      fail("{}: two images have the id {}", path, set.images[i].id);

  std::map<int64_t, int> left_out;
  int order = -1;
  for (const json& record : document["annotations"]) {
    ++order;
    int64_t image_id = 0, category = 0, id = order;
    number(record, "id", id);
    const auto complain = [&](const Complaint& complaint) {
      set.problems.push_back(
          {path, 0, fmt::format("annotation {}: {}", id, complaint.what), complaint.fault});
    };
    if (!number(record, "image_id", image_id) || !number(record, "category_id", category)) {
      complain({"needs `image_id` and `category_id`"});
    } else if (const auto image = index.find(image_id); image == index.end()) {
      complain({fmt::format("there is no image {}", image_id)});
    } else if (!categories.contains(category)) {
      complain({fmt::format("there is no category {}", category), Fault::unknown_class});
    } else if (const auto known = classes.find(category); known == classes.end()) {
      ++left_out[category];
    } else {
      Label label;
      label.class_id = known->second;
      if (const auto complaint = parse_annotation(record, set.images[image->second], label))
        complain(*complaint);
      else
        set.images[image->second].labels.push_back(label);
    }
  }
  for (const auto& [category, count] : left_out)
    warn("{}: left out {} boxes of `{}`, which is not in the names", path, count, categories.at(category));
  return set;
}

void write_coco(const std::string& path, const CocoSet& set) {
  json document = {{"images", json::array()}, {"annotations", json::array()}, {"categories", json::array()}};
  for (size_t i = 0; i < set.names.size(); ++i)
    document["categories"].push_back({{"id", set.category_ids.at(i)}, {"name", set.names[i]}});
  int64_t id = 0;
  for (const CocoImage& image : set.images) {
    document["images"].push_back(
        {{"id", image.id}, {"file_name", image.file_name}, {"width", image.width}, {"height", image.height}});
    for (const Label& label : image.labels) {
      const Box box = scaled(corners(label.box), float(image.width), float(image.height));
      document["annotations"].push_back({{"id", ++id},
                                         {"image_id", image.id},
                                         {"category_id", set.category_ids.at(size_t(label.class_id))},
                                         {"bbox", {box.x1, box.y1, box.width(), box.height()}},
                                         {"area", label.area > 0 ? label.area : area(box)},
                                         {"iscrowd", int(label.crowd)}});
    }
  }
  write_file(path, json_text(document, 1));
}

}  // namespace osprey
