// How much memory the host has to give.
#pragma once

#include <cstddef>

namespace osprey {

// In bytes, without swapping; 0 where nothing tells.
size_t available_memory();

}  // namespace osprey
