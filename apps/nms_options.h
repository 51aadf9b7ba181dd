// The options of sub-commands that detect: which duplicates are dropped.
#pragma once

#include <CLI/CLI.hpp>

#include "models/detections.h"

namespace osprey {

void add_nms_options(CLI::App& command, DetectorSettings& settings);

}  // namespace osprey
