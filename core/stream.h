// Where work runs. A Stream is passed to every operation; it carries the device and the order of work.
#pragma once

namespace osprey {

enum class Device { cpu, cuda };

struct Stream {
  Device device = Device::cpu;
  void* handle = nullptr;  // the cudaStream_t, opaque so that host code needs no CUDA header
};

// Picks the implementation for this stream. The compiler insists that both take these arguments: a kernel takes
// a Tensor (of float or bf16), and where the CPU has no bf16 it takes a View<float>.
template <class Cpu, class Cuda>
auto on(const Stream& stream, Cpu* cpu, Cuda* cuda) {
  return [device = stream.device, cpu, cuda](auto&&... arguments) {
    return device == Device::cpu ? cpu(arguments...) : cuda(arguments...);
  };
}

}  // namespace osprey
