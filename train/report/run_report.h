// What a report says of a network and its data before anything is measured.
#pragma once

#include <string>

#include "models/network.h"
#include "train/report/page.h"

namespace osprey {

// The network must be planned. Without data sets, history and findings, which are the caller's.
RunReport describe_run(const std::string& cfg, const std::string& data, const Network& network);

}  // namespace osprey
