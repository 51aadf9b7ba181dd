#include "core/npz.h"

#include <cstring>

#include "core/error.h"
#include "core/file.h"

namespace osprey {
namespace {

// Little-endian numbers at places that need not be aligned, and inside of the file.
class Archive {
 public:
  explicit Archive(const std::string& path) : path_(path), bytes_(read_file(path, "an .npz file")) {}

  size_t size() const { return bytes_.size(); }
  uint32_t number(size_t at, int bytes) const {
    uint32_t value = 0;
    std::memcpy(&value, piece(at, size_t(bytes)).data(), size_t(bytes));
    return value;
  }
  std::string piece(size_t at, size_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at) fail("{}: was cut short, or is damaged", path_);
    return bytes_.substr(at, count);
  }
  // The end record is the last thing in the file, but for a comment of at most 65535 bytes.
  size_t end_record() const {
    const size_t at = bytes_.rfind("PK\5\6");
    if (!bytes_.starts_with("PK") || at == std::string::npos)
      fail("{}: is not an .npz file (a ZIP archive of .npy files), or was cut short", path_);
    piece(at, 22);
    return at;
  }

 private:
  const std::string& path_;
  std::string bytes_;
};

}  // namespace

std::vector<std::pair<std::string, Array>> read_npz(const std::string& path) {
  const Archive archive(path);
  const size_t end = archive.end_record();
  const uint32_t entries = archive.number(end + 10, 2);
  size_t at = archive.number(end + 16, 4), taken = 0;
  std::vector<std::pair<std::string, Array>> arrays;
  for (uint32_t k = 0; k < entries; ++k) {
    if (archive.piece(at, 4) != "PK\1\2") fail("{}: its list of contents is damaged", path);
    const uint32_t method = archive.number(at + 10, 2), size = archive.number(at + 24, 4);
    const uint32_t name_size = archive.number(at + 28, 2), local = archive.number(at + 42, 4);
    std::string name = archive.piece(at + 46, name_size);
    at += 46 + name_size + archive.number(at + 30, 2) + archive.number(at + 32, 2);
    if (method != 0)
      fail("{}: `{}` is compressed: write the file with numpy.savez, not savez_compressed", path, name);
    if (size == 0xFFFFFFFF || local == 0xFFFFFFFF) fail("{}: `{}` is beyond 4 GiB", path, name);
    if (archive.piece(local, 4) != "PK\3\4")
      fail("{}: `{}` is not where the list of contents says", path, name);
    const size_t data = size_t(local) + 30 + archive.number(local + 26, 2) + archive.number(local + 28, 2);
    taken += size;
    if (taken > archive.size()) fail("{}: `{}` lies where another array is", path, name);
    Array array = parse_npy(path + ":" + name, archive.piece(data, size));
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    arrays.push_back({std::move(name), std::move(array)});
  }
  return arrays;
}

}  // namespace osprey
