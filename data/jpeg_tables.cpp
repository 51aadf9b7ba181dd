#include "data/jpeg_tables.h"

#include <algorithm>
#include <cstddef>

namespace osprey {
namespace {

constexpr unsigned kTables = 0xC4, kFirstRestart = 0xD0, kLastRestart = 0xD7, kEnd = 0xD9;
constexpr size_t kCounts = 16;  // of the codes of each length, behind the number of the table

unsigned byte_at(std::string_view text, size_t at) { return static_cast<unsigned char>(text[at]); }

// Tables follow one another until `length` bytes are used up; how many bytes one has, its counts tell.
bool sound_segment(std::string_view rest, int length) {
  while (length > 0 && !rest.empty()) {
    unsigned codes = 0;  // of a file that ends here, stb_image takes the rest for zeros
    for (size_t i = 1; i <= kCounts && i < rest.size(); ++i) codes += byte_at(rest, i);
    if (codes > 256) return false;
    const size_t used = 1 + kCounts + codes;
    length -= int(used);
    rest.remove_prefix(std::min(used, rest.size()));
  }
  return true;
}

}  // namespace

// From marker to marker, as stb_image goes: FF, perhaps repeated, and a byte that is not 0. Between them lie
// segments that say their length, and after a start of scan data, where FF is followed by 0 or by the number
// of a restart.
bool has_sound_tables(std::string_view jpeg) {
  if (!jpeg.starts_with('\xFF')) return true;  // another kind of image
  size_t at = 0;
  while ((at = jpeg.find('\xFF', at)) != std::string_view::npos) {
    at = jpeg.find_first_not_of('\xFF', at);
    if (at == std::string_view::npos) return true;
    const unsigned marker = byte_at(jpeg, at++);
    if (marker == kEnd) return true;
    const bool alone = marker <= 1 || marker == 0xD8 || (marker >= kFirstRestart && marker <= kLastRestart);
    if (alone) continue;
    if (jpeg.size() - at < 2) return true;
    const int length = int(byte_at(jpeg, at) << 8 | byte_at(jpeg, at + 1));
    if (marker == kTables && !sound_segment(jpeg.substr(at + 2), length - 2)) return false;
    at = std::min(at + size_t(std::max(length, 2)), jpeg.size());
  }
  return true;
}

}  // namespace osprey
