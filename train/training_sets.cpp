#include "train/training_sets.h"

#include <set>

#include "core/log.h"
#include "data/classes.h"
#include "data/proposals.h"
#include "train/classifier.h"

namespace osprey {
namespace {

void warn_of_overlap(const Dataset& train, const Dataset& valid) {
  std::set<std::string> images;
  for (const Sample& s : train.samples) images.insert(s.image);
  int64_t shared = 0;
  for (const Sample& s : valid.samples) shared += images.count(s.image);
  if (shared == int64_t(valid.samples.size()))
    warn(
        "the validation list has only images that are trained on: what is measured there says nothing about "
        "new images");
  else if (shared)
    warn("{} of {} validation images are also trained on", shared, valid.samples.size());
}

void tell_unused(const Section& net, std::initializer_list<const char*> keys, const char* of) {
  for (const char* key : keys)
    if (net.find(key))
      warn("{}:{}: {} has no effect here: it is for {}", net.file, net.line_of(key), key, of);
}

}  // namespace

Dataset load_set(const Network& network, const DataFile& data, Split split, bool strict) {
  if (classifies(network)) return load_classes(data, split, takes_several_classes(network), strict);
  Dataset set = load_dataset(data, split, strict);
  if (network.takes_proposals()) find_proposals(set, data);
  return set;
}

void check_classes(const Network& network, const Dataset& set, const std::string& data, ClassesOf of) {
  const int names = int(set.names.size());
  const std::string& cfg = network.nodes().back().section.file;
  for (const Head* head : network.heads())
    if (const int classes = of == ClassesOf::labels ? head->label_classes() : head->classes();
        classes != names)
      fail("{}: its heads have classes={}, but {} names {} classes", cfg, classes, data, names);
  if (!network.heads().empty()) return;
  if (!classifies(network))
    fail("{}: no layer that detects ([yolo], [retina], [rcnn], ...) or classifies ([softmax], [cost])", cfg);
  if (const int classes = classes_of(network); classes != names)
    fail("{}: its last layer has {} values, but {} names {} classes", cfg, classes, data, names);
}

TrainingSets read_training_sets(const Network& network, const DataFile& data, bool wants_valid, bool strict) {
  if (network.heads().empty()) classes_of(network);  // an Error unless it has some
  TrainingSets sets;
  sets.train = load_set(network, data, Split::train, strict);
  check_classes(network, sets.train, data.path, ClassesOf::labels);
  info("{}", sets.train.report.text(sets.train.names));
  if (wants_valid && data.has(Split::valid)) {
    sets.valid = load_set(network, data, Split::valid, strict);
    warn_of_overlap(sets.train, sets.valid);
  }
  return sets;
}

AugmentOptions augmentation(const Network& network, const Section& section) {
  const NetSection& net = network.net();
  AugmentOptions a;
  a.hue = net.hue;
  a.saturation = net.saturation;
  a.exposure = net.exposure;
  a.flip = net.flip;
  a.mosaic = net.mosaic;
  a.mixup = net.mixup;
  a.angle = net.angle;
  a.blur = net.blur;
  a.gaussian_noise = net.gaussian_noise;
  if (const std::vector<Head*> heads = network.heads(); !heads.empty()) {
    if (net.cutmix)
      section.fail(
          section.line_of("cutmix"),
          "cutmix=1 is for classifiers: boxes have no share of a picture; mosaic=1 is for detectors");
    if (net.mosaic && net.letter_box)
      section.fail(section.line_of("letter_box"),
                   "mosaic=1 and letter_box=1 do not go together: turn one of them off");
    tell_unused(section, {"min_crop", "max_crop", "aspect", "label_smooth_eps"}, "classifiers");
    a.jitter = heads.back()->augmentation().jitter;
    a.resize = heads.back()->augmentation().resize;
    a.letter_box = net.letter_box;
    a.mosaic_bound = net.mosaic_bound;
    return a;
  }
  tell_unused(section, {"letter_box", "mosaic_bound"}, "detectors");
  a.min_crop = net.min_crop;
  a.max_crop = net.max_crop;
  a.aspect = net.aspect;
  a.cutmix = net.cutmix;
  a.label_smoothing = net.label_smooth_eps;
  return a;
}

}  // namespace osprey
