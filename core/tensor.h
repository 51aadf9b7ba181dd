// A tensor as layers and the memory plan handle it: address, shape and element type, owning nothing.
// Kernels and loops work on View<T>, to which a tensor of that type converts by itself, unless it is a slice.
#pragma once

#include <cassert>

#include "core/bf16.h"
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
template <>
constexpr Type type_of<bf16>() {
  return Type::bf16;
}

// Where the n-th value is, counted from `first`.
template <class Void>
Void* nth(Void* first, int64_t n, Type type) {
  using Byte = std::conditional_t<std::is_const_v<Void>, const char, char>;
  return static_cast<Byte*>(first) + n * int64_t(bytes_of(type));
}

// Calls body with a value of the C++ type of activations: float or bf16.
template <class Body>
void with_type(Type type, Body&& body) {
  assert(type == Type::f32 || type == Type::bf16);
  type == Type::bf16 ? body(bf16()) : body(float());
}

// A shape whose pixels lie `pitch` values apart: as many as it has channels, or more where these are a slice
// of the channels of a larger tensor.
struct PitchedShape : Shape {
  int pitch = 0;

  PitchedShape() = default;
  PitchedShape(Shape shape, int pitch = 0) : Shape(shape), pitch(pitch ? pitch : shape.c) {}

  bool contiguous() const { return pitch == c; }
  // Where a pixel begins, and how many values there are from the first to the last.
  int64_t place(int in, int ih, int iw) const { return ((int64_t(in) * h + ih) * w + iw) * pitch; }
  int64_t extent() const { return elements() > 0 ? int64_t(rows() - 1) * pitch + c : 0; }
};

struct Tensor {
  void* data = nullptr;
  PitchedShape shape;
  Type type = Type::f32;

  Tensor() = default;
  Tensor(void* data, Shape shape, Type type = Type::f32) : Tensor(data, PitchedShape(shape), type) {}
  Tensor(void* data, PitchedShape shape, Type type = Type::f32) : data(data), shape(shape), type(type) {}
  // That a view may only be read is forgotten: a tensor names memory, and whoever gets it knows its part.
  template <class T>
  Tensor(View<T> v)
      : data(const_cast<std::remove_const_t<T>*>(v.data)),
        shape(v.shape),
        type(type_of<std::remove_const_t<T>>()) {}

  explicit operator bool() const { return data != nullptr; }
  int size() const { return shape.size(); }
  size_t bytes() const { return size_t(shape.elements()) * bytes_of(type); }

  template <class T>
  View<T> view() const {
    assert(!data || (type == type_of<std::remove_const_t<T>>() && shape.contiguous()));
    return {static_cast<T*>(data), shape};
  }
  template <class T>
  operator View<T>() const {
    return view<T>();
  }
};

}  // namespace osprey
