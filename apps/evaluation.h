// What sub-commands have in common that run a network on a whole data set.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/fit_options.h"
#include "apps/load.h"
#include "train/detector.h"
#include "train/training_sets.h"

namespace osprey {

struct EvaluationOptions {
  LoadOptions load;
  FitOptions fit;
  bool strict = false;
};

// --letterbox, --stretch, --batch, --strict, --lenient, and those of the device.
void add_evaluation_options(CLI::App& command, EvaluationOptions& options);

// A network, and the split of a data set that it is to be measured on: with boxes, or with classes for a
// network that classifies.
struct Subject {
  DataFile data;
  std::unique_ptr<Network> network;
  Dataset dataset;
};
Subject load_subject(const LoadOptions& load, const std::string& data, Split split, bool strict);

// All detections, with a progress bar that is called `what`; images that cannot be read are told.
Evaluated detect_with_progress(const char* what, Subject& subject, const DetectionOptions& options);

void tell_broken_images(const Evaluated& found);

}  // namespace osprey
