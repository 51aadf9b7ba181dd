// Fibers: flows of control that a host thread runs in turn, each on a stack of its own. The emulation makes
// one for each CUDA thread that waits at a barrier. Boost.Context switches in a few nanoseconds, without the
// kernel of the system; the sanitizers are told of each switch.
#pragma once

#include <pthread.h>
#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <new>
#include <string>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
// What switches may not itself be watched by the race detector: it belongs to both fibers.
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define NOT_INSTRUMENTED __attribute__((no_sanitize("thread")))
#else
#define NOT_INSTRUMENTED
#endif

namespace osprey::emulation {

struct Fiber {
  void* context = nullptr;      // where it goes on
  const void* stack = nullptr;  // the lowest address
  size_t stack_bytes = 0;
  void* asan_stack = nullptr;  // the address sanitizer's notes while another fiber runs
  void* tsan_fiber = nullptr;
};

// To the race detector a fiber is a thread of its own, and a switch orders nothing ("no sync").
#if defined(__SANITIZE_THREAD__)
NOT_INSTRUMENTED inline void become(const Fiber& f) {
  __tsan_switch_to_fiber(f.tsan_fiber, __tsan_switch_to_fiber_no_sync);
}
#else
inline void become(const Fiber&) {}
#endif

// Runs `to` from where it last left off; returns when some fiber switches back to `from`.
NOT_INSTRUMENTED inline void switch_fibers(Fiber& from, Fiber& to) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.asan_stack, to.stack, to.stack_bytes);
#endif
  become(to);
  const auto arrived = boost::context::detail::jump_fcontext(to.context, &from);
  static_cast<Fiber*>(arrived.data)->context = arrived.fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.asan_stack, nullptr, nullptr);
#endif
}

// The flow of control that a host thread has anyway.
class HostFiber : public Fiber {
 public:
  HostFiber() {
#if defined(__SANITIZE_ADDRESS__)
    pthread_attr_t attributes;
    void* lowest = nullptr;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &lowest, &stack_bytes);
    pthread_attr_destroy(&attributes);
    stack = lowest;
#elif defined(__SANITIZE_THREAD__)
    tsan_fiber = __tsan_get_current_fiber();
#endif
  }
};

// A fiber with a stack, below which lies a page that may not be touched: a kernel's overflow stops at once.
// Runs kMain(), which never returns, when first switched to.
template <void (*kMain)()>
class StackFiber : public Fiber {
 public:
  // Stacks begin at different lines of their pages, so that the caches keep the ends of many. `number`: of
  // the fibers of a host thread.
  explicit StackFiber(size_t number)
      : memory_(mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory_, kGuardBytes, PROT_NONE);
    stack = static_cast<char*>(memory_) + kGuardBytes;
    stack_bytes = kStackBytes - number % 16 * 448;
    context = boost::context::detail::make_fcontext(static_cast<char*>(memory_) + kGuardBytes + stack_bytes,
                                                    stack_bytes, enter);
#if defined(__SANITIZE_THREAD__)
    tsan_fiber = __tsan_create_fiber(0);
    __tsan_set_fiber_name(tsan_fiber, ("CUDA thread " + std::to_string(number)).c_str());
#endif
  }
  ~StackFiber() {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stack, stack_bytes);  // of the frames that were never left
#elif defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(tsan_fiber);
#endif
    munmap(memory_, kGuardBytes + kStackBytes);
  }
  StackFiber(const StackFiber&) = delete;
  StackFiber& operator=(const StackFiber&) = delete;

 private:
  static constexpr size_t kStackBytes = 256 * 1024;
  static constexpr size_t kGuardBytes = 4096;

  NOT_INSTRUMENTED static void enter(boost::context::detail::transfer_t arrived) {
    static_cast<Fiber*>(arrived.data)->context = arrived.fctx;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    kMain();
  }

  void* memory_;
};

}  // namespace osprey::emulation
