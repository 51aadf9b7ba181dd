// A tensor as layers and the memory plan handle it: address, shape and element type, owning nothing.
// Kernels and loops work on View<T>, to which a tensor of that type converts by itself.
#pragma once

#include <cassert>

#include "core/view.h"

namespace osprey {

enum class Type { f32, bf16, i32, u8 };

inline size_t bytes_of(Type type) {
  switch (type) {
    case Type::f32:
    case Type::i32:
      return 4;
    case Type::bf16:
      return 2;
    case Type::u8:
      return 1;
  }
  return 0;
}

template <class T>
constexpr Type type_of();
template <>
constexpr Type type_of<float>() {
  return Type::f32;
}
template <>
constexpr Type type_of<int>() {
  return Type::i32;
}
template <>
constexpr Type type_of<uint8_t>() {
  return Type::u8;
}

struct Tensor {
  void* data = nullptr;
  Shape shape;
  Type type = Type::f32;

  Tensor() = default;
  Tensor(void* data, Shape shape, Type type = Type::f32) : data(data), shape(shape), type(type) {}
  template <class T>
  Tensor(View<T> v) : data(v.data), shape(v.shape), type(type_of<T>()) {}

  explicit operator bool() const { return data != nullptr; }

  template <class T>
  View<T> view() const {
    assert(!data || type == type_of<std::remove_const_t<T>>());
    return {static_cast<T*>(data), shape};
  }
  template <class T>
  operator View<T>() const {
    return view<T>();
  }
};

}  // namespace osprey
