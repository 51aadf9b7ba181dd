// Promises the compiler that no iteration of the next loop reads what another one writes, so that it need not
// check whether pointers overlap. A check would send the case y == x, elementwise work in place, down a
// scalar path.
#pragma once

#if defined(__clang__)
#define VECTOR_LOOP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define VECTOR_LOOP _Pragma("GCC ivdep")
#else
#define VECTOR_LOOP
#endif
