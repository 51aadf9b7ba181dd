#include "train/frames.h"

#include <algorithm>
#include <exception>
#include <thread>

#include "core/bounded_queue.h"
#include "core/error.h"

namespace osprey {
namespace {

struct DetectedFrame {
  VideoFrame frame;
  std::vector<Detection> found;
};

constexpr size_t kAhead = 4;  // frames, between two threads

// Closes the queue when the scope ends, in whatever way, so that the thread at its other end goes on.
template <class T>
struct Closing {
  BoundedQueue<T>& queue;
  ~Closing() { queue.close(); }
};

void read_frames(VideoReader& reader, int64_t max_frames, BoundedQueue<VideoFrame>& to) {
  const Closing<VideoFrame> end{to};
  for (int64_t read = 0; max_frames == 0 || read < max_frames; ++read) {
    std::optional<VideoFrame> frame = reader.next();
    if (!frame || !to.push(std::move(*frame))) return;
  }
}

void use_frames(BoundedQueue<DetectedFrame>& from, const UseFrame& use) {
  const Closing<DetectedFrame> end{from};
  while (const std::optional<DetectedFrame> next = from.pop()) use(next->frame, next->found);
}

// As many as run together, or as there are left.
std::vector<VideoFrame> next_batch(BoundedQueue<VideoFrame>& from, int batch) {
  std::vector<VideoFrame> frames;
  while (int(frames.size()) < batch) {
    std::optional<VideoFrame> frame = from.pop();
    if (!frame) break;
    frames.push_back(std::move(*frame));
  }
  return frames;
}

void detect_batches(BoundedQueue<VideoFrame>& from, int batch, const DetectImages& detect,
                    BoundedQueue<DetectedFrame>& to) {
  const Closing<VideoFrame> end_of_reading{from};
  const Closing<DetectedFrame> end_of_using{to};
  while (true) {
    std::vector<VideoFrame> frames = next_batch(from, batch);
    if (frames.empty()) return;
    std::vector<const ByteImage*> images;
    for (const VideoFrame& frame : frames) images.push_back(&frame.image);
    std::vector<std::vector<Detection>> found = detect(images);
    for (size_t i = 0; i < frames.size(); ++i)
      if (!to.push({std::move(frames[i]), std::move(found[i])})) return;
  }
}

// Runs in a thread of its own; what it throws is kept for error().
class Worker {
 public:
  template <class Work>
  explicit Worker(Work work)
      : thread_([this, work] {
          try {
            work();
          } catch (...) {
            error_ = std::current_exception();
          }
        }) {}

  void finish() {
    thread_.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
  std::jthread thread_;
};

}  // namespace

void detect_frames(VideoReader& reader, const FrameOptions& options, const DetectImages& detect,
                   const UseFrame& use) {
  const bool live = reader.info().live;
  const size_t ahead = live ? size_t(options.batch) : std::max(kAhead, 2 * size_t(options.batch));
  BoundedQueue<VideoFrame> read(ahead, live ? WhenFull::drop_oldest : WhenFull::wait);
  BoundedQueue<DetectedFrame> detected(kAhead);
  Worker reading([&] { read_frames(reader, options.max_frames, read); });
  Worker using_them([&] { use_frames(detected, use); });
  detect_batches(read, options.batch, detect, detected);
  using_them.finish();
  reading.finish();
}

void check_whole(const VideoReader& reader, const std::string& path, int64_t frames) {
  if (reader.info().live) return;
  if (reader.broken())
    fail("{}: {} frames could not be read; the other {} are done", path, reader.broken(), frames);
  if (reader.cut_short())
    fail("{}: the file is cut short; the {} frames that are there are done", path, frames);
}

}  // namespace osprey
