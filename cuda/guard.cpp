#include "cuda/guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <string_view>

#include <fmt/format.h>

namespace osprey::emulation {
namespace {

// Lives as long as the program: threads may end, and allocations be released, after main() has.
struct Guarded {
  std::mutex mutex;
  std::map<char*, size_t> allocations;  // bytes from an address, in whole pages
  int open = 0;                         // how many OpenDeviceMemory there are
};
Guarded& guarded() {
  static Guarded& all = *new Guarded;
  return all;
}

bool asked_for() {
  const char* value = std::getenv("OSPREY_GUARD_DEVICE");
  return value && std::string_view(value) == "1";
}
bool& switched_on() {
  static bool on = asked_for();
  return on;
}

bool holds(const Guarded& g, const char* address) {
  auto after = g.allocations.upper_bound(const_cast<char*>(address));
  return after != g.allocations.begin() && address < (--after)->first + after->second;
}

struct sigaction g_previous;

// Says what happened, and lets the fault happen again, to end the program as it would have ended.
void explain(int, siginfo_t* info, void*) {
  Guarded& g = guarded();
  const std::unique_lock lock(g.mutex, std::try_to_lock);  // waiting in here could be for ever
  if (lock.owns_lock() && holds(g, static_cast<char*>(info->si_addr))) {
    char text[160];
    const auto end = fmt::format_to_n(text, sizeof text,
                                      "the host touched device memory at {}, outside of kernels and copies\n",
                                      info->si_addr);
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text, end.size);
  }
  sigaction(SIGSEGV, &g_previous, nullptr);
}

void install_handler() {
  struct sigaction action = {};
  action.sa_sigaction = explain;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &g_previous);
}

void protect_all(const Guarded& g, int protection) {
  for (const auto& [address, bytes] : g.allocations) mprotect(address, bytes, protection);
}

}  // namespace

void guard_memory(bool on) { switched_on() = on; }
bool guards_memory() { return switched_on(); }

void* guarded_allocate(size_t bytes) {
  static const bool installed = (install_handler(), true);
  (void)installed;
  const size_t page = size_t(sysconf(_SC_PAGESIZE));
  const size_t whole = (bytes + page - 1) / page * page;
  Guarded& g = guarded();
  const std::lock_guard lock(g.mutex);
  void* memory = mmap(nullptr, whole ? whole : page, g.open > 0 ? PROT_READ | PROT_WRITE : PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  g.allocations[static_cast<char*>(memory)] = whole ? whole : page;
  return memory;
}

bool guarded_release(void* memory) {
  Guarded& g = guarded();
  const std::lock_guard lock(g.mutex);
  const auto found = g.allocations.find(static_cast<char*>(memory));
  if (found == g.allocations.end()) return false;
  munmap(memory, found->second);
  g.allocations.erase(found);
  return true;
}

OpenDeviceMemory::OpenDeviceMemory() {
  Guarded& g = guarded();
  const std::lock_guard lock(g.mutex);
  if (g.open++ == 0) protect_all(g, PROT_READ | PROT_WRITE);
}

OpenDeviceMemory::~OpenDeviceMemory() {
  Guarded& g = guarded();
  const std::lock_guard lock(g.mutex);
  if (--g.open == 0) protect_all(g, PROT_NONE);
}

}  // namespace osprey::emulation
