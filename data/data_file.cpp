// The .data file and the names of the classes.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>

#include "core/cfg.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/dataset.h"
#include "data/text_file.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

struct Line {
  std::string file;
  int number;
  std::string key, value;

  [[noreturn]] void complain(const std::string& why) const { fail("{}:{}: {}", file, number, why); }
};

const std::vector<std::string> kKeys = {"classes",
                                        "train",
                                        "valid",
                                        "names",
                                        "class_names",
                                        "root",
                                        "images",
                                        "train_images",
                                        "valid_images",
                                        "annotations",
                                        "train_annotations",
                                        "valid_annotations",
                                        "proposals",
                                        "format",
                                        "backup",
                                        "results",
                                        "eval",
                                        "labels",
                                        "map",
                                        "leaves",
                                        "difficult",
                                        "top",
                                        "saveweights",
                                        "savelast"};

constexpr int kMostClasses = 100000;  // a number in a file must not ask for all memory

int whole_number(const Line& line, int least, int most = std::numeric_limits<int>::max()) {
  int value = 0;  // Darknet reads no further than the number: a comment may follow
  const std::string_view number = trimmed(std::string_view(line.value).substr(0, line.value.find('#')));
  if (!parse_number(number, value) || value < least || value > most) {
    const bool bounded = most < std::numeric_limits<int>::max();
    line.complain(fmt::format("{} needs a whole number of at least {}{}, not `{}`", line.key, least,
                              bounded ? fmt::format(" and at most {}", most) : "", line.value));
  }
  return value;
}

Format format_of(const Line& line) {
  const std::vector<std::string> known = {"darknet", "voc", "coco"};
  const auto found = std::find(known.begin(), known.end(), line.value);
  if (found == known.end())
    line.complain(fmt::format("format is darknet, voc or coco, not `{}`{}", line.value,
                              did_you_mean(line.value, known)));
  return Format(found - known.begin());
}

std::vector<std::string> comma_list(const Line& line) {
  std::vector<std::string> parts;
  std::string_view rest = line.value;
  while (true) {
    const size_t comma = rest.find(',');
    parts.emplace_back(trimmed(rest.substr(0, comma)));
    if (parts.back().empty()) line.complain(fmt::format("{} has an empty name", line.key));
    if (comma == std::string_view::npos) return parts;
    rest.remove_prefix(comma + 1);
  }
}

void assign(DataFile& data, const Line& line) {
  const std::pair<const char*, std::string*> texts[] = {{"train", &data.train},
                                                        {"valid", &data.valid},
                                                        {"names", &data.names},
                                                        {"root", &data.root},
                                                        {"images", &data.images},
                                                        {"train_images", &data.train_images},
                                                        {"valid_images", &data.valid_images},
                                                        {"annotations", &data.annotations},
                                                        {"train_annotations", &data.train_annotations},
                                                        {"valid_annotations", &data.valid_annotations},
                                                        {"proposals", &data.proposals},
                                                        {"backup", &data.backup},
                                                        {"results", &data.results},
                                                        {"eval", &data.eval},
                                                        {"labels", &data.labels},
                                                        {"map", &data.map},
                                                        {"leaves", &data.leaves},
                                                        {"difficult", &data.difficult}};
  for (const auto& [key, target] : texts)
    if (line.key == key) {
      *target = line.value;
      // Folders that are made where they are not there; all others are looked for as they are, too.
      if (line.key == "backup" || line.key == "results") *target = with_slashes(line.value);
      return;
    }
  if (line.key == "classes") data.classes = whole_number(line, 1, kMostClasses);
  if (line.key == "top") data.top = whole_number(line, 1);
  if (line.key == "saveweights") data.saveweights = whole_number(line, 0);
  if (line.key == "savelast") data.savelast = whole_number(line, 1);
  if (line.key == "format") data.format = format_of(line);
  if (line.key == "class_names") data.class_names = comma_list(line);
}

}  // namespace

DataFile read_data_file(const std::string& path, bool lenient) {
  DataFile data;
  data.path = path;
  std::set<std::string> given;
  int number = 0;
  for (const std::string& text : read_lines(path, "the data file")) {
    ++number;
    const std::string_view content = trimmed(text);
    if (content.empty() || content[0] == '#' || content[0] == ';') continue;
    Line line{path, number, {}, {}};
    const size_t equals = content.find('=');
    if (equals == std::string_view::npos)
      line.complain(fmt::format("expected `key = value`, found `{}`", content));
    line.key = trimmed(content.substr(0, equals));
    line.value = trimmed(content.substr(equals + 1));
    std::string fault;
    if (std::find(kKeys.begin(), kKeys.end(), line.key) == kKeys.end())
      fault = fmt::format("unknown key `{}`{}", line.key, did_you_mean(line.key, kKeys));
    else if (line.value.empty())
      fault = fmt::format("{} has no value", line.key);
    if (!fault.empty()) {
      if (!lenient) line.complain(fault);
      warn("{}:{}: {}: the line is left out", path, number, fault);
      continue;
    }
    if (given.insert(line.key).second)
      assign(data, line);
    else
      warn("{}:{}: {} is given twice; the first one counts", path, number, line.key);
  }
  if (!data.names.empty() && !data.class_names.empty())
    fail("{}: give the names of the classes in `names` or in `class_names`, not in both", path);
  return data;
}

bool DataFile::has(Split split) const {
  return split == Split::train ? !train.empty() || !train_annotations.empty()
                               : !valid.empty() || !valid_annotations.empty();
}

std::string DataFile::resolve(const std::string& wanted, const std::string& key) const {
  const fs::path here = fs::path(path).parent_path();
  std::vector<fs::path> tried;
  for (const fs::path p : {wanted, with_slashes(wanted)}) {
    if (!root.empty()) {
      tried.push_back(here / root / p);
      tried.push_back(fs::path(root) / p);
    }
    tried.push_back(p);
    tried.push_back(here / p);
  }
  std::vector<std::string> told;
  for (const fs::path& candidate : tried) {
    if (file_exists(candidate)) return candidate.string();
    if (std::find(told.begin(), told.end(), candidate.string()) == told.end())
      told.push_back(candidate.string());
  }
  fail("{}: {} = {}: there is no such file or folder (tried {})", path, key, wanted, fmt::join(told, ", "));
}

std::vector<std::string> read_names(const DataFile& data) {
  std::vector<std::string> names = data.class_names;
  std::string source = data.path;
  if (!data.names.empty()) {
    source = data.resolve(data.names, "names");
    names = read_lines(source, "the names of the classes");
    // Blank lines within the file are classes without a name; those at the end are an editor's.
    while (!names.empty() && names.back().empty()) names.pop_back();
  } else if (names.empty() && data.format == Format::coco) {
    const std::string& json =
        data.train_annotations.empty() ? data.valid_annotations : data.train_annotations;
    if (json.empty())
      fail("{}: give `train_annotations` or `valid_annotations`, the COCO JSON files", data.path);
    source = data.resolve(json, "annotations");
    names = read_coco(source, {}).names;
  }
  if (names.empty()) fail("{}: no names of classes: give `names = FILE` or `class_names = A, B`", source);
  if (data.classes != 0 && size_t(data.classes) != names.size())
    fail("{}: {} names, but {} says classes = {}", source, names.size(), data.path, data.classes);
  return names;
}

}  // namespace osprey
