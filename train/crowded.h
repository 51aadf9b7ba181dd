// Images with more objects than the heads of a network learn.
#pragma once

#include <string>

#include "data/dataset.h"

namespace osprey {

// What to tell of them, and which key to raise; empty if no image has more than `most` objects that are
// learnt. Mosaics of four images may cut some more.
std::string tell_crowded(const Dataset& dataset, int most);

}  // namespace osprey
