#include "cuda/cudnn_backend.h"

#include "core/error.h"
#include "cuda/library_functions.h"

namespace osprey::cuda {

void check_cudnn(cudnnStatus_t status, std::string_view call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char message[512] = "";
  cudnn().last_error_string(message, sizeof message);
  fail("{}: cuDNN says {}{}{}", call, cudnn().error_string(status), message[0] ? ": " : "", message);
}

// A kernel that cuDNN compiles as it goes may also fail to compile, where NVRTC is missing or too old.
bool refused(cudnnStatus_t status) {
  return CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED ||
         status == CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED;
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  check_cudnn(cudnn().create_descriptor(type, &handle_), "cudnnBackendCreateDescriptor");
}

// A destructor has nobody to tell that memory was not given back.
Descriptor::~Descriptor() {
  if (handle_) cudnn().destroy_descriptor(handle_);
}

Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                            const void* values) {
  const cudnnStatus_t status = cudnn().set_attribute(handle_, name, type, count, values);
  if (status != CUDNN_STATUS_SUCCESS)
    check_cudnn(status, fmt::format("cudnnBackendSetAttribute of attribute {}", int(name)));
  return *this;
}

int64_t Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most,
                        void* values) const {
  int64_t count = 0;
  const cudnnStatus_t status = cudnn().get_attribute(handle_, name, type, most, &count, values);
  if (status != CUDNN_STATUS_SUCCESS)
    check_cudnn(status, fmt::format("cudnnBackendGetAttribute of attribute {}", int(name)));
  return count < most ? count : most;
}

int64_t Descriptor::count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
  int64_t count = 0;
  const cudnnStatus_t status = cudnn().get_attribute(handle_, name, type, 0, &count, nullptr);
  if (status != CUDNN_STATUS_SUCCESS)
    check_cudnn(status, fmt::format("cudnnBackendGetAttribute of attribute {}", int(name)));
  return count;
}

std::vector<Descriptor> Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type,
                                        int64_t most) const {
  std::vector<Descriptor> values;
  std::vector<cudnnBackendDescriptor_t> handles;
  for (int64_t i = 0; i < most; ++i) {
    values.emplace_back(type);
    handles.push_back(values.back().handle());
  }
  values.resize(get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, handles.data()));
  return values;
}

Descriptor& Descriptor::finalize(std::string_view what) {
  const cudnnStatus_t status = cudnn().finalize(handle_);
  if (status != CUDNN_STATUS_SUCCESS) check_cudnn(status, fmt::format("cudnnBackendFinalize of {}", what));
  return *this;
}

cudnnStatus_t Descriptor::try_finalize() {
  const cudnnStatus_t status = cudnn().finalize(handle_);
  if (!refused(status)) check_cudnn(status, "cudnnBackendFinalize");
  return status;
}

Target::Target(const std::string& json) : description_(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR) {
  description_.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, json).finalize("a GPU's properties");
}

void Target::tell(Descriptor& d, cudnnBackendAttributeName_t for_handle) const {
  if (handle_) d.set(for_handle, handle_);
}

void Target::tell_description(Descriptor& d, cudnnBackendAttributeName_t for_description) const {
  if (description_) d.set(for_description, description_);
}

}  // namespace osprey::cuda
