#include "train/interrupt.h"

#include <atomic>
#include <csignal>

namespace osprey {
namespace {

std::atomic<bool> g_requested = false;  // a signal handler may set it, since it needs no lock
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int signal) {
  g_requested = true;
  std::signal(signal, SIG_DFL);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  g_requested = false;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool InterruptGuard::requested() const { return g_requested; }

}  // namespace osprey
