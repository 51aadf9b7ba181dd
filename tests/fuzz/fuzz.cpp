#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "core/available_memory.h"
#include "core/log.h"

namespace osprey {
namespace {

[[noreturn]] void no_file() { throw std::runtime_error("no file could be made for the input"); }

}  // namespace

ForeignFile::ForeignFile(std::string_view bytes, const std::string& name)
    : descriptor_(::memfd_create("foreign", MFD_CLOEXEC)),
      path_(fmt::format("/proc/self/fd/{}", descriptor_)) {
  if (descriptor_ < 0 || ::write(descriptor_, bytes.data(), bytes.size()) != ssize_t(bytes.size())) no_file();
  if (name.empty()) return;
  link_ = (std::filesystem::temp_directory_path() / fmt::format("osprey-{}-{}", ::getpid(), name)).string();
  ::unlink(link_.c_str());
  if (::symlink(path_.c_str(), link_.c_str()) != 0) no_file();
  path_ = link_;
}

ForeignFile::~ForeignFile() {
  ::close(descriptor_);
  if (!link_.empty()) ::unlink(link_.c_str());
}

// In place of those of core/: nobody reads a million warnings, and a machine with so little memory shows what
// asks for more without asking first. The linker takes these, as they come before the library.
void log_info(const std::string&) {}
void log_warning(const std::string&) {}
size_t available_memory() { return size_t(16) << 20; }

}  // namespace osprey
