// What a report says of a network and its data before anything is measured.
#pragma once

#include <string>

#include "models/network.h"
#include "train/report/page.h"

namespace osprey {

// The network must be planned. Without what describe_data() adds, history and findings, which are the
// caller's.
RunReport describe_run(const std::string& cfg, const std::string& data, const Network& network);

// What the labels look like, and which warnings they are worth. valid: null if there is none.
void describe_data(RunReport& report, const Network& network, const Dataset& train, const Dataset* valid);

}  // namespace osprey
