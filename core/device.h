// Marks what both devices share: formulas, shapes and views are inline functions that nvcc compiles for both.
#pragma once

#ifdef __CUDACC__
#define HOST_DEVICE __host__ __device__
#else
#define HOST_DEVICE
#endif
