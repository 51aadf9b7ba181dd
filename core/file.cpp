#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/error.h"

namespace osprey {
namespace {

// For the system a name ends at its first zero byte, and is another one: "list\0.txt" would open "list".
bool can_be_a_name(const std::string& path) { return path.find('\0') == std::string::npos; }

}  // namespace

bool file_exists(const std::string& path) {
  std::error_code ignored;
  return can_be_a_name(path) && std::filesystem::exists(path, ignored);
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return can_be_a_name(path) && std::filesystem::is_directory(path, ignored);
}

std::string read_file(const std::string& path, const std::string& what) {
  if (!can_be_a_name(path)) fail("{}: a name with a zero byte in it, expected {}", path.c_str(), what);
  if (is_folder(path)) fail("{}: this is a folder, expected {}", path, what);
  std::ifstream in(path, std::ios::binary);
  if (!in) fail("{}: cannot be opened: {} (expected {})", path, std::strerror(errno), what);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  if (in.bad()) fail("{}: cannot be read: {}", path, std::strerror(errno));
  return std::move(bytes).str();
}

FileBytes::FileBytes(const std::string& path, const std::string& what) {
  struct stat about {};
  if (can_be_a_name(path) && ::stat(path.c_str(), &about) == 0 &&
      S_ISREG(about.st_mode)) {  // a pipe can be opened only once
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0 && ::fstat(descriptor, &about) == 0 && about.st_size > 0) {
      mapped_ = ::mmap(nullptr, size_t(about.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
      if (mapped_ == MAP_FAILED) mapped_ = nullptr;
    }
    if (descriptor >= 0) ::close(descriptor);
  }
  if (!mapped_) {  // also where it cannot be opened, which is told there
    read_ = read_file(path, what);
    bytes_ = read_;
    return;
  }
  bytes_ = {static_cast<const char*>(mapped_), size_t(about.st_size)};
  ::madvise(mapped_, bytes_.size(), MADV_WILLNEED);  // from a disk, while other work is done
}

FileBytes::~FileBytes() {
  if (mapped_) ::munmap(mapped_, bytes_.size());
}

void FileBytes::forget(size_t first, size_t count) const {
  if (!mapped_ || count == 0) return;
  // What Linux brings when a byte is touched, aligned: parts of it before `first` have been forgotten once.
  constexpr size_t kAround = 64 << 10;
  const size_t begin = first / kAround * kAround;
  ::madvise(static_cast<char*>(mapped_) + begin, first + count - begin, MADV_DONTNEED);
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), temporary_(path_ + ".part") {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) failed("cannot be written");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::failed(const char* doing) {
  const std::string why = std::strerror(errno);
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    descriptor_ = -1;
    ::unlink(temporary_.c_str());
  }
  fail("{}: {}: {}; what was there before is untouched", path_, doing, why);
}

void AtomicFile::write(const void* bytes, size_t count) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(descriptor_, next, count);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) failed("cannot be written");
    next += written;
    count -= size_t(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) failed("cannot be written");
  const int descriptor = descriptor_;
  if (::close(descriptor) != 0) failed("cannot be written");
  descriptor_ = -1;
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    ::unlink(temporary_.c_str());
    fail("{}: cannot be written: {}", path_, why);
  }
  // The new name is safe once its folder is on disk, too.
  const std::string folder = std::filesystem::absolute(path_).parent_path().string();
  if (const int d = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); d >= 0) {
    ::fsync(d);
    ::close(d);
  }
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail("{}: this folder cannot be made: {}", path, error.message());
}

void check_can_write(const std::string& path) {
  if (is_folder(path)) fail("{}: is a folder, and cannot be written as a file", path);
  AtomicFile file(path);
}

void write_file(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace osprey
