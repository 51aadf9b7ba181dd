// What cuDNN says of our operation graphs for a GPU that is described to it, not there: whether it takes the
// graphs, which engines it proposes, and that they become plans.

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "cuda/cudnn_plans.h"
#include "cuda/libraries.h"

namespace osprey::test {
namespace {

using namespace osprey::cuda;

constexpr const char* kH200 = R"({
  "deviceName": "NVIDIA H200", "deviceVer": 900, "driverVer": 13000, "cudaDeviceId": 0, "pciDeviceId": 0,
  "isTccDriver": 0, "supportCoopLaunch": 1, "multiProcessorCount": 132, "warpSize": 32,
  "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "maxThreadsPerBlock": 1024,
  "maxThreadsPerSM": 2048, "maxCtasPerSM": 32, "regsPerBlock": 65536, "maxRegistersPerSM": 65536,
  "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448,
  "reservedSharedMemoryPerBlock": 1024, "l2CacheSize": 62914560, "totalGlobalMem": 150000000000,
  "smClockRateKHz": 1980000, "memClockRateKHz": 3201000
})";

// Fused graphs are compiled as they are planned, for which cuDNN asks for the driver. The toolkit's stub of
// it will do until a kernel is to be loaded.
bool driver_or_stub() {
  static void* const driver = [] {
    void* real = dlopen("libcuda.so.1", RTLD_NOW);
    return real ? real : dlopen(OSPREY_CUDA_LIBRARIES "/stubs/libcuda.so", RTLD_NOW);
  }();
  return driver;
}

class CudnnGraphs : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(cudnn_available()) << cudnn_missing();
    h200_ = std::make_unique<Target>(kH200);
  }

  size_t engines(const OperationGraph& graph, bool keep_f32 = false) const {
    return propose_engines(graph, *h200_, keep_f32).size();
  }

  std::unique_ptr<Target> h200_;
};

ConvolutionProblem problem(Shape x, int filters, int size, Type type, int stride = 1, int dilation = 1,
                           int groups = 1) {
  ConvolutionProblem p;
  const Window w = convolution_window(size, stride, size / 2, dilation);
  p.x = x, p.filters = filters, p.input_type = p.output_type = type;
  p.convolution.window = {w, w}, p.convolution.groups = groups;
  return p;
}

// Shapes of detectors, and awkward ones.
std::vector<ConvolutionProblem> problems(Type type) {
  std::vector<ConvolutionProblem> all = {
      problem({8, 52, 52, 64}, 128, 3, type),          problem({8, 416, 416, 3}, 32, 3, type),
      problem({8, 104, 104, 64}, 128, 3, type, 2),     problem({8, 13, 13, 1024}, 255, 1, type),
      problem({8, 32, 32, 64}, 64, 3, type, 1, 2),     problem({8, 32, 32, 64}, 64, 3, type, 1, 1, 4),
      problem({8, 32, 32, 64}, 64, 3, type, 1, 1, 64), problem({1, 1, 1, 1}, 1, 1, type),
      problem({1, 4, 3, 6}, 4, 3, type, 1, 1, 2),      problem({2, 5, 7, 33}, 7, 5, type),
  };
  ConvolutionProblem uneven =
      problem({8, 32, 32, 64}, 64, 3, type, 2);  // one row after the image, none before
  for (Window* w : {&uneven.convolution.window.h, &uneven.convolution.window.w})
    w->before = 0, w->padding = 1;
  all.push_back(uneven);
  ConvolutionProblem oblong = problem({2, 9, 8, 16}, 24, 3, type);
  oblong.convolution.window = {{3, 2, 0, 1, 1}, {2, 1, 1, 1, 2}};
  all.push_back(oblong);
  return all;
}

TEST_F(CudnnGraphs, EveryShapeHasEnginesInAllDirections) {
  for (Type type : {Type::f32, Type::bf16})
    for (const ConvolutionProblem& p : problems(type)) {
      SCOPED_TRACE(p.text());
      const bool keep_f32 = type == Type::f32;
      EXPECT_GT(engines(forward_graph(*h200_, p, false), keep_f32), 0u);
      EXPECT_GT(engines(backward_data_graph(*h200_, p, false), keep_f32), 0u);
      EXPECT_GT(engines(backward_data_graph(*h200_, p, true), keep_f32), 0u) << "added";
      EXPECT_GT(engines(backward_weights_graph(*h200_, p, type, false), keep_f32), 0u);
      if (type == Type::f32) {
        EXPECT_GT(engines(backward_weights_graph(*h200_, p, type, true), true), 0u) << "added";
      }
    }
}

TEST_F(CudnnGraphs, Tf32MustBeAllowed) {
  const ConvolutionProblem p = problem({8, 52, 52, 64}, 128, 3, Type::f32);
  const size_t exact = engines(forward_graph(*h200_, p, false), true),
               all = engines(forward_graph(*h200_, p, false), false);
  EXPECT_GT(exact, 0u);
  EXPECT_GT(all, exact) << "an H200 has engines that round to TF32";
}

TEST_F(CudnnGraphs, EachEngineIsProposedOnceByAName) {
  const auto proposed = propose_engines(
      forward_graph(*h200_, problem({8, 52, 52, 64}, 128, 3, Type::bf16), false), *h200_, false);
  ASSERT_GT(proposed.size(), 8u);
  std::vector<std::string> names;
  for (const EngineConfiguration& e : proposed) names.push_back(e.name);
  EXPECT_EQ(names[0].substr(0, 7), "engine ");
  const auto again = propose_engines(
      forward_graph(*h200_, problem({8, 52, 52, 64}, 128, 3, Type::bf16), false), *h200_, false);
  EXPECT_EQ(again[0].name, names[0]) << "names last from run to run: the cache goes by them";
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST_F(CudnnGraphs, EpiloguesAreFusedInBf16) {
  ASSERT_TRUE(driver_or_stub()) << "no driver, and no stub of it, which comes with the toolkit";
  for (Activation a : {Activation::linear, Activation::relu, Activation::leaky, Activation::swish,
                       Activation::mish, Activation::logistic, Activation::tanh}) {
    ASSERT_TRUE(can_fuse(a));
    ConvolutionProblem p = problem({8, 52, 52, 64}, 128, 3, Type::bf16);
    p.activation = a;
    for (bool bias : {false, true})
      for (bool residual : {false, true}) {
        p.bias = bias, p.residual = residual, p.residual_activation = residual ? a : Activation::linear;
        SCOPED_TRACE(fmt::format("{} bias {} residual {}", kActivationNames[int(a)], bias, residual));
        const OperationGraph graph = forward_graph(*h200_, p, true);
        EXPECT_EQ(graph.tensors.size(), size_t(3 + bias + residual));
        EXPECT_GT(engines(graph), 0u);
      }
  }
  EXPECT_FALSE(can_fuse(Activation::gelu));
}

TEST_F(CudnnGraphs, WeightGradientsOfBf16AreAddedInF32) {
  ASSERT_TRUE(driver_or_stub()) << "no driver, and no stub of it, which comes with the toolkit";
  const OperationGraph graph =
      backward_weights_graph(*h200_, problem({8, 52, 52, 64}, 128, 3, Type::bf16), Type::f32, true);
  EXPECT_EQ(graph.tensors, (std::vector<int64_t>{kX, kY, kWeights, kBefore}));
  EXPECT_GT(engines(graph), 0u);
}

// Of engines that are compiled beforehand everything can be planned. Those compiled now end where the driver
// is to load the kernel, which by then has been compiled.
TEST_F(CudnnGraphs, EnginesBecomePlans) {
  const bool stub = driver_or_stub();
  ConvolutionProblem fused = problem({8, 52, 52, 64}, 128, 3, Type::bf16);
  fused.bias = true, fused.activation = Activation::mish;
  int planned = 0;
  for (const OperationGraph& graph :
       {forward_graph(*h200_, fused, false), backward_data_graph(*h200_, fused, true),
        forward_graph(*h200_, fused, stub)}) {
    const auto proposed = propose_engines(graph, *h200_, false);
    for (size_t i = 0; i < std::min<size_t>(proposed.size(), 2); ++i) try {
        if (make_plan(proposed[i], *h200_)) ++planned;
      } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find("cuLibraryLoadData"), std::string::npos) << e.what();
        ++planned;
      }
  }
  EXPECT_GE(planned, 5);
}

TEST_F(CudnnGraphs, AMistakeIsOneLineThatNamesTheCall) {
  ConvolutionProblem p = problem({1, 4, 4, 64}, 128, 3, Type::f32);
  p.convolution.groups = 3;
  try {
    forward_graph(*h200_, p, false);
    FAIL() << "64 channels in 3 groups were taken";
  } catch (const Error& e) {
    const std::string text = e.what();
    EXPECT_NE(text.find("cudnnBackend"), std::string::npos) << text;
    EXPECT_NE(text.find("CUDNN_STATUS_BAD_PARAM"), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace osprey::test
