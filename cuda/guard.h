// Emulated device memory that the host cannot touch, as on a GPU: its pages are open only while kernels,
// copies and fills run. What touches it at another time ends the program with one line that says so.
#pragma once

#include <cstddef>

namespace osprey::emulation {

// For what is allocated later. Off, unless OSPREY_GUARD_DEVICE=1 is in the environment.
void guard_memory(bool on);
bool guards_memory();

void* guarded_allocate(size_t bytes);  // null if there is no memory
bool guarded_release(void* memory);    // false: it is not from guarded_allocate()

// Device memory may be touched while one of these lives, by any thread.
class OpenDeviceMemory {
 public:
  OpenDeviceMemory();
  ~OpenDeviceMemory();
  OpenDeviceMemory(const OpenDeviceMemory&) = delete;
  OpenDeviceMemory& operator=(const OpenDeviceMemory&) = delete;
};

}  // namespace osprey::emulation
