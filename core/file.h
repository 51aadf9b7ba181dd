// Whole files in and out. Writing is atomic: a reader sees the old file or the new one, never half of one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace osprey {

// False also of what the system cannot look up, such as a name that is too long: opening it would tell why.
bool file_exists(const std::string& path);
bool is_folder(const std::string& path);

// `what` completes the message: "x.weights: cannot be opened: no such file (expected weights)".
std::string read_file(const std::string& path, const std::string& what);

// Writes to a temporary name beside the file, syncs, and renames. When anything fails (no space left, no
// permission) an Error says what, and the old file is as it was.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();  // drops what was not committed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, size_t count);
  void commit();

 private:
  [[noreturn]] void failed(const char* doing);

  std::string path_, temporary_;
  int descriptor_ = -1;
};

// With the folders above it; one that is there already is fine.
void make_folder(const std::string& path);

void write_file(const std::string& path, std::string_view bytes);

}  // namespace osprey
