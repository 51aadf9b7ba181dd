#include "cuda/graph.h"

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "cuda/launch.h"
#include "cuda/status.h"

namespace osprey::cuda {
namespace {

thread_local bool g_capturing = false;

// A captured graph, while it is made into one that can be started.
struct Captured {
  cudaGraph_t graph = nullptr;
  ~Captured() {
    if (graph) check_or_print(cudaGraphDestroy(graph), "releasing a captured graph");
  }
};

// Ends the capture however its body ends, so that the stream can be used again.
class Capture {
 public:
  // In thread-local mode CUDA refuses what may not be captured (allocations, waiting) in this thread, where
  // it would be our fault, and leaves threads alone that load images meanwhile.
  explicit Capture(Stream& stream) : stream_(stream) {
    check(cudaStreamBeginCapture(handle(stream), cudaStreamCaptureModeThreadLocal), "beginning a capture");
    g_capturing = true;
  }
  ~Capture() {
    if (!g_capturing) return;
    Captured abandoned;
    end(abandoned);  // fails because the body did, whose error says more
    cudaGetLastError();
  }
  cudaError_t end(Captured& captured) {
    g_capturing = false;
    return cudaStreamEndCapture(handle(stream_), &captured.graph);
  }

 private:
  Stream& stream_;
};

}  // namespace

Graph::~Graph() { release(); }
Graph::Graph(Graph&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

void Graph::release() noexcept {
  if (!handle_) return;
  const auto graph = static_cast<cudaGraphExec_t>(std::exchange(handle_, nullptr));
  check_or_print(cudaGraphExecDestroy(graph), "releasing a graph");
}

void Graph::capture(Stream& stream, const std::function<void()>& body) {
  if (g_capturing) fail("another capture is not possible during a capture");
  if (!stream.handle) fail("the default stream cannot be captured: take one of make_stream()");
  release();
  Captured captured;
  Capture capture(stream);
  body();
  const cudaError_t status = capture.end(captured);
  if (status != cudaSuccess)
    check(status, "ending a capture, of which " + std::string(last_kernel()) + " was the last kernel");
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, captured.graph, 0), "making a captured graph executable");
  handle_ = executable;
}

void Graph::replay(Stream& stream) {
  if (!captured()) fail("a graph is replayed before it was captured");
  if (g_capturing) fail("the replay of a graph is not possible during a capture");
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(handle_), handle(stream)), "starting a graph");
  check_launch("a kernel of a graph", stream);
}

}  // namespace osprey::cuda
