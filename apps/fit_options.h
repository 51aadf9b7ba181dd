// The options of every sub-command that reads images: how they come to the network's size.
#pragma once

#include <CLI/CLI.hpp>

#include "models/net_section.h"
#include "train/image_feed.h"

namespace osprey {

struct FitOptions {
  bool letterbox = false, stretch = false;

  bool given() const { return letterbox || stretch; }
  // As letter_box in [net] says, if neither is given. Error: both are.
  Fit fit(const NetSection& net) const;
};

void add_fit_options(CLI::App& command, FitOptions& options);

}  // namespace osprey
