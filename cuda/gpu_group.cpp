#include "cuda/gpu_group.h"

#include <nccl.h>

#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "cuda/library.h"

namespace osprey::cuda {
namespace {

static_assert(sizeof(GpuGroupName) == sizeof(ncclUniqueId));

struct Nccl {
  Library library = {{soname("libnccl", NCCL_MAJOR)}, "gradients are added up in the host's memory, slower"};
  decltype(&::ncclGetErrorString) error_string = nullptr;
  decltype(&::ncclGetUniqueId) unique_id = nullptr;
  decltype(&::ncclCommInitRank) init_rank = nullptr;
  decltype(&::ncclCommAbort) abort = nullptr;
  decltype(&::ncclAllReduce) all_reduce = nullptr;

  Nccl() {
    library.resolve(error_string, "ncclGetErrorString");
    library.resolve(unique_id, "ncclGetUniqueId");
    library.resolve(init_rank, "ncclCommInitRank");
    library.resolve(abort, "ncclCommAbort");
    library.resolve(all_reduce, "ncclAllReduce");
  }
};

const Nccl& nccl() {
  static const Nccl loaded;
  return loaded;
}

void check(ncclResult_t status, const char* call) {
  if (status != ncclSuccess) fail("{}: NCCL says {}", call, nccl().error_string(status));
}

ncclComm_t communicator(void* handle) { return static_cast<ncclComm_t>(handle); }

}  // namespace

std::string gpu_groups_missing() { return nccl().library.missing(); }

GpuGroupName name_gpu_group() {
  ncclUniqueId id;
  check(nccl().unique_id(&id), "ncclGetUniqueId");
  GpuGroupName name;
  std::memcpy(name.data(), &id, sizeof(id));
  return name;
}

GpuGroup::GpuGroup(const GpuGroupName& name, int rank, int size) {
  ncclUniqueId id;
  std::memcpy(&id, name.data(), sizeof(id));
  ncclComm_t made = nullptr;
  check(nccl().init_rank(&made, size, id, rank), "ncclCommInitRank");
  handle_ = made;
}

// Does not wait for the others, which may have ended by an error. (All sums have ended everywhere when an
// iteration has: then the hosts add up what they tell.)
GpuGroup::~GpuGroup() {
  const ncclResult_t status = nccl().abort(communicator(handle_));
  if (status != ncclSuccess) std::fprintf(stderr, "ncclCommAbort: %s\n", nccl().error_string(status));
}

void GpuGroup::sum(Stream& stream, float* values, size_t count) {
  check(nccl().all_reduce(values, values, count, ncclFloat32, ncclSum, communicator(handle_),
                          static_cast<cudaStream_t>(stream.handle)),
        "ncclAllReduce");
}

}  // namespace osprey::cuda
