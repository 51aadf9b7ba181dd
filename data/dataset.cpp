#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <unordered_map>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/image.h"
#include "data/image_list.h"
#include "data/text_file.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

// Collects samples and what is wrong with them. The first of each kind of fault is told; all are counted.
class Collector {
 public:
  Collector(const DataFile& data, Split split, bool strict)
      : data_(data), split_(split), strict_(strict), list_(data, split) {}

  Dataset load() {
    result_.names = names();
    result_.report.boxes_per_class.resize(result_.names.size());
    switch (data_.format) {
      case Format::darknet:
        load_darknet();
        break;
      case Format::voc:
        load_voc();
        break;
      case Format::coco:
        load_coco();
        break;
    }
    if (result_.samples.empty())
      fail("{}: no image of the {} set was found; the first one missing: {}", data_.path, name_of(split_),
           first_missing_);
    tell();
    return std::move(result_);
  }

 private:
  // Darknet's own label files need no names, and neither does training in Darknet.
  std::vector<std::string> names() const {
    const bool named = !data_.names.empty() || !data_.class_names.empty() || data_.format != Format::darknet;
    if (named || data_.classes == 0) return read_names(data_);
    warn("{}: no `names`: the classes are told by their numbers", data_.path);
    std::vector<std::string> numbers;
    for (int c = 0; c < data_.classes; ++c) numbers.push_back(std::to_string(c));
    return numbers;
  }

  void load_darknet() {
    for (const std::string& entry : list_.read()) {
      Sample sample;
      sample.image = list_.find(entry);
      if (sample.image.empty()) {
        missing_image(entry);
        continue;
      }
      const std::vector<std::string> paths = label_paths(sample.image);
      const auto found =
          std::find_if(paths.begin(), paths.end(), [](const auto& path) { return file_exists(path); });
      sample.labelled = found != paths.end();
      if (sample.labelled)
        take(read(sample, [&] { return read_darknet_labels(*found, int(result_.names.size())); }), sample);
      else
        missing_labels(sample, paths);
      add(std::move(sample));
    }
  }

  void load_voc() {
    for (const std::string& line : list_.read()) {
      std::string entry = line;
      // Lists of one class say "name 1", "name 0" or "name -1".
      if (const auto parts = words(entry);
          parts.size() == 2 && (parts[1] == "1" || parts[1] == "0" || parts[1] == "-1"))
        entry = std::string(parts[0]);
      Sample sample;
      sample.image = voc_image(entry);
      if (sample.image.empty()) {
        missing_image(entry);
        continue;
      }
      const std::string annotations = voc_annotations(sample.image);
      sample.labelled = file_exists(annotations);
      if (sample.labelled)
        take(read(sample, [&] { return read_voc_labels(annotations, result_.names); }), sample);
      else
        missing_labels(sample, {annotations});
      add(std::move(sample));
    }
  }

  // An entry of a VOC list is the path of an image, or (ImageSets) a name without folder and ending.
  std::string voc_image(const std::string& entry) {
    if (is_image_name(entry)) return list_.find(entry);
    if (data_.images.empty())
      fail("{}: `{}` is no image file; give the folder of the images as `images = FOLDER`", list_.path(),
           entry);
    if (images_folder_.empty()) images_folder_ = data_.resolve(data_.images, "images");
    for (const char* end : {".jpg", ".png", ".jpeg", ".JPG", ".JPEG", ".PNG", ".bmp"})
      if (const fs::path path = fs::path(images_folder_) / (entry + end); file_exists(path))
        return path.string();
    return {};
  }

  std::string voc_annotations(const std::string& image) {
    const fs::path path = image;
    if (!data_.annotations.empty()) {
      if (annotations_folder_.empty()) annotations_folder_ = data_.resolve(data_.annotations, "annotations");
      return (fs::path(annotations_folder_) / path.stem()).string() + ".xml";
    }
    fs::path folder = path.parent_path();
    if (folder.filename() == "JPEGImages") folder = folder.parent_path() / "Annotations";
    return (folder / path.stem()).string() + ".xml";
  }

  void load_coco() {
    const std::string& json = split_ == Split::train ? data_.train_annotations : data_.valid_annotations;
    if (json.empty()) fail("{}: `{}_annotations = JSON` is missing", data_.path, name_of(split_));
    const std::string path = data_.resolve(json, fmt::format("{}_annotations", name_of(split_)));
    CocoSet set = read_coco(path, result_.names);
    result_.coco_categories = set.category_ids;
    if (set.images.empty()) fail("{}: `images` is empty", path);
    if (list_of(data_, split_).empty())
      coco_by_folder(set, path);
    else
      coco_by_list(set);
    // The list may name a part of the file's images only, so problems are told whoever they belong to.
    append(set.problems);
  }

  void coco_by_folder(CocoSet& set, const std::string& json) {
    const std::string& own = split_ == Split::train ? data_.train_images : data_.valid_images;
    const std::string& folder = own.empty() ? data_.images : own;
    const fs::path base =
        folder.empty() ? fs::path(json).parent_path() : fs::path(data_.resolve(folder, "images"));
    for (CocoImage& image : set.images) {
      const fs::path path = base / image.file_name;
      if (file_exists(path))
        add_coco(path.string(), image);
      else
        missing_image(path.string());
    }
  }

  // Matches listed paths with file names of the JSON, which may lack the leading folders.
  void coco_by_list(CocoSet& set) {
    std::unordered_map<std::string, std::vector<CocoImage*>> by_name;
    for (CocoImage& image : set.images)
      by_name[fs::path(image.file_name).filename().string()].push_back(&image);
    for (const std::string& entry : list_.read()) {
      const std::string path = list_.find(entry);
      if (path.empty()) {
        missing_image(entry);
        continue;
      }
      CocoImage* match = nullptr;
      for (CocoImage* image : by_name[fs::path(entry).filename().string()])
        if (("/" + entry).ends_with("/" + image->file_name)) match = image;
      if (match) {
        add_coco(path, *match);
        continue;
      }
      Sample sample;
      sample.image = path;
      sample.labelled = false;
      missing_labels(sample, {fmt::format("an image called {} in the JSON file", entry)});
      add(std::move(sample));
    }
  }

  void add_coco(const std::string& path, CocoImage& image) {
    Sample sample;
    sample.image = path;
    sample.labels = std::move(image.labels);
    sample.width = image.width;
    sample.height = image.height;
    sample.coco_id = image.id;
    add(std::move(sample));
  }

  // A label file that cannot be read at all leaves the image without labels.
  template <class Reader>
  LabelFile read(Sample& sample, Reader&& reader) {
    try {
      return reader();
    } catch (const Error& e) {
      sample.labelled = false;
      LabelFile nothing;
      nothing.problems.push_back({sample.image, 0, fmt::format("no labels could be read: {}", e.what())});
      return nothing;
    }
  }

  void take(LabelFile file, Sample& sample) {
    sample.labels = std::move(file.labels);
    sample.width = file.width;
    sample.height = file.height;
    append(file.problems);
  }

  void append(const std::vector<Problem>& problems) {
    if (strict_ && !problems.empty()) throw Error(problems.front().text());
    auto& all = result_.report.problems;
    all.insert(all.end(), problems.begin(), problems.end());
  }

  void missing_image(const std::string& entry) {
    if (strict_) fail("{}: there is no image {}", list_.path().empty() ? data_.path : list_.path(), entry);
    if (result_.report.missing_images++ == 0) first_missing_ = entry;
  }

  void missing_labels(const Sample& sample, const std::vector<std::string>& tried) {
    const std::string told = fmt::format("{}: no labels (tried {})", sample.image, fmt::join(tried, ", "));
    if (strict_) throw Error(told);
    if (result_.report.missing_labels++ == 0) first_unlabelled_ = told;
  }

  void add(Sample sample) {
    Report& report = result_.report;
    ++report.images;
    report.negatives += sample.labelled && sample.labels.empty();
    for (const Label& label : sample.labels) {
      ++report.boxes;
      ++report.boxes_per_class[size_t(label.class_id)];
      report.difficult += label.difficult;
      report.crowds += label.crowd;
      if (sample.width == 0) continue;
      // Boxes of whole pixels come back a rounding below their size; the margin keeps 8 px from counting as
      // less.
      const float side =
          std::sqrt(area(scaled(corners(label.box), float(sample.width), float(sample.height)))) + 1e-3f;
      const float bounds[] = {8, 16, 32, 96};
      ++report.boxes_by_size[size_t(std::upper_bound(bounds, bounds + 4, side) - bounds)];
    }
    result_.samples.push_back(std::move(sample));
  }

  void tell() const {
    const Report& report = result_.report;
    if (report.missing_images)
      warn("{}: {} listed images are missing, the first one is {}", data_.path, report.missing_images,
           first_missing_);
    if (report.missing_labels)
      warn("{} images have no labels and count as background; the first one: {}", report.missing_labels,
           first_unlabelled_);
    if (!report.problems.empty())
      warn("{} bad labels were left out; the first one: {}", report.problems.size(),
           report.problems.front().text());
  }

  const DataFile& data_;
  Split split_;
  bool strict_;
  ImageList list_;
  Dataset result_;
  std::string images_folder_, annotations_folder_, first_missing_, first_unlabelled_;
};

}  // namespace

Dataset load_dataset(const DataFile& data, Split split, bool strict) {
  return Collector(data, split, strict).load();
}

std::string Report::text(const std::vector<std::string>& names) const {
  const bool classifies = !images_per_class.empty();
  std::string out =
      classifies ? fmt::format("{} images\n", images)
                 : fmt::format("{} images, {} boxes, {} images without objects\n", images, boxes, negatives);
  const std::vector<int64_t>& per_class = classifies ? images_per_class : boxes_per_class;
  for (size_t i = 0; i < per_class.size(); ++i)
    out += fmt::format("  {:>8} {}\n", per_class[i], i < names.size() ? names[i] : std::to_string(i));
  const char* const sizes[] = {"under 8 px", "8 to 16 px", "16 to 32 px", "32 to 96 px", "over 96 px"};
  int64_t sized = 0;
  for (const int64_t count : boxes_by_size) sized += count;
  for (size_t i = 0; sized > 0 && i < boxes_by_size.size(); ++i)
    out += fmt::format("  {:>8} {}\n", boxes_by_size[i], sizes[i]);
  if (difficult || crowds) out += fmt::format("{} boxes are difficult, {} are crowds\n", difficult, crowds);
  if (missing_images) out += fmt::format("{} listed images are missing\n", missing_images);
  if (missing_labels) out += fmt::format("{} images have no label file\n", missing_labels);
  if (!problems.empty())
    out += fmt::format("{} {} were left out\n", problems.size(), classifies ? "images" : "bad labels");
  return out;
}

}  // namespace osprey
