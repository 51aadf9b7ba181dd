#include "apps/fit_options.h"

#include "core/error.h"

namespace osprey {

Fit FitOptions::fit(const NetSection& net) const {
  if (letterbox && stretch) fail("--letterbox and --stretch exclude each other");
  return letterbox ? Fit::letterbox : stretch ? Fit::stretch : fit_of(net);
}

void add_fit_options(CLI::App& command, FitOptions& options) {
  command.add_flag("--letterbox", options.letterbox,
                   "keep the aspect ratio (default: as letter_box in [net] says)");
  command.add_flag("--stretch", options.stretch,
                   "stretch images to the network's size, as AlexeyAB's Darknet does");
}

}  // namespace osprey
