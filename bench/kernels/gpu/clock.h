// The GPU's own clock.
#pragma once

#include <functional>

#include "core/stream.h"

namespace osprey::bench {

// Seconds between two events on the stream, around body(): the median of many runs. prepare() comes before
// each of them, outside of the clock.
double median_seconds(Stream&, const std::function<void()>& prepare, const std::function<void()>& body);

}  // namespace osprey::bench
