// Kernels with one fault each: under the thread sanitizer every one must be reported. The name of the fault
// is the only argument.
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "core/view.h"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

__global__ void missing_barrier_kernel(View<float> x) {
  float* tile = dynamic_shared<float>();
  tile[threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

__global__ void missing_second_barrier_kernel(View<float> x) {
  float* tile = dynamic_shared<float>();
  const int i = threadIdx.x, next = (i + 1) % blockDim.x;
  tile[i] = x[i];
  __syncthreads();
  tile[i] = tile[i] + tile[next];
  __syncthreads();
  x[i] = tile[next];
}

// The first warp waits for itself, and takes that for a barrier of the block.
__global__ void warp_barrier_for_block_kernel(View<float> x) {
  float* tile = dynamic_shared<float>();
  const int i = threadIdx.x;
  tile[i] = x[i];
  __syncwarp();
  x[i] = tile[(i + 32) % blockDim.x];
}

__global__ void missing_warp_barrier_kernel(View<float> x) {
  float* tile = dynamic_shared<float>();
  const int i = threadIdx.x;
  __syncwarp();
  tile[i] = x[i];
  x[i] = tile[i ^ 1];
}

// All lanes have come when a shuffle returns, but it makes nobody's writes known to others.
__global__ void shuffle_for_barrier_kernel(View<float> x) {
  float* tile = dynamic_shared<float>();
  const int i = threadIdx.x;
  tile[i] = x[i];
  __shfl_sync(~0u, i, 0);
  x[i] = tile[i ^ 1];
}

__global__ void plain_addition_kernel(View<float> x) { x[0] += 1.0f; }

// Each block is right by itself, and both write one value.
__global__ void blocks_write_one_value_kernel(View<float> x) {
  if (threadIdx.x == 0) x[0] = float(blockIdx.x);
}

using Plant = void (*)(Stream&, View<float>);
template <auto Kernel, unsigned kBlocks = 1>
void plant(Stream& s, View<float> x) {
  launch<Kernel>(s, Grid{kBlocks, 64, 64 * sizeof(float)}, x);
}

const std::map<std::string, Plant> kPlants = {
    {"missing_barrier", plant<missing_barrier_kernel>},
    {"missing_second_barrier", plant<missing_second_barrier_kernel>},
    {"warp_barrier_for_block", plant<warp_barrier_for_block_kernel>},
    {"missing_warp_barrier", plant<missing_warp_barrier_kernel>},
    {"shuffle_for_barrier", plant<shuffle_for_barrier_kernel>},
    {"plain_addition", plant<plain_addition_kernel>},
    {"blocks_write_one_value", plant<blocks_write_one_value_kernel, 2>},
};

}  // namespace
}  // namespace osprey::cuda

int main(int count, char** arguments) {
  using namespace osprey;
  const auto plant = count == 2 ? cuda::kPlants.find(arguments[1]) : cuda::kPlants.end();
  if (plant == cuda::kPlants.end()) {
    std::fprintf(stderr, "expected the name of a fault\n");
    return 1;
  }
  std::vector<float> x(64);
  Stream stream;
  plant->second(stream, {x.data(), {1, 1, 1, 64}});
}
