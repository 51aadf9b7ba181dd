// Marks what both devices share: formulas, shapes and views are inline functions that nvcc compiles for both.
#pragma once

#ifdef __CUDACC__
#define HOST_DEVICE __host__ __device__
#else
#define HOST_DEVICE
#endif

// For formulas in loops that must vectorise, which a call, once the compiler finds a formula too long to
// inline in one place more, prevents.
#ifdef __CUDACC__
#define ALWAYS_INLINE __forceinline__
#else
#define ALWAYS_INLINE inline __attribute__((always_inline))
#endif
