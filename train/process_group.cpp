#include "train/process_group.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace osprey {
namespace {

constexpr size_t kPartBytes = 1 << 20;
constexpr size_t kHeadBytes = 4096;
constexpr size_t kLineBytes = 64;

// A part of each process, and their sum.
size_t memory_bytes(int size) { return kHeadBytes + (size_t(size) + 1) * kPartBytes; }

}  // namespace

// At the start of the shared memory; the parts follow.
struct ProcessGroup::Meeting {
  pthread_barrier_t barrier;
  std::atomic_flag one_failed;
};

ProcessGroup::Meeting* ProcessGroup::joined_ = nullptr;

ProcessGroup::Memory::Memory(int size) : file_(memfd_create("osprey", 0)), size_(size) {
  const size_t bytes = memory_bytes(size);
  if (file_ < 0 || ftruncate(file_, off_t(bytes)) != 0)
    fail("no memory for {} processes to share: {}", size, std::strerror(errno));
  void* memory = mmap(nullptr, kHeadBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (memory == MAP_FAILED) fail("no memory for {} processes to share: {}", size, std::strerror(errno));
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&static_cast<Meeting*>(memory)->barrier, &attributes, unsigned(size));
  munmap(memory, kHeadBytes);
}

std::string ProcessGroup::Memory::place_of(int rank) const {
  return fmt::format("{}:{}:{}", file_, rank, size_);
}

ProcessGroup& ProcessGroup::own() {
  static ProcessGroup group = [] {
    ProcessGroup joined;
    if (const char* place = std::getenv(kVariable)) joined.join(place);
    return joined;
  }();
  return group;
}

void ProcessGroup::join(const std::string& place) {
  int file = -1;
  if (std::sscanf(place.c_str(), "%d:%d:%d", &file, &rank_, &size_) != 3 || size_ < 1 || rank_ < 0 ||
      rank_ >= size_)
    fail("{}={}: is set by osprey alone, for the processes that it starts", kVariable, place);
  void* memory = mmap(nullptr, memory_bytes(size_), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) fail("{}={}: {}", kVariable, place, std::strerror(errno));
  joined_ = meeting_ = static_cast<Meeting*>(memory);
}

void ProcessGroup::let_one_fail() {
  if (joined_ && joined_->one_failed.test_and_set())
    while (true) pause();
}

char* ProcessGroup::part(size_t index) const {
  return reinterpret_cast<char*>(meeting_) + kHeadBytes + index * kPartBytes;
}

void ProcessGroup::wait() {
  if (meeting_) pthread_barrier_wait(&meeting_->barrier);
}

// Part by part: all write theirs, each adds up a share of the numbers, all read the sum. Who then writes the
// next part disturbs nobody who still reads the sum, which is written only when all have come so far.
template <class T>
void ProcessGroup::add_up(T* values, size_t count) {
  if (!meeting_) return;
  constexpr size_t kMost = kPartBytes / sizeof(T), kLine = kLineBytes / sizeof(T);
  const size_t processes = size_t(size_), rank = size_t(rank_);
  const auto numbers = [&](size_t index) { return reinterpret_cast<T*>(part(index)); };
  T* const sum = numbers(processes);
  for (size_t first = 0; first < count; first += kMost) {
    const size_t n = std::min(kMost, count - first), lines = (n + kLine - 1) / kLine;
    std::copy_n(values + first, n, numbers(rank));
    wait();
    const size_t begin = lines * rank / processes * kLine;
    const size_t end = std::min(n, lines * (rank + 1) / processes * kLine);
    for (size_t i = begin; i < end; ++i) sum[i] = numbers(0)[i];
    for (size_t other = 1; other < processes; ++other)
      for (size_t i = begin; i < end; ++i) sum[i] += numbers(other)[i];
    wait();
    std::copy_n(sum, n, values + first);
  }
}

template void ProcessGroup::add_up(float*, size_t);
template void ProcessGroup::add_up(double*, size_t);

bool ProcessGroup::any(bool mine) {
  double count = mine ? 1 : 0;
  sum(&count, 1);
  return count > 0;
}

void ProcessGroup::take_from_leader(void* memory, size_t bytes) {
  if (!meeting_) return;
  if (bytes > kPartBytes) fail("{} bytes are too many to take from the first process at once", bytes);
  if (leads()) std::memcpy(part(0), memory, bytes);
  wait();
  std::memcpy(memory, part(0), bytes);
  wait();
}

}  // namespace osprey
