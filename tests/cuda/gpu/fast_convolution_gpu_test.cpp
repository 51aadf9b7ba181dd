// The libraries' convolutions against plain loops, on a real GPU: each way that they propose, the choice
// among them, and what a captured graph asks of it.

#include "cuda/fast_convolution.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "core/autotune.h"
#include "core/error.h"
#include "tests/cuda/gpu/device_tensor.h"

namespace osprey::test {
namespace {

using namespace osprey::cuda;

ConvolutionProblem problem(Shape x, int filters, int size, int stride = 1, int dilation = 1, int groups = 1) {
  ConvolutionProblem p;
  const Window w = convolution_window(size, stride, size / 2, dilation);
  p.x = x, p.filters = filters;
  p.convolution.window = {w, w}, p.convolution.groups = groups;
  p.training = p.needs_dx = true;
  return p;
}

std::vector<ConvolutionProblem> awkward_problems() {
  std::vector<ConvolutionProblem> all = {
      problem({1, 1, 1, 1}, 1, 1),
      problem({2, 3, 2, 33}, 3, 1),
      problem({2, 13, 13, 64}, 255, 1),
      problem({4, 1, 1, 128}, 96, 1),
      problem({1, 5, 5, 3}, 33, 3, 2),
      problem({2, 5, 4, 3}, 7, 3),
      problem({2, 26, 26, 64}, 128, 3),
      problem({2, 26, 26, 64}, 128, 3, 2),
      problem({1, 15, 13, 16}, 24, 3, 1, 2),
      problem({1, 4, 3, 6}, 4, 3, 1, 1, 2),
      problem({2, 9, 9, 64}, 64, 3, 1, 1, 4),
      problem({2, 9, 9, 32}, 32, 3, 1, 1, 32),
      problem({1, 2, 3, 8}, 8, 5),
  };
  ConvolutionProblem uneven = problem({2, 8, 8, 16}, 16, 3, 2);
  for (Window* w : {&uneven.convolution.window.h, &uneven.convolution.window.w})
    w->before = 0, w->padding = 1;
  all.push_back(uneven);
  ConvolutionProblem oblong = problem({2, 9, 8, 16}, 24, 3);
  oblong.convolution.window = {{3, 2, 0, 1, 1}, {2, 1, 1, 1, 2}};
  all.push_back(oblong);
  return all;
}

struct Precision {
  Type input, output;
  bool allow_tf32;
};
constexpr Precision kPrecisions[] = {{Type::f32, Type::f32, false},
                                     {Type::f32, Type::f32, true},
                                     {Type::bf16, Type::bf16, false},
                                     {Type::bf16, Type::f32, false}};

ConvolutionProblem with(ConvolutionProblem p, Precision precision) {
  p.input_type = precision.input, p.output_type = precision.output, p.allow_tf32 = precision.allow_tf32;
  return p;
}

enum class Fineness { coarse, fine };

// How far a sum of products may be off. Coarse values make all sums exact in f32; 2^-20 of their magnitude is
// for Winograd's transforms. Fine values round in each of n additions, half a unit, in both directions: 4
// sqrt(n) units, which TF32's 2^-11 of each factor would not keep. What is stored in bf16 is rounded once,
// and once more where something was added to it after that.
double allowed(const Sum& sum, Fineness fineness, Type stored, double before = 0) {
  const double sums = fineness == Fineness::coarse
                          ? 0x1p-20 * sum.magnitude
                          : 4 * std::sqrt(double(sum.terms)) * 0x1p-24 * sum.magnitude;
  const double f32 = sums + 0x1p-23 * std::fabs(sum.value + before) + 1e-30;
  return stored == Type::bf16 ? f32 + 0x1p-8 * (std::fabs(sum.value) + std::fabs(sum.value + before)) : f32;
}

void expect_sums(const Values& got, const Sums& want, Fineness fineness, Type stored,
                 const Values& before = {}) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const double start = before.empty() ? 0 : before[i];
    ASSERT_NEAR(got[i], want[i].value + start, allowed(want[i], fineness, stored, start)) << "at " << i;
  }
}

// Inputs of a problem on the GPU, the sums that they make, and memory to work in: NaN, lest a kernel count on
// it.
struct Setting {
  ConvolutionProblem p;
  Fineness fineness;
  Values x, weights, dy, bias, residual, dx_before, dweights_before;
  ConvolutionSums sums;
  DeviceTensor device_x, device_weights, device_dy, device_bias, device_residual, y, dx, dweights;
  Stream stream{Device::cuda, nullptr};

  static Values values(Shape s, int seed, Fineness f) {
    return f == Fineness::coarse ? coarse_values(s.elements(), seed) : fine_values(s.elements(), seed);
  }
  Setting(const ConvolutionProblem& p, Fineness fineness)
      : p(p),
        fineness(fineness),
        x(values(p.x, 1, fineness)),
        weights(values(p.weights(), 2, fineness)),
        dy(values(p.y(), 3, fineness)),
        bias(values({1, 1, 1, p.filters}, 4, fineness)),
        residual(values(p.y(), 5, fineness)),
        dx_before(values(p.x, 6, fineness)),
        dweights_before(values(p.weights(), 7, fineness)),
        sums(p, x, weights, dy),
        device_x(p.x, p.input_type, x),
        device_weights(p.weights(), p.input_type, weights),
        device_dy(p.y(), p.input_type, dy),
        device_bias({1, 1, 1, p.filters}, Type::f32, bias),
        device_residual(p.y(), p.output_type, residual),
        y(p.y(), p.output_type, Values(p.y().elements(), NAN)),
        dx(p.x, p.input_type, Values(p.x.elements(), NAN)),
        dweights(p.weights(), Type::f32, Values(p.weights().elements(), NAN)) {}

  // y = residual_activation(activation(sum + bias) + residual). No activation here is steeper than 1.1, so
  // the sum's error is passed on. A sum stored in bf16 before its epilogue is rounded twice; and how precise
  // cuDNN's functions are it does not say, but tanh in hardware keeps 11 bits.
  void expect_epilogue() const {
    const double unit = p.input_type == Type::bf16 ? 0x1p-7 : p.allow_tf32 ? 0x1p-10 : 0x1p-20;
    const Values got = y.get();
    for (size_t i = 0; i < got.size(); ++i) {
      const Sum& sum = sums.y[i];
      const float biased = float(sum.value) + (p.bias ? bias[i % p.filters] : 0);
      float want = activate(p.activation, biased);
      if (p.residual) want = activate(p.residual_activation, want + residual[i]);
      const double rounded = unit * (std::fabs(sum.value) + std::fabs(biased) + std::fabs(want));
      ASSERT_NEAR(got[i], want, 1.3 * allowed(sum, fineness, Type::f32) + rounded) << "at " << i;
    }
  }
};

DeviceBytes& poisoned(DeviceBytes& bytes, size_t count) {
  EXPECT_EQ(cudaMemset(bytes.data(), 0xff, count), cudaSuccess);
  return bytes;
}

// One way, in one direction. A last resort may round its sums to bf16 before they are added to f32.
void expect_way(Setting& t, Direction direction, Way& way, bool last_resort) {
  const size_t count = way.workspace_bytes();
  DeviceBytes workspace(count);
  poisoned(workspace, count);
  const auto run = [&](const DeviceTensor& x, const DeviceTensor& weights, const DeviceTensor& y) {
    const ConvolutionProblem& p = t.p;
    way.run(t.stream,
            {Tensor(x).data, Tensor(weights).data, Tensor(y).data,
             p.bias ? t.device_bias.view<float>().data : nullptr,
             p.residual ? Tensor(t.device_residual).data : nullptr},
            workspace.data());
    synchronize(t.stream);
  };
  switch (direction) {
    case Direction::forward:
      t.y.set(Values(t.p.y().elements(), NAN));
      run(t.device_x, t.device_weights, t.y);
      return t.expect_epilogue();
    case Direction::backward_data:
      t.dx.set(Values(t.p.x.elements(), NAN));
      run(t.dx, t.device_weights, t.device_dy);
      return expect_sums(t.dx.get(), t.sums.dx, t.fineness, t.p.input_type);
    case Direction::backward_data_add:
      t.dx.set(t.dx_before);
      run(t.dx, t.device_weights, t.device_dy);
      return expect_sums(t.dx.get(), t.sums.dx, t.fineness, t.p.input_type, t.dx_before);
    case Direction::backward_weights:
      t.dweights.set(t.dweights_before);
      run(t.device_x, t.dweights, t.device_dy);
      return expect_sums(t.dweights.get(), t.sums.dweights, t.fineness,
                         last_resort ? t.p.input_type : Type::f32, t.dweights_before);
  }
}

// Our own kernels, as if they were a library's.
class PlainWay final : public Way {
 public:
  PlainWay(const ConvolutionProblem& p, Direction direction) : p_(p), direction_(direction) {}

  size_t workspace_bytes() const override { return scratch().elements() * sizeof(float); }
  void run(Stream& s, const ConvolutionBuffers& b, void* workspace) override {
    const Tensor x(b.x, p_.x, p_.input_type), weights(b.weights, p_.weights(), p_.input_type);
    const Convolution& c = p_.convolution;
    if (direction_ == Direction::forward) {
      const Tensor y(b.y, p_.y(), p_.output_type), residual(b.residual, y.shape, y.type);
      return convolution_forward(
          s, x, weights, {{b.bias, {1, 1, 1, p_.filters}}, p_.activation, residual, p_.residual_activation},
          y, c);
    }
    const Tensor dy(b.y, p_.y(), p_.input_type);
    if (direction_ != Direction::backward_weights)
      return convolution_backward_data(s, dy, weights, x, direction_ == Direction::backward_data_add, c);
    const View<float> dweights(static_cast<float*>(b.weights), p_.weights());
    convolution_backward_weights(s, x, dy, dweights, {static_cast<float*>(workspace), scratch()}, c);
  }

 private:
  Shape scratch() const { return {1, 1, 1, convolution_scratch(p_.x, p_.filters, p_.convolution)}; }

  ConvolutionProblem p_;
  Direction direction_;
};

std::vector<Proposal> plain_proposals(const ConvolutionProblem& p, Direction direction) {
  return {{"plain", "plain", false, [=] { return std::make_unique<PlainWay>(p, direction); }}};
}

constexpr Direction kDirections[] = {Direction::forward, Direction::backward_data,
                                     Direction::backward_data_add, Direction::backward_weights};

// Not only what the clock would choose here: what it chooses elsewhere, too.
constexpr int kMostTried = 8;  // of a library
TEST(FastConvolutionGpu, EveryWayAgreesWithPlainLoops) {
  for (const ConvolutionProblem& shape : awkward_problems())
    for (Precision precision : kPrecisions) {
      Setting t(with(shape, precision), Fineness::coarse);
      SCOPED_TRACE(t.p.text());
      for (Direction direction : kDirections) {
        int tried = 0;
        for (auto propose : {plain_proposals, cudnn_proposals, cublaslt_proposals}) {
          const int most = tried + kMostTried;
          for (const Proposal& proposal : propose(t.p, direction)) {
            const std::unique_ptr<Way> way = tried < most ? proposal.make() : nullptr;
            if (!way) continue;
            ++tried;
            SCOPED_TRACE(fmt::format("{}, {}", kDirectionNames[int(direction)], proposal.name));
            expect_way(t, direction, *way, proposal.last_resort);
          }
        }
        EXPECT_GT(tried, 1) << kDirectionNames[int(direction)];
      }
    }
}

TEST(FastConvolutionGpu, EveryEpilogueAgreesWithTheFormula) {
  for (int size : {1, 3})
    for (Precision precision : kPrecisions)
      for (Activation a : {Activation::linear, Activation::relu, Activation::leaky, Activation::swish,
                           Activation::mish, Activation::logistic, Activation::tanh, Activation::hardswish})
        for (bool residual : {false, true}) {
          ConvolutionProblem p = with(problem({2, 7, 9, 64}, 48, size), precision);
          p.bias = true, p.residual = residual;
          p.activation = residual && a == Activation::relu ? Activation::linear : a;
          p.residual_activation = residual ? a : Activation::linear;
          Setting t(p, Fineness::coarse);
          SCOPED_TRACE(fmt::format("{} {} residual {}", p.text(), kActivationNames[int(a)], residual));
          std::string family;
          for (auto propose : {plain_proposals, cudnn_proposals, cublaslt_proposals})
            for (const Proposal& proposal : propose(p, Direction::forward)) {
              if (proposal.family == family) continue;  // the best of each
              const std::unique_ptr<Way> way = proposal.make();
              if (!way) continue;
              family = proposal.family;
              SCOPED_TRACE(proposal.name);
              expect_way(t, Direction::forward, *way, proposal.last_resort);
            }
        }
}

TEST(FastConvolutionGpu, F32StaysF32UnlessTf32IsAllowed) {
  for (const ConvolutionProblem& p : {problem({2, 26, 26, 64}, 128, 3), problem({2, 13, 13, 64}, 255, 1)}) {
    Setting t(p, Fineness::fine);
    SCOPED_TRACE(p.text());
    for (Direction direction : kDirections)
      for (auto propose : {plain_proposals, cudnn_proposals, cublaslt_proposals})
        for (const Proposal& proposal : propose(p, direction))
          if (const std::unique_ptr<Way> way = proposal.make()) {
            SCOPED_TRACE(fmt::format("{}, {}", kDirectionNames[int(direction)], proposal.name));
            expect_way(t, direction, *way, proposal.last_resort);
          }
  }
}

// What a layer does in a training step.
void run_all(FastConvolution& fast, Setting& t, void* workspace) {
  fast.forward(t.stream, t.device_x, t.device_weights,
               t.p.bias ? View<const float>(t.device_bias.view<float>()) : View<const float>(),
               t.p.residual ? Tensor(t.device_residual) : Tensor(), t.y, workspace);
  fast.backward_data(t.stream, t.device_dy, t.device_weights, t.dx, false, workspace);
  fast.backward_data(t.stream, t.device_dy, t.device_weights, t.dx, true, workspace);
  fast.backward_weights(t.stream, t.device_x, t.device_dy, t.dweights.view<float>(), workspace);
}

bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(FastConvolutionGpu, TheChosenOneRepeatsItselfBitByBitEagerAndCaptured) {
  for (Precision precision : kPrecisions) {
    const ConvolutionProblem p = with(problem({4, 26, 26, 64}, 128, 3), precision);
    SCOPED_TRACE(p.text());
    const auto fast = make_fast_convolution(p);
    ASSERT_TRUE(fast);
    Setting t(p, Fineness::fine);
    const size_t count = fast->workspace_bytes();
    DeviceBytes workspace(count + 16);
    void* const unaligned = static_cast<char*>(workspace.data()) + 16;  // any start will do
    const auto restart = [&] {
      poisoned(workspace, count + 16);
      t.y.set(Values(p.y().elements(), NAN));
      t.dx.set(Values(p.x.elements(), NAN));
      t.dweights.set(t.dweights_before);
    };
    restart();
    run_all(*fast, t, unaligned);
    const Values y = t.y.get(), dx = t.dx.get(), dweights = t.dweights.get();
    cudaStream_t stream;
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    t.stream.handle = stream;
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    run_all(*fast, t, unaligned);
    cudaGraph_t graph;
    ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    cudaGraphExec_t executable;
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    for (int replay = 0; replay < 3; ++replay) {
      restart();
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
      ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
      EXPECT_TRUE(same_bits(t.y.get(), y) && same_bits(t.dx.get(), dx) &&
                  same_bits(t.dweights.get(), dweights));
    }
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
  }
}

TEST(FastConvolutionGpu, ConnectedIsAProductOfCublasLt) {
  for (Precision precision : kPrecisions)
    for (Shape x : {Shape{1, 1, 1, 1}, Shape{5, 1, 1, 33}, Shape{64, 1, 1, 1024}}) {
      ConvolutionProblem p = with(problem(x, 40, 1), precision);
      p.bias = true;
      SCOPED_TRACE(p.text());
      const auto fast = make_fast_gemm(p);
      // Rows of an odd number of bf16 start at no multiple of 4 bytes, which cuBLASLt may refuse.
      if (!fast && precision.input == Type::bf16 && x.c % 2 != 0) continue;
      ASSERT_TRUE(fast);
      Setting t(p, Fineness::coarse);
      DeviceBytes workspace(fast->workspace_bytes());
      t.dweights.set(t.dweights_before);
      run_all(*fast, t, workspace.data());
      synchronize(t.stream);
      t.expect_epilogue();
      expect_sums(t.dweights.get(), t.sums.dweights, t.fineness, p.input_type, t.dweights_before);
    }
}

// In a thread of its own, which has made no convolution yet.
template <class Body>
void in_a_fresh_thread(Body&& body) {
  std::thread(body).join();
}

TEST(FastConvolutionGpu, ChoicesAreKeptInTheFile) {
  ConvolutionProblem p = problem({2, 13, 13, 32}, 32, 3);
  p.training = p.needs_dx = false;
  ASSERT_TRUE(make_fast_convolution(p));
  ASSERT_TRUE(std::filesystem::exists(autotune_path())) << autotune_path();
  const auto before = std::filesystem::last_write_time(autotune_path());
  in_a_fresh_thread([&] { EXPECT_TRUE(make_fast_convolution(p)); });
  EXPECT_EQ(std::filesystem::last_write_time(autotune_path()), before) << "it was chosen anew";
}

TEST(FastConvolutionGpu, WithoutTimingTheFirstProposalIsRight) {
  setenv("OSPREY_AUTOTUNE", "0", 1);
  in_a_fresh_thread([] {
    const ConvolutionProblem p = with(problem({2, 13, 13, 64}, 40, 3), {Type::bf16, Type::bf16, false});
    const auto fast = make_fast_convolution(p);
    ASSERT_TRUE(fast);
    Setting t(p, Fineness::coarse);
    DeviceBytes workspace(fast->workspace_bytes());
    t.dweights.set(t.dweights_before);
    run_all(*fast, t, workspace.data());
    synchronize(t.stream);
    t.expect_epilogue();
    expect_sums(t.dweights.get(), t.sums.dweights, t.fineness, p.input_type, t.dweights_before);
  });
  unsetenv("OSPREY_AUTOTUNE");
}

}  // namespace
}  // namespace osprey::test
