// What kernels do, counted while the emulation runs them. Nothing is estimated: each access to memory, each
// operation and each barrier reports itself (counted.cuh).
//
// A GPU runs 32 threads, a warp, in step, so an access of 32 lanes is one request. The emulation runs threads
// one after another; here the k-th time that the lanes of a warp come to one line of the source is taken as
// one request, which holds wherever they go through loops together. Two rules turn addresses into cost:
//   global memory   is moved in sectors of 32 bytes, each once for a request
//   shared memory   lies in 32 banks, each 4 bytes wide; a request takes as many turns as the busiest bank
//   has
//                   different words to give
#pragma once

#include <cstdint>

namespace osprey::bench {

struct Counts {
  int64_t kernels = 0, blocks = 0;
  int64_t read_bytes = 0, written_bytes = 0;  // of global memory, that threads asked for
  int64_t moved_bytes = 0;                    // whole sectors, both ways
  int64_t requests = 0;                       // of warps, to global memory
  int64_t shared_requests = 0;                // of warps
  int64_t shared_turns = 0;
  int64_t barriers = 0;  // of blocks
  int64_t flops =
      0;  // additions, subtractions, multiplications and divisions; a fused one is two, an atomic one is one

  double intensity() const { return double(flops) / double(moved_bytes); }
};

// In between, kernels run on one host thread.
void begin_counting();
Counts end_counting();

enum class Access { read, write, atomic, shared_read, shared_write };

namespace counting {
inline bool on = false;
inline int64_t flops = 0;  // while counting is on
}  // namespace counting

// One access of the emulated thread that runs; null if a lane takes part in a request and asks for nothing.
void note_access(Access, const void* address, int bytes, int line);
void note_launch(int64_t blocks);
void note_barrier();

}  // namespace osprey::bench
