// cuDNN's graph API with owners and types: a descriptor is created, given attributes, finalized, and
// destroyed by its destructor. For cuda/cudnn_*.cpp alone, since cudnn.h is heavy.
#pragma once

#include <cudnn.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace osprey::cuda {

// An Error with the call's name, cuDNN's name of the status, and its last message.
void check_cudnn(cudnnStatus_t, std::string_view call);

// What a graph or an engine cannot do, in contrast to what went wrong.
bool refused(cudnnStatus_t);

// How cuDNN calls the type of an attribute's values.
template <class T>
constexpr cudnnBackendAttributeType_t attribute_type();
template <>
constexpr cudnnBackendAttributeType_t attribute_type<int64_t>() {
  return CUDNN_TYPE_INT64;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<int32_t>() {
  return CUDNN_TYPE_INT32;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<bool>() {
  return CUDNN_TYPE_BOOLEAN;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<double>() {
  return CUDNN_TYPE_DOUBLE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<void*>() {
  return CUDNN_TYPE_VOID_PTR;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnHandle_t>() {
  return CUDNN_TYPE_HANDLE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnDataType_t>() {
  return CUDNN_TYPE_DATA_TYPE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnConvolutionMode_t>() {
  return CUDNN_TYPE_CONVOLUTION_MODE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnPointwiseMode_t>() {
  return CUDNN_TYPE_POINTWISE_MODE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendHeurMode_t>() {
  return CUDNN_TYPE_HEUR_MODE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendKnobType_t>() {
  return CUDNN_TYPE_KNOB_TYPE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendNumericalNote_t>() {
  return CUDNN_TYPE_NUMERICAL_NOTE;
}

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(cudnnBackendDescriptorType_t);
  ~Descriptor();
  Descriptor(Descriptor&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
  Descriptor& operator=(Descriptor&& o) noexcept {
    std::swap(handle_, o.handle_);
    return *this;
  }

  cudnnBackendDescriptor_t handle() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const T& value) {
    return set(name, attribute_type<T>(), 1, &value);
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<T>& values) {
    return set(name, attribute_type<T>(), int64_t(values.size()), values.data());
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.handle_);
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<const Descriptor*>& values) {
    std::vector<cudnnBackendDescriptor_t> handles;
    for (const Descriptor* value : values) handles.push_back(value->handle_);
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, int64_t(handles.size()), handles.data());
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const std::string& text) {
    return set(name, CUDNN_TYPE_CHAR, int64_t(text.size() + 1), text.c_str());
  }

  template <class T>
  T get(cudnnBackendAttributeName_t name) const {
    T value{};
    get(name, attribute_type<T>(), 1, &value);
    return value;
  }
  // At most `most` values.
  template <class T>
  std::vector<T> get(cudnnBackendAttributeName_t name, int64_t most) const {
    std::vector<T> values(most);
    values.resize(get(name, attribute_type<T>(), most, values.data()));
    return values;
  }
  // cuDNN writes into descriptors of that type, which it is given.
  std::vector<Descriptor> get(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t,
                              int64_t most) const;
  int64_t count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t) const;

  Descriptor& finalize(std::string_view what);  // "a tensor": for the Error
  cudnnStatus_t try_finalize();                 // success, or a status that refused() knows

 private:
  Descriptor& set(cudnnBackendAttributeName_t, cudnnBackendAttributeType_t, int64_t count,
                  const void* values);
  int64_t get(cudnnBackendAttributeName_t, cudnnBackendAttributeType_t, int64_t most, void* values) const;

  cudnnBackendDescriptor_t handle_ = nullptr;
};

// What plans are made for: the GPU of a handle; or one that is described by cuDNN's JSON, which needs no GPU.
class Target {
 public:
  explicit Target(cudnnHandle_t handle) : handle_(handle) {}
  explicit Target(const std::string& json);

  cudnnHandle_t handle() const { return handle_; }
  // Tells a descriptor, by the attribute that it has for the one or the other.
  void tell(Descriptor&, cudnnBackendAttributeName_t for_handle) const;
  void tell_description(Descriptor&, cudnnBackendAttributeName_t for_description) const;

 private:
  cudnnHandle_t handle_ = nullptr;
  Descriptor description_;
};

}  // namespace osprey::cuda
