// What a program prints about a ladder whose versions were found right: the emulation counts, a GPU is timed.
#pragma once

#include <string>

#include "bench/kernels/ladder.h"

namespace osprey::bench {

Size reported_size();

// What holds for all tables: the machine, and what it can do at best.
std::string preface(Stream&);

// A table in Markdown.
std::string report(Stream&, const Ladder&);

}  // namespace osprey::bench
