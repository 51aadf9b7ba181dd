// detector valid: the detections in all images of a list, in the files that evaluators of data sets read.
#include <fmt/core.h>

#include <chrono>
#include <optional>

#include "apps/darknet/commands.h"
#include "apps/darknet/results.h"
#include "apps/evaluation.h"
#include "core/file.h"
#include "train/progress.h"

namespace osprey::darknet {

void valid(Arguments& a) {
  const auto at = a.places({"DATA", "CFG", "WEIGHTS"}, 2);
  const LoadOptions load = load_options(a, at[1], at[2]);
  DetectionOptions options;
  options.settings.threshold = a.real("thresh", 0.001f);
  const bool letterbox = a.flag("letter_box");
  const std::string prefix = a.text("out");
  a.finish();

  const auto subject = load_subject(load, at[0], split_to_measure(at[0]), false);
  const auto& [data, network, dataset] = subject;
  check_classes(*network, dataset, at[0], ClassesOf::detections);
  options.fit = letterbox ? Fit::letterbox : fit_of(network->net());
  // Darknet's, for this command only; a section's own nms_threshold wins.
  if (network->heads().back()->nms().threshold < 0) options.settings.nms_threshold = 0.6f;

  make_folder(data.results);
  const auto results = make_results(data, dataset, prefix);
  ImageDetector detector(*network, options);
  Progress progress("valid", int64_t(dataset.samples.size()));
  const auto find = [&](const std::vector<const ByteImage*>& images,
                        const std::vector<const Sample*>& samples) {
    const auto found = detector.detect(images, proposals_for(*subject.network, samples));
    for (size_t i = 0; i < images.size(); ++i)
      if (samples[i]) results->add(*samples[i], images[i]->width, images[i]->height, found[i]);
    return std::vector<std::vector<DetectedBox>>(images.size());
  };
  const Evaluated done =
      evaluate_images(*network, dataset, find, [&](int n) { progress.update(n, "images"); });
  progress.finish();
  for (const std::string& path : results->write()) fmt::print("{}\n", path);
  fmt::print("Total Detection Time: {:f} Seconds\n", progress.seconds());
  if (done.broken_images)
    fail("{} of {} images could not be read: nothing was detected in them", done.broken_images,
         dataset.samples.size());
}

}  // namespace osprey::darknet
