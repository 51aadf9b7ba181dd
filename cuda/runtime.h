// Device memory and the order of work, for host code that knows no CUDA header. In a build that emulates the
// kernels, device memory is host memory and every operation has ended when it returns. A program without
// kernels has no device: whatever is asked of one is an Error.
#pragma once

#include <cstddef>
#include <string>

#include "core/stream.h"

namespace osprey::cuda {

bool has_gpu_kernels();      // this program's kernels are for a GPU
bool emulated();             // kernels run on the host's processor, and "device" means that
int device_count();          // of GPUs; 0 also where there is no driver
void use_device(int index);  // of the GPUs that CUDA_VISIBLE_DEVICES leaves, by this thread from here on
std::string device_name();   // of the device in use, such as "NVIDIA H200"; "emulation"
size_t free_memory();        // of the device, in bytes

// A Stream of Device::cuda that can be captured (cuda/graph.h). An Error "no CUDA device: ..." says what is
// missing. Release it when its work has ended.
Stream make_stream();
void release_stream(Stream&);

void* allocate(size_t bytes);  // an Error says how much was asked for and how much was free
void release(void* memory);    // of allocate(); null is allowed

// Host memory that copies reach without the host's help: only from and to it are they asynchronous.
void* allocate_pinned(size_t bytes);
void release_pinned(void* memory);  // null is allowed

// Between any two places, host or device; `from` must not change before the stream has come so far.
void copy(Stream&, void* to, const void* from, size_t bytes);
void fill_zero(Stream&, void* to, size_t bytes);
void synchronize(const Stream&);  // waits for all that was started; an Error if any of it failed

// A place in the order of a stream, which the host can wait for while later work goes on.
class Event {
 public:
  Event() = default;
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(Stream&);
  void wait() const;  // for what was started before record(); does not wait if nothing was recorded

 private:
  void* handle_ = nullptr;  // the cudaEvent_t
};

}  // namespace osprey::cuda
