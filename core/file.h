// Whole files in and out. Writing is atomic: a reader sees the old file or the new one, never half of one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace osprey {

// False also of what the system cannot look up, such as a name that is too long or holds a zero byte: opening
// it would tell why.
bool file_exists(const std::string& path);
bool is_folder(const std::string& path);

// `what` completes the message: "x.weights: cannot be opened: no such file (expected weights)".
std::string read_file(const std::string& path, const std::string& what);

// The bytes of a file that is read once. Those of a regular file are not copied: it is mapped, and its pages
// come from the system's cache as they are touched; whoever shortens it meanwhile ends the program. Anything
// else, as a pipe, is read.
class FileBytes {
 public:
  FileBytes(const std::string& path, const std::string& what);  // as read_file()
  ~FileBytes();
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  std::string_view bytes() const { return bytes_; }
  // These have been read: they take no memory of this program, unless they are read again.
  void forget(size_t first, size_t count) const;

 private:
  std::string read_;
  void* mapped_ = nullptr;
  std::string_view bytes_;
};

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

// The Error of writing a file, if it could not be made: before the work that the file is for.
void check_can_write(const std::string& path);

}  // namespace osprey
