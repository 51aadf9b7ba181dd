#include "train/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace osprey {
namespace {

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 100;
}

}  // namespace

std::string duration_text(double seconds) {
  const auto s = int64_t(std::max(seconds, 0.0) + 0.5);
  if (s >= 3600) return fmt::format("{}h {:02}m", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{}m {:02}s", s / 60, s % 60);
  return fmt::format("{}s", s);
}

Progress::Progress(std::string what, int64_t total, int64_t start)
    : what_(std::move(what)),
      total_(total),
      start_(start),
      done_(start),
      terminal_(isatty(STDERR_FILENO)),
      began_(Clock::now()),
      shown_(began_ - std::chrono::hours(1)) {}

Progress::~Progress() { finish(); }

double Progress::seconds() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

double Progress::seconds_left() const {
  const int64_t here = done_ - start_;
  return here > 0 ? seconds() / double(here) * double(total_ - done_) : 0;
}

void Progress::update(int64_t done, const std::string& text) {
  done_ = done;
  const double since = std::chrono::duration<double>(Clock::now() - shown_).count();
  const bool known = total_ > 0;
  if (since < (terminal_ ? 0.1 : 10.0) && !(known && done == total_)) return;
  shown_ = Clock::now();
  const std::string count =
      known ? fmt::format("{} {}/{}", what_, done, total_) : fmt::format("{} {}", what_, done);
  const std::string left = known ? fmt::format("{} left", duration_text(seconds_left())) : "";
  if (!terminal_) {
    std::fprintf(stderr, "%s  %s  %s\n", count.c_str(), text.c_str(), left.c_str());
    return;
  }
  const int cells = known ? 20 : 0;
  std::string bar;
  for (int i = 0; i < cells; ++i) bar += i < int64_t(cells) * done / total_ ? "█" : "░";
  std::string rest = fmt::format(" {}  {}  {}", count, text, left);
  rest.resize(std::min(rest.size(), size_t(std::max(terminal_width() - cells - 1, 20))));
  std::fprintf(stderr, "\r%s%s\x1b[K", bar.c_str(), rest.c_str());
  std::fflush(stderr);
  open_ = true;
}

void Progress::finish() {
  if (open_) std::fputc('\n', stderr);
  open_ = false;
}

}  // namespace osprey
