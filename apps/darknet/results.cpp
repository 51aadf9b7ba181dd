#include "apps/darknet/results.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/cfg.h"
#include "core/file.h"

namespace osprey::darknet {
namespace {

namespace fs = std::filesystem;

// Error: one of several would be lost.
void check_differ(std::vector<std::string> files, const char* of) {
  std::sort(files.begin(), files.end());
  if (const auto twice = std::adjacent_find(files.begin(), files.end()); twice != files.end())
    fail("{}: two {} would share this file", *twice, of);
}

// The file's name up to the first dot.
std::string image_name(const Sample& sample) {
  const std::string file = fs::path(sample.image).filename().string();
  return file.substr(0, file.find('.'));
}

Box clipped(const Box& b, float least_x, float least_y, float width, float height) {
  return {std::max(b.x1, least_x), std::max(b.y1, least_y), std::min(b.x2, width), std::min(b.y2, height)};
}

// A file for each class: image, score, and corners that count pixels from 1.
class VocResults : public Results {
 public:
  VocResults(std::string folder, const std::string& prefix, const std::vector<std::string>& names)
      : folder_(std::move(folder)), text_(names.size()) {
    for (std::string name : names) {
      std::replace(name.begin(), name.end(), '/', '_');
      files_.push_back((prefix.empty() ? "comp4_det_test_" : prefix) + name + ".txt");
    }
    check_differ(files_, "classes");
  }

  void add(const Sample& sample, int width, int height, const std::vector<Detection>& found) override {
    for (const Detection& d : found) {
      const Box shifted{d.box.x1 + 1, d.box.y1 + 1, d.box.x2 + 1, d.box.y2 + 1};
      const Box b = clipped(shifted, 1, 1, float(width), float(height));
      text_[size_t(d.class_id)] +=
          fmt::format("{} {:f} {:f} {:f} {:f} {:f}\n", image_name(sample), d.score, b.x1, b.y1, b.x2, b.y2);
    }
  }

  std::vector<std::string> write() override {
    std::vector<std::string> paths;
    for (size_t i = 0; i < files_.size(); ++i) {
      paths.push_back((fs::path(folder_) / files_[i]).string());
      write_file(paths.back(), text_[i]);
    }
    return paths;
  }

 private:
  std::string folder_;
  std::vector<std::string> files_, text_;
};

// One file for all.
class OneFile : public Results {
 public:
  explicit OneFile(std::string path) : path_(std::move(path)) {}

  std::vector<std::string> write() override {
    write_file(path_, text());
    return {path_};
  }

 protected:
  virtual std::string text() const { return lines_; }

  std::string lines_;

 private:
  std::string path_;
};

// A JSON array with an entry a line.
class JsonFile : public OneFile {
 public:
  using OneFile::OneFile;

 protected:
  void entry(const std::string& json) { lines_ += (lines_.empty() ? "" : ",\n") + json; }
  std::string text() const override { return "[\n" + lines_ + "\n]\n"; }
};

class CocoResults : public JsonFile {
 public:
  CocoResults(std::string path, const Dataset& dataset)
      : JsonFile(std::move(path)), categories_(dataset.coco_categories) {
    for (int c = int(categories_.size()); c < int(dataset.names.size()); ++c)
      categories_.push_back(dataset.names.size() == 80 ? coco_category(c) : c + 1);
    own_ids_ = !dataset.coco_categories.empty();
    if (!own_ids_)  // an Error now, not after hours
      for (const Sample& sample : dataset.samples) coco_image_id(sample.image);
  }

  void add(const Sample& sample, int width, int height, const std::vector<Detection>& found) override {
    const int64_t image = own_ids_ ? sample.coco_id : coco_image_id(sample.image);
    for (const Detection& d : found) {
      const Box b = clipped(d.box, 0, 0, float(width), float(height));
      entry(
          fmt::format(R"({{"image_id":{}, "category_id":{}, "bbox":[{:f}, {:f}, {:f}, {:f}], "score":{:f}}})",
                      image, categories_[size_t(d.class_id)], b.x1, b.y1, b.width(), b.height(), d.score));
    }
  }

 private:
  std::vector<int64_t> categories_;  // of each class
  bool own_ids_;                     // the data set says the images' numbers
};

// The place of the image in the list and the class, both from 1, score and corners.
class ImagenetResults : public OneFile {
 public:
  using OneFile::OneFile;

  void add(const Sample&, int width, int height, const std::vector<Detection>& found) override {
    ++image_;
    for (const Detection& d : found) {
      const Box b = clipped(d.box, 0, 0, float(width), float(height));
      lines_ += fmt::format("{} {} {:f} {:f} {:f} {:f} {:f}\n", image_, d.class_id + 1, d.score, b.x1, b.y1,
                            b.x2, b.y2);
    }
  }

 private:
  int64_t image_ = 0;
};

// https://doc.bdd100k.com/format.html, as its detection benchmark first had it: corners in pixels.
class BddResults : public JsonFile {
 public:
  BddResults(std::string path, const std::vector<std::string>& names)
      : JsonFile(std::move(path)), names_(names) {}

  void add(const Sample& sample, int width, int height, const std::vector<Detection>& found) override {
    for (const Detection& d : found) {
      const Box b = clipped(d.box, 0, 0, float(width), float(height));
      const std::string name = nlohmann::json(names_[size_t(d.class_id)]).dump(),
                        file = nlohmann::json(fs::path(sample.image).filename().string()).dump();
      entry(fmt::format(R"({{"name":{}, "category":{}, "bbox":[{:f}, {:f}, {:f}, {:f}], "score":{:f}}})",
                        file, name, b.x1, b.y1, b.x2, b.y2, d.score));
    }
  }

 private:
  std::vector<std::string> names_;
};

// A file for each image, in the format of KITTI's object benchmark, in which what is not known has its value
// for that.
class KittiResults : public Results {
 public:
  KittiResults(std::string folder, const Dataset& dataset)
      : folder_(std::move(folder)), names_(dataset.names) {
    std::set<std::string> images;  // an image may be listed twice
    std::vector<std::string> files;
    for (const Sample& sample : dataset.samples)
      if (images.insert(sample.image).second) files.push_back(file_of(sample));
    check_differ(files, "images");
  }

  void add(const Sample& sample, int width, int height, const std::vector<Detection>& found) override {
    std::string text;
    for (const Detection& d : found) {
      const Box b = clipped(d.box, 0, 0, float(width), float(height));
      text += fmt::format("{} -1 -1 -10 {:f} {:f} {:f} {:f} -1 -1 -1 -1000 -1000 -1000 -10 {:f}\n",
                          names_[size_t(d.class_id)], b.x1, b.y1, b.x2, b.y2, d.score);
    }
    paths_.push_back(file_of(sample));
    write_file(paths_.back(), text);
  }

  std::vector<std::string> write() override { return paths_; }

 private:
  std::string file_of(const Sample& sample) const {
    return (fs::path(folder_) / (image_name(sample) + ".txt")).string();
  }

  std::string folder_;
  std::vector<std::string> names_, paths_;
};

}  // namespace

int coco_category(int class_id) {
  // Ten numbers of 1 to 90 were never used.
  int category = class_id + 1;
  for (const int unused : {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}) category += category >= unused;
  return category;
}

int64_t coco_image_id(const std::string& path) {
  const std::string stem = fs::path(path).stem().string();
  const size_t first = stem.find_last_not_of("0123456789") + 1;  // 0 where there is nothing else
  if (first == stem.size() || stem.size() - first > 18)
    fail("{}: eval=coco needs the number of the image at the end of its name", path);
  return std::stoll(stem.substr(first));
}

std::unique_ptr<Results> make_results(const DataFile& data, const Dataset& dataset,
                                      const std::string& prefix) {
  const auto only = [&](const std::string& name, const char* extension) {
    return (fs::path(data.results) / ((prefix.empty() ? name : prefix) + extension)).string();
  };
  if (data.eval.empty() || data.eval == "voc")
    return std::make_unique<VocResults>(data.results, prefix, dataset.names);
  if (data.eval == "coco") return std::make_unique<CocoResults>(only("coco_results", ".json"), dataset);
  if (data.eval == "imagenet") return std::make_unique<ImagenetResults>(only("imagenet-detection", ".txt"));
  if (data.eval == "bdd") return std::make_unique<BddResults>(only("bdd_results", ".json"), dataset.names);
  if (data.eval == "kitti") return std::make_unique<KittiResults>(data.results, dataset);
  fail("{}: eval = {} does not exist{}", data.path, data.eval,
       did_you_mean(data.eval, {"voc", "coco", "imagenet", "bdd", "kitti"}));
}

}  // namespace osprey::darknet
