// NVIDIA's libraries are loaded when they are first used: a program that uses none starts sooner, and one
// without them runs. For the GPU build only.
#pragma once

#include <dlfcn.h>

#include <initializer_list>
#include <string>

#include "core/error.h"

namespace osprey::cuda {

// One library. The first of its names that the loader finds is taken, and stays loaded: its functions are
// called to the end of the program.
class Library {
 public:
  Library(std::initializer_list<std::string> names, std::string consequence)
      : consequence_(std::move(consequence)) {
    for (const std::string& name : names)
      if ((handle_ = open(name))) {
        name_ = name;
        return;
      }
    missing(fmt::format("{} was not found", *names.begin()));
  }

  template <class Function>
  void resolve(Function& function, const char* symbol) {
    if (!handle_) return;
    function = reinterpret_cast<Function>(dlsym(handle_, symbol));
    if (!function) missing(fmt::format("{} has no {}", name_, symbol));
  }

  void missing(const std::string& reason) {
    if (missing_.empty()) missing_ = reason + ": " + consequence_;
  }
  const std::string& missing() const { return missing_; }

 private:
  // Where the loader looks by itself (LD_LIBRARY_PATH, ldconfig), then beside the toolkit of the build.
  static void* open(const std::string& name) {
    if (void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
    return dlopen((OSPREY_CUDA_LIBRARIES "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL);
  }

  void* handle_ = nullptr;
  std::string name_, consequence_, missing_;
};

// The headers' major version is the one whose functions we know how to call.
inline std::string soname(const char* name, int major) { return fmt::format("{}.so.{}", name, major); }

}  // namespace osprey::cuda
