#include "core/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "core/available_memory.h"
#include "core/error.h"
#include "core/lifetimes.h"

namespace osprey {

namespace {

// Tens of megabytes of weights go by in every pass: on pages of 4 KiB half of the time went into finding
// them. What does not fill a huge page stays on small ones: it would take the whole.
void* allocate_aligned(size_t bytes) {
  constexpr size_t kHugePage = size_t(2) << 20;
  const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kAlignment;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
  if (alignment == kHugePage)
    madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // a wish: it may be refused
#endif
  return memory;
}

}  // namespace

Memory host_memory() {
  return {[](size_t bytes) -> void* {
            // The kernel would promise more, and end the program only when the memory is written to.
            const size_t available = available_memory();
            if (available && bytes > available) return nullptr;
            return allocate_aligned(bytes);
          },
          [](void* p) { std::free(p); }};
}

void clear_pages(void* memory, size_t bytes) {
  const auto page = size_t(sysconf(_SC_PAGESIZE)), first = reinterpret_cast<size_t>(memory);
  const size_t begin = (first + page - 1) / page * page, end = (first + bytes) / page * page;
  char* const whole = reinterpret_cast<char*>(begin);
  if (begin >= end || madvise(whole, end - begin, MADV_DONTNEED) != 0) {
    std::memset(memory, 0, bytes);
    return;
  }
  std::memset(memory, 0, begin - first);
  std::memset(whole + (end - begin), 0, first + bytes - end);
}

Arena::Arena(std::string name, Memory memory) : name_(std::move(name)), memory_(std::move(memory)) {}

Arena::~Arena() {
  if (data_) memory_.release(data_);
}

void Arena::reserve(size_t bytes) {
  if (bytes <= bytes_) return;
  if (data_) memory_.release(data_);
  bytes_ = 0;
  data_ = static_cast<char*>(memory_.allocate(bytes));
  if (!data_)
    fail(
        "{} needs {:.0f} MiB, more memory than there is: use a smaller batch (or more subdivisions) or input "
        "size",
        name_, double(bytes) / (1 << 20));
  bytes_ = bytes;
}

}  // namespace osprey
