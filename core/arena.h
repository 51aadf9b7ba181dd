// One block of memory that a plan is laid over. It grows, never shrinks, and is the only thing that
// allocates.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace osprey {

// How a device allocates. The host's is the default; cuda/ supplies its own.
struct Memory {
  std::function<void*(size_t)> allocate;  // returns null when there is none left
  std::function<void(void*)> release;
};
Memory host_memory();  // aligned to kAlignment

// Memory of the host becomes zero. The pages that lie inside of it are the system's again, until they are
// touched.
void clear_pages(void* memory, size_t bytes);

class Arena {
 public:
  explicit Arena(std::string name, Memory memory = host_memory());
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // At least this many bytes; what was in it is lost if it had to grow. An Error names the arena and both
  // sizes when there is no memory.
  void reserve(size_t bytes);
  char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::string name_;
  Memory memory_;
  char* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace osprey
