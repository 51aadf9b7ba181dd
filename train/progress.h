// A progress bar on a terminal; on anything else a plain line now and then, so that logs stay readable.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace osprey {

class Progress {
 public:
  // Counts from `start` to `total`; without a bar when the total is 0, unknown.
  Progress(std::string what, int64_t total, int64_t start = 0);
  ~Progress();

  // `text` follows the bar. Redrawn at most ten times a second, or a line each ten seconds in a log.
  void update(int64_t done, const std::string& text);
  void finish();  // ends the line; also done by the destructor

  double seconds() const;       // since the start
  double seconds_left() const;  // by the mean speed so far

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_;
  int64_t total_, start_, done_;
  bool terminal_, open_ = false;
  Clock::time_point began_, shown_;
};

std::string duration_text(double seconds);  // "1h 02m", "3m 20s", "12s"

}  // namespace osprey
