#include "cuda/runtime.h"

#include <cstdlib>
#include <string_view>

#include "cuda/launch.h"
#include "cuda/status.h"

namespace osprey::cuda {
namespace {

constexpr size_t kStaticLimit = 48 * 1024;  // of shared memory, which every kernel may use unasked

thread_local std::string_view g_last_kernel;

[[noreturn]] void no_device(std::string_view reason) {
  fail("no CUDA device: {}; use --device cpu, or --device emulated", reason);
}

void require_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status != cudaSuccess) no_device(cudaGetErrorString(status));
  if (count == 0) no_device("the driver knows of none");
}

bool capturing(const Stream& stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(handle(stream), &status), "asking for a capture");
  return status != cudaStreamCaptureStatusNone;
}

bool synchronizes() {
  static const char* sync = std::getenv("OSPREY_SYNC");
  return sync && std::string_view(sync) == "1";
}

}  // namespace

std::string_view last_kernel() { return g_last_kernel; }

void check_launch(std::string_view kernel, const Stream& stream) {
  g_last_kernel = kernel;
  check(cudaGetLastError(), kernel);
  if (synchronizes() && !capturing(stream)) check(cudaStreamSynchronize(handle(stream)), kernel);
}

void allow_shared_memory(std::string_view kernel, const void* function, size_t bytes) {
  if (bytes <= kStaticLimit) return;
  check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes)), kernel);
}

bool has_gpu_kernels() { return true; }
bool emulated() { return false; }

int device_count() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver) {
    cudaGetLastError();
    return 0;
  }
  check(status, "counting the GPUs");
  return count;
}

void use_device(int index) {
  require_device();
  if (index >= device_count())
    fail("each process needs a GPU of its own, and there are {}: start fewer, or name others",
         device_count());
  check(cudaSetDevice(index), "taking a GPU");
}

std::string device_name() {
  require_device();
  int device = 0;
  cudaDeviceProp properties;
  check(cudaGetDevice(&device), "asking for the GPU in use");
  check(cudaGetDeviceProperties(&properties, device), "asking for the name of the GPU");
  return properties.name;
}

size_t free_memory() {
  require_device();
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for free GPU memory");
  return free;
}

// Not ordered with the default stream, which may not be used during a capture.
Stream make_stream() {
  require_device();
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return {Device::cuda, stream};
}

void release_stream(Stream& stream) {
  if (stream.handle) check_or_print(cudaStreamDestroy(handle(stream)), "releasing a stream");
  stream.handle = nullptr;
}

void* allocate(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail("cannot allocate {} MiB of GPU memory, {} MiB are free", bytes >> 20, free_memory() >> 20);
  }
  if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver) require_device();
  check(status, "allocating GPU memory");
  return memory;
}

void release(void* memory) { check_or_print(cudaFree(memory), "releasing GPU memory"); }

void* allocate_pinned(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail("cannot allocate {} MiB of pinned memory", bytes >> 20);
  }
  if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver) require_device();
  check(status, "allocating pinned memory");
  return memory;
}

void release_pinned(void* memory) { check_or_print(cudaFreeHost(memory), "releasing pinned memory"); }

void copy(Stream& stream, void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, handle(stream)), "copying to or from the GPU");
}

void fill_zero(Stream& stream, void* to, size_t bytes) {
  check(cudaMemsetAsync(to, 0, bytes, handle(stream)), "clearing GPU memory");
}

void synchronize(const Stream& stream) {
  check(cudaStreamSynchronize(handle(stream)), "waiting for the GPU");
}

Event::~Event() {
  if (handle_) check_or_print(cudaEventDestroy(static_cast<cudaEvent_t>(handle_)), "releasing an event");
}

void Event::record(Stream& stream) {
  cudaEvent_t event = static_cast<cudaEvent_t>(handle_);
  if (!event) check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  handle_ = event;
  check(cudaEventRecord(event, handle(stream)), "recording an event");
}

void Event::wait() const {
  if (handle_) check(cudaEventSynchronize(static_cast<cudaEvent_t>(handle_)), "waiting for an event");
}

}  // namespace osprey::cuda
