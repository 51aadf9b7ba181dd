// The part of a check that looks at images and labels alone.
#include <algorithm>
#include <map>
#include <set>

#include "core/parallel.h"
#include "data/image.h"
#include "train/check.h"

namespace osprey {
namespace {

constexpr size_t kExamples = 3;
constexpr int64_t kRare = 20;  // a class so many times rarer than another is worth a word

// Counts what is found of one kind, and keeps the first of it.
struct Tally {
  int64_t count = 0;
  std::vector<std::string> examples;

  void add(std::string example) {
    if (count++ < int64_t(kExamples)) examples.push_back(std::move(example));
  }
  // As "train: 3 images are ...", if there are any.
  void tell(std::vector<Finding>& findings, Severity severity, const char* what, const std::string& set,
            const std::string& text) const {
    if (count)
      findings.push_back({severity, what, count, fmt::format("{}: {} {}", set, count, text), examples});
  }
};

uint64_t fingerprint(const ByteImage& image) {  // FNV-1a, 64 bits
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const auto byte : image.pixels) hash = (hash ^ byte) * 0x100000001B3ull;
  return hash ^ uint64_t(image.width);
}

struct Decoded {
  int width = 0, height = 0;
  uint64_t fingerprint = 0;
  std::string problem;
};

Decoded decode(const std::string& path, int channels) {
  Decoded image;
  try {
    const ByteImage bytes = load_bytes(path, channels, JpegReader::libjpeg);
    image.width = bytes.width;
    image.height = bytes.height;
    image.fingerprint = fingerprint(bytes);
  } catch (const Error& e) {
    image.problem = e.what();
  }
  return image;
}

std::vector<Decoded> decode_all(const Dataset& dataset, int channels) {
  std::vector<Decoded> images(dataset.samples.size());
  parallel_for(int64_t(images.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      images[size_t(i)] = decode(dataset.samples[size_t(i)].image, channels);
  });
  return images;
}

struct Images {
  Format format = Format::darknet;
  Tally broken, another_size, listed_twice, no_objects, unlabelled;

  void look(const Sample& sample, const Decoded& image, bool seen_before) {
    if (!image.problem.empty()) broken.add(image.problem);
    if (image.width && sample.width && (image.width != sample.width || image.height != sample.height))
      another_size.add(fmt::format("{}: {}x{}, labelled as {}x{}", sample.image, image.width, image.height,
                                   sample.width, sample.height));
    if (seen_before) listed_twice.add(sample.image);
    if (!sample.labelled && format == Format::darknet)
      unlabelled.add(fmt::format("{} (tried {})", sample.image, fmt::join(label_paths(sample.image), ", ")));
    else if (!sample.labelled)
      unlabelled.add(sample.image);
    else if (sample.labels.empty())
      no_objects.add(sample.image);
  }
};

struct Boxes {
  Tally over_edge, twice, tiny;

  void look(const Sample& sample, int width, int height) {
    const float one_x = width ? 1 / float(width) : 0, one_y = height ? 1 / float(height) : 0;
    for (size_t i = 0; i < sample.labels.size(); ++i) {
      const Label& label = sample.labels[i];
      const Box b = corners(label.box);
      const auto told = [&] {
        return fmt::format("{}: class {} at {:.4g} {:.4g}, {:.4g} x {:.4g}", sample.image, label.class_id,
                           label.box.x, label.box.y, label.box.w, label.box.h);
      };
      // A pixel over is a matter of rounding.
      if (b.x1 < -one_x - 1e-4f || b.y1 < -one_y - 1e-4f || b.x2 > 1 + one_x + 1e-4f ||
          b.y2 > 1 + one_y + 1e-4f)
        over_edge.add(told());
      if (width && (label.box.w < one_x * 0.99f || label.box.h < one_y * 0.99f)) tiny.add(told());
      const auto same = [&](const Label& other) {
        return other.class_id == label.class_id && iou(corners(other.box), b) > 0.95f;
      };
      if (std::any_of(sample.labels.begin(), sample.labels.begin() + std::ptrdiff_t(i), same))
        twice.add(told());
    }
  }
};

void tell_problems(const Report& report, const std::string& set, std::vector<Finding>& findings) {
  struct Kind {
    Fault fault;
    const char* what;
    const char* text;
  };
  constexpr Kind kinds[] = {
      {Fault::unknown_class, "unknown class", "boxes of a class that there is not are left out"},
      {Fault::outside, "outside", "boxes outside of their image are left out"},
      {Fault::no_area, "no area", "boxes without width or height are left out"},
      {Fault::malformed, "malformed", "labels that cannot be read are left out"}};
  for (const Kind& kind : kinds) {
    Tally tally;
    for (const Problem& problem : report.problems)
      if (problem.fault == kind.fault) tally.add(problem.text());
    tally.tell(findings, Severity::error, kind.what, set, kind.text);
  }
}

}  // namespace

CheckedSet check_set(const DataFile& data, Split split, const CheckOptions& options,
                     std::vector<Finding>& findings) {
  CheckedSet set;
  set.name = split == Split::train ? "train" : "valid";
  set.dataset = load_dataset(data, split);
  const Report& report = set.dataset.report;
  findings.push_back({Severity::note,
                      "set",
                      report.images,
                      fmt::format("{}: {} images, {} boxes, {} images without objects", set.name,
                                  report.images, report.boxes, report.negatives),
                      {}});
  if (report.missing_images)
    findings.push_back({Severity::error,
                        "missing image",
                        report.missing_images,
                        fmt::format("{}: {} listed images are not there", set.name, report.missing_images),
                        {}});
  Images images;
  images.format = data.format;
  Boxes boxes;
  std::set<std::string> seen;
  const std::vector<Decoded> decoded = decode_all(set.dataset, options.channels);
  for (size_t i = 0; i < decoded.size(); ++i) {
    Sample& sample = set.dataset.samples[i];
    images.look(sample, decoded[i], !seen.insert(sample.image).second);
    if (decoded[i].width) sample.width = decoded[i].width, sample.height = decoded[i].height;
    boxes.look(sample, sample.width, sample.height);
    set.fingerprints.push_back(decoded[i].fingerprint);
  }
  const std::string name = set.name;
  images.broken.tell(findings, Severity::error, "broken image", name, "images cannot be read");
  images.another_size.tell(findings, Severity::error, "another size", name,
                           "images have another size than their annotation says");
  images.listed_twice.tell(findings, Severity::warning, "listed twice", name, "images are listed again");
  images.unlabelled.tell(findings, options.negatives ? Severity::note : Severity::error, "unlabelled", name,
                         options.negatives ? "images have no label file and show nothing"
                                           : "images have no label file; an empty one, or "
                                             "--missing-labels negative, says that they show nothing");
  images.no_objects.tell(findings, Severity::note, "no objects", name, "images are labelled to show nothing");
  tell_problems(report, name, findings);
  boxes.over_edge.tell(findings, Severity::warning, "over the edge", name,
                       "boxes hang over the edge of their image by more than a pixel");
  boxes.twice.tell(findings, Severity::warning, "box twice", name,
                   "boxes are there twice (same class, IoU over 0.95)");
  boxes.tiny.tell(findings, Severity::warning, "below a pixel", name,
                  "boxes are less than a pixel of their image wide or high");
  return set;
}

void check_class_counts(const Dataset& train, std::vector<Finding>& findings) {
  const std::vector<int64_t>& counts = train.report.boxes_per_class;
  if (counts.empty()) return;
  const int64_t most = *std::max_element(counts.begin(), counts.end());
  Tally unseen, rare;
  for (size_t c = 0; c < counts.size(); ++c)
    if (counts[c] == 0)
      unseen.add(train.names[c]);
    else if (counts[c] * kRare < most)
      rare.add(fmt::format("{}: {} boxes", train.names[c], counts[c]));
  unseen.tell(findings, Severity::warning, "class never seen", "train",
              "classes have no box: they cannot be learnt");
  rare.tell(findings, Severity::note, "rare class", "train",
            fmt::format("classes have less than a twentieth of the {} boxes of the most frequent one: show "
                        "their images more often (repeat_threshold), or expect them to be missed",
                        most));
}

void check_overlap(const CheckedSet& train, const CheckedSet& valid, std::vector<Finding>& findings) {
  std::set<std::string> paths;
  std::map<uint64_t, std::string> contents;
  for (size_t i = 0; i < train.fingerprints.size(); ++i) {
    paths.insert(train.dataset.samples[i].image);
    if (train.fingerprints[i]) contents.emplace(train.fingerprints[i], train.dataset.samples[i].image);
  }
  Tally shared, copies;
  for (size_t i = 0; i < valid.fingerprints.size(); ++i) {
    const std::string& image = valid.dataset.samples[i].image;
    const auto same = contents.find(valid.fingerprints[i]);
    if (paths.count(image))
      shared.add(image);
    else if (same != contents.end())
      copies.add(fmt::format("{} is {}", image, same->second));
  }
  shared.tell(findings, Severity::warning, "in both lists", valid.name,
              "images are trained on, too: the mAP says little about new ones");
  copies.tell(findings, Severity::warning, "in both lists", valid.name,
              "images are copies of training images: the mAP says little about new ones");
}

}  // namespace osprey
