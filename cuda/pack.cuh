// Packs: neighbouring values that one thread moves together, 16 bytes at a time where it can. Kernels compute
// in float whatever the type in memory, and are written once for any length of pack, 1 included.
#pragma once

#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "core/activations.h"
#include "core/tensor.h"
#include "cuda/launch.h"

namespace osprey::cuda {

constexpr int kPackBytes = 16;  // the most that one instruction moves

template <class T, int N>
struct alignas(sizeof(T) * N < kPackBytes ? sizeof(T) * N : kPackBytes) Pack {
  T v[N];

  __device__ T& operator[](int k) { return v[k]; }
  __device__ const T& operator[](int k) const { return v[k]; }
};

template <int N>
using Floats = Pack<float, N>;

// The N values from index i on, as floats.
template <int N, class T>
__device__ inline Floats<N> load(View<T> x, int i) {
  using Value = std::remove_const_t<T>;
  (void)x[i + N - 1];  // checks the far end of the pack; the near one is checked below
  const Pack<Value, N> values = *reinterpret_cast<const Pack<Value, N>*>(&x[i]);
  Floats<N> floats;
  for (int k = 0; k < N; ++k) floats[k] = float(values[k]);
  return floats;
}

// Rounds to the type of y, once.
template <int N, class T>
__device__ inline void store(View<T> y, int i, const Floats<N>& floats) {
  Pack<T, N> values;
  for (int k = 0; k < N; ++k) values[k] = T(floats[k]);
  (void)y[i + N - 1];
  *reinterpret_cast<Pack<T, N>*>(&y[i]) = values;
}

// y = values, or y += values.
template <int N, class T>
__device__ inline void store(View<T> y, int i, Floats<N> floats, bool add) {
  if (add) {
    const Floats<N> before = load<N>(y, i);
    for (int k = 0; k < N; ++k) floats[k] += before[k];
  }
  store(y, i, floats);
}

// Calls body with the length of pack that 16 bytes of T hold if every one of `lengths` is a multiple of it
// and `tensors` start where a pack may; else with 1. The length is a std::integral_constant.
template <class T, class Body>
void with_pack(std::initializer_list<int> lengths, std::initializer_list<Tensor> tensors, Body&& body) {
  constexpr int kLength = kPackBytes / int(sizeof(T));
  bool whole = true;
  for (int length : lengths) whole = whole && length % kLength == 0;
  for (const Tensor& tensor : tensors)
    whole = whole && reinterpret_cast<uintptr_t>(tensor.data) % kPackBytes == 0;
  if (whole)
    body(std::integral_constant<int, kLength>());
  else
    body(std::integral_constant<int, 1>());
}

// The same, with a value of the type of the tensors, which is one for all, before the length.
template <class Body>
void with_packs(std::initializer_list<int> lengths, std::initializer_list<Tensor> tensors, Body&& body) {
  const Type type = tensors.begin()->type;
  for ([[maybe_unused]] const Tensor& tensor : tensors) assert(!tensor.data || tensor.type == type);
  with_type(type, [&](auto value) {
    with_pack<decltype(value)>(lengths, tensors, [&](auto length) { body(value, length); });
  });
}

// Calls body with values of the types of what a layer reads and of what it makes. Layers before heads and
// losses make floats of bf16; nothing makes bf16 of floats.
template <class Body>
void with_types(Type in, Type out, Body&& body) {
  assert(in == Type::bf16 || out == Type::f32);
  if (in == Type::f32)
    body(float(), float());
  else if (out == Type::f32)
    body(bf16(), float());
  else
    body(bf16(), bf16());
}

// As with_activation() for kernels of packs of N. Where nothing comes in packs, which is rare, the kernel
// takes the switch for each value, and there is one kernel less for each function to compile.
template <int N, class Body>
void with_activation_of_packs(Activation a, Body&& body) {
  if constexpr (N == 1)
    body(a);
  else
    with_activation(a, body);
}

}  // namespace osprey::cuda
