// Sums over the GPUs of several processes, by NCCL, which is loaded when it is first asked for: from GPU to
// GPU, without the host.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "core/stream.h"

namespace osprey::cuda {

// Why there are none in this program or on this machine; empty if there are.
std::string gpu_groups_missing();

using GpuGroupName = std::array<char, 128>;  // an ncclUniqueId
GpuGroupName name_gpu_group();               // a new one, by one process, which tells the others

class GpuGroup {
 public:
  // Waits for all processes. Each has a GPU of its own, its device in use. Error: NCCL's words.
  GpuGroup(const GpuGroupName& name, int rank, int size);
  ~GpuGroup();
  GpuGroup(const GpuGroup&) = delete;

  // In place, in memory of the device and the order of the stream; equal in all processes.
  void sum(Stream&, float* values, size_t count);

 private:
  void* handle_ = nullptr;  // the ncclComm_t
};

}  // namespace osprey::cuda
