// A step recorded once and replayed: kernels, copies and fills, started by one call without the host's part
// in each.
#pragma once

#include <functional>

#include "core/stream.h"

namespace osprey::cuda {

// Arguments are frozen as they were during the capture. A replay reads what memory holds at that time, so
// what changes from step to step must be in device memory, or in pinned memory that the graph copies from.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;

  // Records what `body` starts on a stream of make_stream(), and runs nothing. Replaces what was captured
  // before. An Error if body() allocates, releases or synchronizes, or captures again; the stream can be used
  // after that, and after an exception of body() itself.
  void capture(Stream&, const std::function<void()>& body);

  // Starts all of it, in the order of the stream.
  void replay(Stream&);

  bool captured() const { return handle_ != nullptr; }

 private:
  void release() noexcept;
  void* handle_ = nullptr;  // the cudaGraphExec_t
};

}  // namespace osprey::cuda
