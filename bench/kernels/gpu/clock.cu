#include "bench/kernels/gpu/clock.h"

#include <algorithm>
#include <vector>

#include "cuda/status.h"

namespace osprey::bench {
namespace {

class Event {
 public:
  Event() { cuda::check(cudaEventCreate(&event_), "making an event"); }
  ~Event() { cuda::check_or_print(cudaEventDestroy(event_), "releasing an event"); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(Stream& s) { cuda::check(cudaEventRecord(event_, cuda::handle(s)), "recording an event"); }
  double seconds_since(const Event& start) {
    float milliseconds = 0;
    cuda::check(cudaEventSynchronize(event_), "waiting for an event");
    cuda::check(cudaEventElapsedTime(&milliseconds, start.event_, event_), "reading the clock");
    return double(milliseconds) / 1000;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

double median_seconds(Stream& s, const std::function<void()>& prepare, const std::function<void()>& body) {
  constexpr int kWarmUp = 5, kRuns = 51;
  Event start, end;
  std::vector<double> seconds;
  for (int run = -kWarmUp; run < kRuns; ++run) {
    prepare();
    start.record(s);
    body();
    end.record(s);
    const double elapsed = end.seconds_since(start);
    if (run >= 0) seconds.push_back(elapsed);
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRuns / 2, seconds.end());
  return seconds[kRuns / 2];
}

}  // namespace osprey::bench
