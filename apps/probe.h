// What this processor and its memory do at most, measured in about a second: layers are held against it.
#pragma once

namespace osprey {

// With so many threads. A multiply-add counts as two operations, a byte written as one byte moved.
struct Ceilings {
  int threads = 1;
  double avx2 = 0, avx512 = 0;  // GFLOP/s of multiply-adds in fp32; 0: the processor has none
  double fp32 = 0;              // GFLOP/s, the best of these, or of plain code on other processors
  double bf16 = 0;              // GFLOP/s of dot products of bf16 in AVX-512; 0: it has none
  double read = 0, triad = 0;   // GB/s of arrays that no cache holds: a sum; a = b + s * c
  double bandwidth() const { return read > triad ? read : triad; }
};

// On an idle machine: what else runs takes from it.
Ceilings measure_ceilings(int threads);

}  // namespace osprey
