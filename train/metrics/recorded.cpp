#include "train/metrics/recorded.h"

#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

namespace osprey {

namespace {

using nlohmann::json;
using Places = std::map<int64_t, int>;  // an id's place among all ids, sorted

json parsed(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: cannot open this file", path);
  try {
    return json::parse(file);
  } catch (const json::out_of_range&) {
    fail("{}: not JSON: a number in it is too large", path);
  } catch (const json::parse_error& e) {
    // The library's text, "[json.exception.parse_error.101] parse error at line 1, column 2: ...", less its
    // tag.
    const std::string text = e.what();
    fail("{}: not JSON: {}", path, text.substr(text.find(']') + 2));
  }
}

// One entry of a list, which can say where it is: "gt.json: annotations[3]".
class Entry {
 public:
  Entry(const std::string& list, size_t index, const json& value)
      : where_(fmt::format("{}[{}]", list, index)), value_(value) {
    if (!value.is_object()) fail("{}: expected an object", where_);
  }

  const std::string& where() const { return where_; }
  bool has(const char* key) const { return value_.contains(key); }
  const json& at(const char* key) const {
    if (!has(key)) fail("{}: no \"{}\"", where_, key);
    return value_[key];
  }
  int64_t id(const char* key) const {
    const json& value = at(key);
    if (!value.is_number_integer())
      fail("{}: \"{}\" is {}, expected an integer", where_, key, shortened(value));
    return value.get<int64_t>();
  }
  double number(const char* key) const { return number(key, at(key)); }
  bool flag(const char* key) const {  // as 0 or 1, or as false or true; false without the key
    if (!has(key)) return false;
    const json& value = at(key);
    return value.is_boolean() ? value.get<bool>() : number(key, value) != 0;
  }
  Rectangle box() const {
    const json& value = at("bbox");
    if (!value.is_array() || value.size() != 4) {
      fail("{}: \"bbox\" is {}, expected [x, y, width, height]", where_, shortened(value));
    }
    const Rectangle box{number("bbox", value[0]), number("bbox", value[1]), number("bbox", value[2]),
                        number("bbox", value[3])};
    if (box.width < 0 || box.height < 0) {
      fail("{}: \"bbox\" is {}, expected [x, y, width, height] with sizes of 0 and more", where_,
           shortened(value));
    }
    return box;
  }
  int place(const char* key, const Places& places, const char* what) const {
    const auto found = places.find(id(key));
    if (found == places.end()) fail("{}: {} {} is none of the ground truth's", where_, what, id(key));
    return found->second;
  }

 private:
  static std::string shortened(const json& value) {
    const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
    return text.size() <= 60 ? text : text.substr(0, 57) + "...";
  }
  double number(const char* key, const json& value) const {
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      fail("{}: \"{}\" holds {}, expected a number", where_, key, shortened(value));
    }
    return value.get<double>();
  }

  std::string where_;
  const json& value_;
};

// Calls each(Entry) for every entry of a list.
template <class Each>
void for_each(const std::string& name, const json& list, Each&& each) {
  if (!list.is_array()) fail("{}: expected a list", name);
  for (size_t i = 0; i < list.size(); ++i) each(Entry(name, i, list[i]));
}

Places places_of(const std::string& name, const json& list) {
  Places places;
  for_each(name, list, [&](const Entry& entry) {
    if (!places.emplace(entry.id("id"), 0).second)
      fail("{}: id {} is there twice", entry.where(), entry.id("id"));
  });
  int next = 0;
  for (auto& [id, place] : places) place = next++;
  return places;
}

}  // namespace

Recorded read_recorded(const std::string& truth_path, const std::string& detections_path) {
  const json truth = parsed(truth_path);
  for (const char* key : {"images", "annotations", "categories"}) {
    if (!truth.is_object() || !truth.contains(key)) {
      fail("{}: no \"{}\", expected COCO's ground truth with images, annotations and categories", truth_path,
           key);
    }
  }
  Recorded recorded;
  const Places images = places_of(truth_path + ": images", truth["images"]);
  const Places classes = places_of(truth_path + ": categories", truth["categories"]);
  recorded.images = int(images.size());
  recorded.class_names.resize(classes.size());
  for_each(truth_path + ": categories", truth["categories"], [&](const Entry& entry) {
    if (!entry.at("name").is_string()) fail("{}: \"name\" is no text", entry.where());
    recorded.class_names[classes.at(entry.id("id"))] = entry.at("name").get<std::string>();
  });

  for_each(truth_path + ": annotations", truth["annotations"], [&](const Entry& entry) {
    TruthBox box;
    box.image = entry.place("image_id", images, "image");
    box.class_id = entry.place("category_id", classes, "category");
    box.box = entry.box();
    box.object_area = entry.has("area") ? entry.number("area") : area(box.box);
    box.crowd = entry.flag("iscrowd");
    box.difficult = entry.flag("difficult") || entry.flag("ignore");
    recorded.truths.push_back(box);
  });
  for_each(detections_path, parsed(detections_path), [&](const Entry& entry) {
    recorded.detections.push_back({entry.place("image_id", images, "image"),
                                   entry.place("category_id", classes, "category"), entry.number("score"),
                                   entry.box()});
  });
  return recorded;
}

}  // namespace osprey
