// Where work runs. A Stream is passed to every operation; it carries the device and the order of work.
#pragma once

#include "core/error.h"

namespace osprey {

enum class Device { cpu, cuda };

struct Stream {
  Device device = Device::cpu;
  void* handle = nullptr;  // the cudaStream_t, opaque so that host code needs no CUDA header
};

// Picks the implementation for this stream. The compiler insists that both have one signature.
template <class F>
F* on(const Stream& stream, F* cpu, F* cuda) {
  return stream.device == Device::cpu ? cpu : cuda;
}

// For an operation that has no kernel yet: it runs on the CPU or says so, and never moves data silently.
template <class F>
F* on(const Stream& stream, F* cpu) {
  if (stream.device != Device::cpu) fail("this operation has no CUDA kernel yet: use --device cpu");
  return cpu;
}

}  // namespace osprey
