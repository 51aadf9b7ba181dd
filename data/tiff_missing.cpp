// In place of the reader where libtiff was not found.
#include "core/error.h"
#include "data/image_formats.h"

namespace osprey {
namespace {

[[noreturn]] void refuse(const std::string& path) {
  fail(
      "{}: this build reads no TIFF: install libtiff-dev (scripts/setup does), and configure and build again",
      path);
}

}  // namespace

ByteImage read_tiff(const std::string& path, std::string_view) { refuse(path); }
std::pair<int, int> tiff_size(const std::string& path, std::string_view) { refuse(path); }

}  // namespace osprey
