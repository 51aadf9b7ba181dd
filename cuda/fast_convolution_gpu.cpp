// The fastest way for each direction of a convolution, among all that the libraries propose.

#include <cuda_runtime_api.h>

#include <array>
#include <cassert>
#include <map>
#include <mutex>
#include <utility>

#include "core/autotune.h"
#include "core/error.h"
#include "core/log.h"
#include "cuda/convolution_ways.h"
#include "cuda/libraries.h"
#include "cuda/library_functions.h"
#include "cuda/runtime.h"

namespace osprey::cuda {
namespace {

// Device memory with an owner.
class DeviceBlock {
 public:
  DeviceBlock() = default;
  explicit DeviceBlock(size_t bytes) : data_(allocate(bytes)), bytes_(bytes) {}
  ~DeviceBlock() {
    if (data_) release(data_);
  }
  DeviceBlock(DeviceBlock&& o) noexcept : data_(std::exchange(o.data_, nullptr)), bytes_(o.bytes_) {}
  DeviceBlock& operator=(DeviceBlock&& o) noexcept {
    std::swap(data_, o.data_), std::swap(bytes_, o.bytes_);
    return *this;
  }
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Where ways are tried: a stream of its own, and tensors of the problem's shapes that hold small numbers.
class TrialGround {
 public:
  explicit TrialGround(const ConvolutionProblem& p)
      : x_(block(p.x, p.input_type)),
        weights_(block(p.weights(), Type::f32)),                                      // their gradient is f32
        y_(block(p.y(), p.input_type == p.output_type ? p.input_type : Type::f32)) {  // its gradient is not
    if (p.bias) bias_ = block({1, 1, 1, p.filters}, Type::f32);
    if (p.residual) residual_ = block(p.y(), p.output_type);
    check_cuda(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    stream_ = {Device::cuda, handle_};
    check_cuda(cudaEventCreate(&start_), "cudaEventCreate");
    check_cuda(cudaEventCreate(&stop_), "cudaEventCreate");
    // 0x3c3c3c3c is 0.0115 in f32, and 0x3c3c the same in bf16: not zero, whose products cost less power and
    // so less time.
    for (const DeviceBlock* b : {&x_, &weights_, &y_, &bias_, &residual_})
      if (b->data()) check_cuda(cudaMemsetAsync(b->data(), 0x3c, b->bytes(), handle_), "cudaMemsetAsync");
    synchronize(stream_);
  }
  ~TrialGround() {
    cudaEventDestroy(start_);
    cudaEventDestroy(stop_);
    cudaStreamDestroy(handle_);
  }
  TrialGround(const TrialGround&) = delete;
  TrialGround& operator=(const TrialGround&) = delete;

  // Whether it runs at all. Also loads its kernels, which a graph must not meet for the first time in
  // capture.
  bool runs(Way& way) {
    try {
      if (way.workspace_bytes() > workspace_.bytes())
        workspace_ = DeviceBlock(), workspace_ = DeviceBlock(way.workspace_bytes());
      run(way);
      synchronize(stream_);
      return true;
    } catch (const Error&) {
      // The error of that one call is forgotten; if the GPU itself is broken, all that follows fails.
      cudaGetLastError();
      check_cuda(cudaStreamSynchronize(handle_), "cudaStreamSynchronize");
      return false;
    }
  }

  // The fastest of some runs: whatever else the machine does only adds.
  double seconds(Way& way) {
    constexpr int kRuns = 5;
    float least = 0;
    for (int i = 0; i < kRuns; ++i) {
      check_cuda(cudaEventRecord(start_, handle_), "cudaEventRecord");
      run(way);
      check_cuda(cudaEventRecord(stop_, handle_), "cudaEventRecord");
      check_cuda(cudaEventSynchronize(stop_), "cudaEventSynchronize");
      float milliseconds = 0;
      check_cuda(cudaEventElapsedTime(&milliseconds, start_, stop_), "cudaEventElapsedTime");
      if (i == 0 || milliseconds < least) least = milliseconds;
    }
    return least / 1e3;
  }

 private:
  static DeviceBlock block(Shape s, Type type) { return DeviceBlock(size_t(s.elements()) * bytes_of(type)); }

  void run(Way& way) {
    way.run(stream_,
            {x_.data(), weights_.data(), y_.data(), static_cast<float*>(bias_.data()), residual_.data()},
            workspace_.data());
  }

  DeviceBlock x_, weights_, y_, bias_, residual_, workspace_;
  cudaStream_t handle_ = nullptr;
  cudaEvent_t start_ = nullptr, stop_ = nullptr;
  Stream stream_;
};

std::string epilogue_text(const ConvolutionProblem& p) {
  std::string text = p.bias ? " + bias" : "";
  if (p.activation != Activation::linear) text += fmt::format(" {}", kActivationNames[int(p.activation)]);
  if (p.residual) text += fmt::format(" + residual {}", kActivationNames[int(p.residual_activation)]);
  return text;
}

using Propose = std::vector<Proposal> (*)(const ConvolutionProblem&, Direction);

struct Libraries {
  const char* names;
  std::vector<Propose> proposals;
};

// All that the choice depends on.
std::string key_of(const ConvolutionProblem& p, Direction direction, const Libraries& libraries) {
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, current_device()), "cudaGetDeviceProperties");
  return fmt::format("{} {}{}; {}; {} {} {}", kDirectionNames[int(direction)], p.text(),
                     direction == Direction::forward ? epilogue_text(p) : "", properties.name,
                     libraries.names, cudnn_version(), cublaslt_version());
}

// What a library refuses is null without a word; what goes wrong is told, and the next proposal is taken.
std::unique_ptr<Way> made_or_warned(const Proposal& proposal, const ConvolutionProblem& p) {
  try {
    return proposal.make();
  } catch (const Error& e) {
    warn("{} cannot be used for the {}: {}", proposal.name, p.text(), e.what());
    return nullptr;
  }
}

// A kernel that needs more is not worth the room that the network would lose.
constexpr size_t kMostWorkspace = 1 << 30;

// Without a ground to try them on, the first way that can be made is taken.
std::shared_ptr<Way> choose_way(const ConvolutionProblem& p, Direction direction, const Libraries& libraries,
                                const std::string& key, TrialGround* ground, AutotuneCache* cache) {
  std::vector<Proposal> proposals;
  for (Propose propose : libraries.proposals) try {
      for (Proposal& proposal : propose(p, direction)) proposals.push_back(std::move(proposal));
    } catch (const Error& e) {
      warn("no proposals for the {}: {}", p.text(), e.what());
    }
  // A way once made is kept until the choice is made, so that the chosen one is not made twice.
  std::vector<std::unique_ptr<Way>> ways(proposals.size());
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < proposals.size(); ++i)
    candidates.push_back({proposals[i].name, proposals[i].family, proposals[i].last_resort,
                          [&, i] {
                            if (!ways[i]) ways[i] = made_or_warned(proposals[i], p);
                            if (!ways[i] || ways[i]->workspace_bytes() > kMostWorkspace) return false;
                            return !ground || ground->runs(*ways[i]);
                          },
                          [&, i] { return ground->seconds(*ways[i]); }});
  const std::optional<size_t> chosen = choose(key, candidates, ground ? cache : nullptr);
  return chosen ? std::move(ways[*chosen]) : nullptr;
}

using Ways = std::array<std::shared_ptr<Way>, 4>;  // by Direction; null where the problem does not need it

class TunedConvolution final : public FastConvolution {
 public:
  TunedConvolution(const ConvolutionProblem& p, Ways ways) : problem_(p), ways_(std::move(ways)) {}

  // Some bytes more than the kernels need, so that theirs start where they want.
  size_t workspace_bytes() const override {
    size_t most = 0;
    for (const auto& way : ways_)
      if (way) most = std::max(most, way->workspace_bytes());
    return most ? most + kWorkspaceAlignment : 0;
  }

  void forward(Stream& s, Tensor x, Tensor weights, View<const float> bias, Tensor residual, Tensor y,
               void* workspace) override {
    assert(x.shape == problem_.x && x.type == problem_.input_type && weights.type == problem_.input_type);
    assert(y.shape == problem_.y() && y.type == problem_.output_type);
    assert(bool(bias) == problem_.bias && bool(residual) == problem_.residual);
    run(Direction::forward, s, {x.data, weights.data, y.data, bias.data, residual.data}, workspace);
  }
  void backward_data(Stream& s, Tensor dy, Tensor weights, Tensor dx, bool add, void* workspace) override {
    assert(dy.type == problem_.input_type && weights.type == problem_.input_type);
    assert(dx.shape == problem_.x && dx.type == problem_.input_type);
    run(add ? Direction::backward_data_add : Direction::backward_data, s, {dx.data, weights.data, dy.data},
        workspace);
  }
  void backward_weights(Stream& s, Tensor x, Tensor dy, View<float> dweights, void* workspace) override {
    assert(x.type == problem_.input_type && dy.type == problem_.input_type);
    assert(dweights.shape == problem_.weights());
    run(Direction::backward_weights, s, {x.data, dweights.data, dy.data}, workspace);
  }

 private:
  void run(Direction direction, Stream& s, const ConvolutionBuffers& buffers, void* workspace) {
    Way* way = ways_[size_t(direction)].get();
    if (!way) fail("{} was not planned for the {}", problem_.text(), kDirectionNames[int(direction)]);
    const uintptr_t start = workspace_aligned(reinterpret_cast<uintptr_t>(workspace));
    way->run(s, buffers, reinterpret_cast<void*>(start));
  }

  ConvolutionProblem problem_;
  Ways ways_;
};

// Room to try the ways of a problem, if the GPU has it.
std::unique_ptr<TrialGround> ground_for(const ConvolutionProblem& p) {
  try {
    return std::make_unique<TrialGround>(p);
  } catch (const Error& e) {
    warn("no room to time the ways of the {}, so the library's first proposal is taken: {}", p.text(),
         e.what());
    return nullptr;
  }
}

std::unique_ptr<FastConvolution> tuned(const ConvolutionProblem& p, const Libraries& libraries) {
  static AutotuneCache cache(autotune_path());
  static std::mutex mutex;  // nothing is timed while another thread does the same
  // Layers of one shape share their ways, and so does a network that comes back to an earlier size of input.
  // Ways keep to their thread, as the handles of the libraries do.
  thread_local std::map<std::pair<int, std::string>, std::shared_ptr<Way>> made;
  const std::lock_guard lock(mutex);
  std::vector<Direction> needed = {Direction::forward};
  if (p.needs_dx) needed.insert(needed.end(), {Direction::backward_data, Direction::backward_data_add});
  if (p.training) needed.push_back(Direction::backward_weights);
  Ways ways;
  std::unique_ptr<TrialGround> ground;
  for (Direction direction : needed) {
    const std::string key = key_of(p, direction, libraries);
    std::shared_ptr<Way>& way = made[{current_device(), key}];
    if (!way) {
      if (!ground) ground = ground_for(p);
      way = choose_way(p, direction, libraries, key, ground.get(), autotune_wanted() ? &cache : nullptr);
    }
    if (!way) return nullptr;
    ways[size_t(direction)] = way;
  }
  cache.save();
  return std::make_unique<TunedConvolution>(p, std::move(ways));
}

std::unique_ptr<FastConvolution> tuned_or_warned(const ConvolutionProblem& p, const Libraries& libraries) {
  try {
    return tuned(p, libraries);
  } catch (const Error& e) {
    warn("{} runs on the plain kernels, slower: {}", p.text(), e.what());
    return nullptr;
  }
}

}  // namespace

std::unique_ptr<FastConvolution> make_fast_convolution(const ConvolutionProblem& p) {
  if (!cudnn_available()) {
    warn("{}", cudnn_missing());
    return nullptr;
  }
  if (!cublaslt_available()) return tuned_or_warned(p, {"cuDNN", {cudnn_proposals}});
  return tuned_or_warned(p, {"cuDNN and cuBLASLt", {cudnn_proposals, cublaslt_proposals}});
}

std::unique_ptr<FastConvolution> make_fast_gemm(const ConvolutionProblem& p) {
  if (!cublaslt_available()) {
    warn("{}", cublaslt_missing());
    return nullptr;
  }
  return tuned_or_warned(p, {"cuBLASLt", {cublaslt_proposals}});
}

}  // namespace osprey::cuda
