// Memory of a network's device beside the host's copy of it. On the CPU the two are one, and nothing is ever
// copied; elsewhere whoever writes the host's side uploads, and whoever reads it downloads before.
#pragma once

#include <memory>
#include <string>

#include "core/arena.h"
#include "core/stream.h"

namespace osprey {

Memory memory_of(Device device);

class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::string name) : name_(std::move(name)) {}

  // At least this many bytes, zero on both sides if `zeroed`; what was there is lost. The host's side of a
  // device's buffer takes memory only once somebody asks for it.
  void allocate(const Stream& stream, size_t bytes, bool zeroed = true);

  char* device() const { return device_ ? device_->data() : nullptr; }
  char* host() const;
  size_t bytes() const { return bytes_; }

  // In the order of the stream. The host's side must not change before upload() has come so far, and is
  // there to be read when download() returns.
  void upload(size_t first, size_t bytes);
  void upload() { upload(0, bytes_); }
  void download() const;

 private:
  bool shared() const { return stream_.device == Device::cpu; }

  std::string name_;
  Stream stream_;
  size_t bytes_ = 0;
  std::unique_ptr<Arena> device_;
  mutable std::unique_ptr<Arena> host_;
};

}  // namespace osprey
