// classifier predict, valid: the classes of whole images, with Darknet's lines.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "apps/darknet/commands.h"
#include "apps/darknet/prompt.h"
#include "apps/evaluation.h"
#include "core/error.h"
#include "train/classifier.h"

namespace osprey::darknet {

void predict(Arguments& a) {
  const auto at = a.places({"DATA", "CFG", "WEIGHTS", "IMAGE"}, 2);
  const LoadOptions load = load_options(a, at[1], at[2]);
  const bool letterbox = a.flag("letter_box");  // pjreddie's way
  const int most = a.integer("t", 0, 1);
  a.finish();
  const DataFile data = read_data_file(at[0], true);
  const auto network = load_network(load);
  ImageClassifier classifier(*network, letterbox ? Fit::letterbox : Fit::crop);
  const std::vector<std::string> names = label_names(data, classifier.classes());
  const int count = std::min(most ? most : std::max(data.top, 1), classifier.classes());
  const std::string failure = for_images(at[3], [&](const std::string& path) {
    const ByteImage image = load_bytes(path, network->net().channels);
    const auto start = std::chrono::steady_clock::now();
    const std::vector<float> values = classifier.classify({&image})[0];
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    fmt::print("{}: Predicted in {:f} milli-seconds.\n", path, taken.count());
    for (const int c : best_classes(values, count))
      fmt::print("{}: {:f}\n", names[size_t(c)], values[size_t(c)]);
    std::fflush(stdout);
  });
  if (!failure.empty()) fail("{}", failure);
}

void valid_classifier(Arguments& a) {
  const auto at = a.places({"DATA", "CFG", "WEIGHTS"}, 3);
  const LoadOptions load = load_options(a, at[1], at[2]);
  const bool letterbox = a.flag("letter_box"), strict = a.flag("strict");
  a.finish();
  const Subject subject = load_subject(load, at[0], split_to_measure(at[0]), strict);
  check_classes(*subject.network, subject.dataset, at[0], ClassesOf::detections);
  const Accuracy all = measure_accuracy(*subject.network, subject.dataset, subject.data.top,
                                        letterbox ? Fit::letterbox : Fit::crop, [](const Accuracy& so_far) {
                                          fmt::print("{}: top 1: {:f}, top {}: {:f}\n", so_far.images - 1,
                                                     so_far.top1(), so_far.k, so_far.top_k());
                                        });
  if (all.broken_images) fail("{} images could not be read; they count as wrong", all.broken_images);
}

}  // namespace osprey::darknet
