#include "apps/device.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string_view>

#include "core/error.h"
#include "cuda/runtime.h"

namespace osprey {

Device DeviceOptions::device() const {
  if (name == "cpu") return Device::cpu;
  if (name == "cuda" && !cuda::has_gpu_kernels())
    fail(
        "--device cuda: this build has no kernels for a GPU, since no CUDA toolkit was found when it was "
        "configured; --device emulated runs them on the CPU, slowly");
  return Device::cuda;
}

std::optional<Precision> DeviceOptions::precision() const {
  if (precision_name.empty()) return std::nullopt;
  const auto at = std::find(std::begin(kPrecisionNames), std::end(kPrecisionNames), precision_name);
  return Precision(at - std::begin(kPrecisionNames));
}

ConvolutionAlgorithm DeviceOptions::convolution() const {
  const auto at =
      std::find(std::begin(kConvolutionAlgorithms), std::end(kConvolutionAlgorithms), convolution_name);
  return ConvolutionAlgorithm(at - std::begin(kConvolutionAlgorithms));
}

void add_device_options(CLI::App& command, DeviceOptions& options) {
  command
      .add_option(
          "--device", options.name,
          "cpu, cuda (a GPU), or emulated: the kernels of the GPU, run by the CPU to study and test them")
      ->check(CLI::IsMember({"cpu", "cuda", "emulated"}))
      ->capture_default_str();
  command
      .add_option("--precision", options.precision_name,
                  "fp32, tf32 or bf16, instead of precision in [net]; the CPU has no tf32, and bf16 "
                  "where it has avx512_bf16")
      ->check(
          CLI::IsMember(std::vector<std::string>(std::begin(kPrecisionNames), std::end(kPrecisionNames))));
  command
      .add_option(
          "--convolution", options.convolution_name,
          "how the CPU convolves: automatic takes the fastest for each shape, found by the clock once and "
          "remembered; any other gives the same digits on every run and machine of its kind")
      ->check(CLI::IsMember(
          std::vector<std::string>(std::begin(kConvolutionAlgorithms), std::end(kConvolutionAlgorithms))))
      ->capture_default_str();
}

void hand_over_to_emulation(int argc, char** argv) {
  if (cuda::emulated()) return;
  bool wanted = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    wanted |= argument == "--device=emulated";
    wanted |= argument == "--device" && i + 1 < argc && std::string_view(argv[i + 1]) == "emulated";
  }
  if (!wanted) return;
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "osprey-emulated";
  execv(program.c_str(), argv);
  fail("--device emulated: {} could not be started: it is a program of its own, built beside osprey",
       program.string());
}

}  // namespace osprey
