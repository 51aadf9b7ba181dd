// For programs without kernels for a GPU, and builds that found no nccl.h.
#include "core/error.h"
#include "cuda/gpu_group.h"

namespace osprey::cuda {

std::string gpu_groups_missing() {
  return "this build knows no NCCL: gradients are added up in the host's memory, slower";
}

GpuGroupName name_gpu_group() { fail("{}", gpu_groups_missing()); }
GpuGroup::GpuGroup(const GpuGroupName&, int, int) { fail("{}", gpu_groups_missing()); }
GpuGroup::~GpuGroup() = default;
void GpuGroup::sum(Stream&, float*, size_t) {}

}  // namespace osprey::cuda
