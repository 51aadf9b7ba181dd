#include "apps/evaluation.h"

#include "core/log.h"
#include "train/progress.h"

namespace osprey {

void add_evaluation_options(CLI::App& command, EvaluationOptions& o) {
  add_fit_options(command, o.fit);
  command.add_option("--batch", o.load.batch, "images at a time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_flag("--strict", o.strict, "a broken label or image list is an error");
  add_device_options(command, o.load.device);
  command.add_flag("--lenient", o.load.lenient,
                   "unknown keys of the .cfg and the .data file are warnings, not errors");
}

Subject load_subject(const LoadOptions& load, const std::string& data, Split split, bool strict) {
  Subject s;
  s.data = read_data_file(data, load.lenient);
  s.network = load_network(load);
  s.dataset = load_set(*s.network, s.data, split, strict);
  return s;
}

Evaluated detect_with_progress(const char* what, Subject& subject, const DetectionOptions& options) {
  Progress progress(what, int64_t(subject.dataset.samples.size()));
  const Evaluated found = detect_all(*subject.network, subject.dataset, options,
                                     [&](int done) { progress.update(done, "images"); });
  progress.finish();
  tell_broken_images(found);
  return found;
}

void tell_broken_images(const Evaluated& found) {
  if (found.broken_images)
    warn("{} images could not be read; their objects count as missed", found.broken_images);
}

}  // namespace osprey
