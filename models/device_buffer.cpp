#include "models/device_buffer.h"

#include <algorithm>
#include <cstring>

#include "cuda/runtime.h"

namespace osprey {

Memory memory_of(Device device) {
  if (device == Device::cpu) return host_memory();
  return {[](size_t bytes) { return cuda::allocate(bytes); }, [](void* p) { cuda::release(p); }};
}

void DeviceBuffer::allocate(const Stream& stream, size_t bytes, bool zeroed) {
  stream_ = stream;
  bytes_ = std::max(bytes, size_t(1));
  if (!device_) device_ = std::make_unique<Arena>(name_, memory_of(stream.device));
  device_->reserve(bytes_);
  host_.reset();
  if (!zeroed) return;
  if (shared())
    clear_pages(device(), bytes_);
  else
    cuda::fill_zero(stream_, device(), bytes_);
}

char* DeviceBuffer::host() const {
  if (shared() || !device_) return device();
  if (!host_) {
    const Memory pinned{[](size_t bytes) { return cuda::allocate_pinned(bytes); },
                        [](void* p) { cuda::release_pinned(p); }};
    host_ = std::make_unique<Arena>(name_ + " on the host", pinned);
    host_->reserve(bytes_);
    std::memset(host_->data(), 0, bytes_);
  }
  return host_->data();
}

void DeviceBuffer::upload(size_t first, size_t bytes) {
  if (!shared() && bytes) cuda::copy(stream_, device() + first, host() + first, bytes);
}

void DeviceBuffer::download() const {
  if (shared() || !device_) return;
  Stream stream = stream_;
  cuda::copy(stream, host(), device(), bytes_);
  cuda::synchronize(stream);
}

}  // namespace osprey
