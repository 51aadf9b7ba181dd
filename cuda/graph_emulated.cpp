#include <string>
#include <utility>

#include "core/error.h"
#include "cuda/graph.h"
#include "cuda/guard.h"
#include "cuda/recording.h"

namespace osprey {
namespace emulation {
namespace {

// Of this host thread, as in CUDA's thread-local mode: other threads go on as always.
struct Recording {
  void* stream = nullptr;  // null: nothing is captured
  std::vector<Work> work;
  std::string spoiled_by;
};
thread_local Recording g_recording;

}  // namespace

void enqueue(void* stream, Work work) {
  if (recording() && stream == g_recording.stream) {
    g_recording.work.push_back(std::move(work));
    return;
  }
  if (recording() && !stream) refuse_while_recording("work on the default stream");
  const OpenDeviceMemory open;
  work();
}

void begin_recording(void* stream) { g_recording = {stream, {}, ""}; }

std::vector<Work> end_recording() {
  const Recording done = std::exchange(g_recording, {});
  if (!done.spoiled_by.empty()) fail("{} is not possible during a capture", done.spoiled_by);
  return done.work;
}

bool recording() { return g_recording.stream != nullptr; }

void refuse_while_recording(std::string_view call) {
  if (recording()) fail("{} is not possible during a capture", call);
}

void spoil_recording(std::string_view call) {
  if (recording() && g_recording.spoiled_by.empty()) g_recording.spoiled_by = call;
}

}  // namespace emulation

namespace cuda {
namespace {

using Captured = std::vector<emulation::Work>;

// Ends the recording however the body of a capture ends.
struct EndOfRecording {
  bool needed = true;
  ~EndOfRecording() {
    if (!needed) return;
    try {
      emulation::end_recording();
    } catch (const Error&) {  // the error of the body says more
    }
  }
};

}  // namespace

Graph::~Graph() { release(); }
Graph::Graph(Graph&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

void Graph::release() noexcept { delete static_cast<Captured*>(std::exchange(handle_, nullptr)); }

void Graph::capture(Stream& stream, const std::function<void()>& body) {
  emulation::refuse_while_recording("another capture");
  if (!stream.handle) fail("the default stream cannot be captured: take one of make_stream()");
  release();
  emulation::begin_recording(stream.handle);
  EndOfRecording end;
  body();
  end.needed = false;
  handle_ = new Captured(emulation::end_recording());
}

void Graph::replay(Stream&) {
  if (!captured()) fail("a graph is replayed before it was captured");
  emulation::refuse_while_recording("the replay of a graph");
  const emulation::OpenDeviceMemory open;
  for (const emulation::Work& work : *static_cast<Captured*>(handle_)) work();
}

}  // namespace cuda
}  // namespace osprey
