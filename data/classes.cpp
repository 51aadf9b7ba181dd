#include "data/classes.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/log.h"
#include "data/image_list.h"
#include "data/text_file.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

bool is_part(const std::string& part, const std::string& whole) {
  return whole.find(part) != std::string::npos;
}

std::vector<int> labels_in(const std::string& text, const std::vector<std::string>& labels) {
  std::vector<int> found;
  for (size_t i = 0; i < labels.size(); ++i)
    if (is_part(labels[i], text)) found.push_back(int(i));
  return found;
}

std::vector<int> without_parts_of_others(const std::vector<int>& found,
                                         const std::vector<std::string>& labels) {
  std::vector<int> left;
  for (const int i : found)
    if (std::none_of(found.begin(), found.end(), [&](int other) {
          return other != i && is_part(labels[size_t(i)], labels[size_t(other)]);
        }))
      left.push_back(i);
  return left;
}

// The file's name without its ending, and the folders above it, the innermost first.
std::vector<std::string> pieces_of(const std::string& path) {
  std::vector<std::string> pieces;
  for (const fs::path& folder : fs::path(path).parent_path()) pieces.push_back(folder.string());
  pieces.push_back(fs::path(path).stem().string());
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::string why_not_one(const std::vector<int>& classes, const std::vector<std::string>& labels) {
  if (classes.empty()) return "no label is a part of its path";
  std::vector<std::string> found;
  for (const int i : classes) found.push_back(labels[size_t(i)]);
  return fmt::format("its path holds several labels: {}", fmt::join(found, ", "));
}

}  // namespace

std::vector<std::string> read_class_labels(const DataFile& data) {
  if (data.labels.empty()) return read_names(data);
  const std::string path = data.resolve(data.labels, "labels");
  std::vector<std::string> labels = read_lines(path, "the labels that paths are searched for");
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i].empty()) fail("{}:{}: an empty label would be a part of every path", path, i + 1);
  if (data.classes != 0 && size_t(data.classes) != labels.size())
    fail("{}: {} labels, but {} says classes = {}", path, labels.size(), data.path, data.classes);
  return labels;
}

std::vector<std::string> read_label_names(const DataFile& data) {
  return data.names.empty() && data.class_names.empty() ? read_class_labels(data) : read_names(data);
}

std::vector<int> classes_in_path(const std::string& path, const std::vector<std::string>& labels) {
  const std::vector<int> all = labels_in(path, labels);
  if (all.size() < 2) return all;
  const std::vector<std::string> pieces = pieces_of(path);
  for (const std::string& piece : pieces)
    if (const auto whole = std::find(labels.begin(), labels.end(), piece); whole != labels.end())
      return {int(whole - labels.begin())};
  for (const std::string& piece : pieces)
    if (const std::vector<int> inside = labels_in(piece, labels); !inside.empty())
      return without_parts_of_others(inside, labels);
  return all;
}

Dataset load_classes(const DataFile& data, Split split, bool several, bool strict) {
  if (data.format != Format::darknet)
    fail("{}: a classifier learns from format=darknet: lists or folders of images", data.path);
  const std::vector<std::string> labels = read_class_labels(data);
  Dataset result;
  result.names = read_label_names(data);
  if (result.names.size() != labels.size())
    fail("{}: {} names, but {} labels", data.path, result.names.size(), labels.size());
  Report& report = result.report;
  report.images_per_class.resize(labels.size());
  ImageList list(data, split);
  std::string first_missing;
  for (const std::string& entry : list.read()) {
    Sample sample;
    sample.image = list.find(entry);
    if (sample.image.empty()) {
      if (strict) fail("{}: there is no image {}", list.path(), entry);
      if (report.missing_images++ == 0) first_missing = entry;
      continue;
    }
    sample.classes = several ? labels_in(entry, labels) : classes_in_path(entry, labels);
    if (sample.classes.empty() || (sample.classes.size() > 1 && !several)) {
      report.problems.push_back({sample.image, 0, why_not_one(sample.classes, labels)});
      if (strict) throw Error(report.problems.back().text());
      continue;
    }
    for (const int i : sample.classes) ++report.images_per_class[size_t(i)];
    ++report.images;
    result.samples.push_back(std::move(sample));
  }
  if (report.missing_images)
    warn("{}: {} listed images are missing, the first one is {}", data.path, report.missing_images,
         first_missing);
  if (!report.problems.empty())
    warn("{} images were left out, since their class is unclear; the first one: {}", report.problems.size(),
         report.problems.front().text());
  if (result.samples.empty()) fail("{}: the {} set has no image with a class", data.path, name_of(split));
  return result;
}

}  // namespace osprey
