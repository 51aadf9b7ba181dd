// Device memory and the order of work, for host code that knows no CUDA header. In a build that emulates the
// kernels, device memory is host memory and every operation has ended when it returns.
#pragma once

#include <cstddef>

#include "core/stream.h"

namespace osprey::cuda {

int device_count();

void* allocate(size_t bytes);  // an Error says how much was asked for and how much was free
void release(void* memory);    // of allocate(); null is allowed

// Between any two places, host or device; `from` must not change before the stream has come so far.
void copy(Stream&, void* to, const void* from, size_t bytes);
void fill_zero(Stream&, void* to, size_t bytes);
void synchronize(const Stream&);  // waits for all that was started; an Error if any of it failed

}  // namespace osprey::cuda
