#include "models/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/file.h"

namespace osprey {
namespace {

int64_t elements(const std::string& path, const std::string& name, const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t side : shape) {
    if (side < 0 || (side > 0 && count > (int64_t(1) << 40) / side))
      fail("{}: `{}` has an impossible shape", path, name);
    count *= side;
  }
  return count;
}

// What is no whole number, or is not in 0 .. 2^63 - 1, becomes -1, which is refused as such.
int64_t whole(const nlohmann::json& value) {
  return value.is_number_unsigned() ? std::max<int64_t>(-1, value.get<int64_t>()) : -1;
}

}  // namespace

void write_safetensors(const std::string& path, const SafeTensors& file) {
  nlohmann::json header = nlohmann::json::object();
  for (const auto& [key, value] : file.metadata) header["__metadata__"][key] = value;
  int64_t at = 0;
  for (const auto& [name, tensor] : file.tensors) {
    const int64_t bytes = 4 * elements(path, name, tensor.shape);
    header[name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the arrays are aligned
  const uint64_t length = text.size();
  AtomicFile out(path);
  out.write(&length, 8);
  out.write(text.data(), text.size());
  for (const auto& [name, tensor] : file.tensors)
    out.write(tensor.data, size_t(4 * elements(path, name, tensor.shape)));
  out.commit();
}

SafeTensors read_safetensors(const std::string& path) {
  const std::string bytes = read_file(path, "a safetensors file");
  uint64_t length = 0;
  if (bytes.size() >= 8) std::memcpy(&length, bytes.data(), 8);
  if (bytes.size() < 8 || length > bytes.size() - 8)
    fail("{}: is not a safetensors file, or was cut short ({} bytes)", path, bytes.size());
  const auto header =
      nlohmann::json::parse(bytes.begin() + 8, bytes.begin() + 8 + int64_t(length), nullptr, false);
  if (!header.is_object()) fail("{}: is not a safetensors file: its header is not JSON", path);
  const char* data = bytes.data() + 8 + length;
  const int64_t size = int64_t(bytes.size() - 8 - length);

  SafeTensors file;
  int64_t taken = 0;
  try {
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        file.metadata = entry.get<std::map<std::string, std::string>>();
        continue;
      }
      if (entry.at("dtype") != "F32")
        fail("{}: `{}` is {}, expected F32", path, name, entry.at("dtype").dump());
      SafeTensor& tensor = file.tensors[name];
      for (const auto& side : entry.at("shape").get<std::vector<nlohmann::json>>())
        tensor.shape.push_back(whole(side));
      const int64_t first = whole(entry.at("data_offsets").at(0)),
                    last = whole(entry.at("data_offsets").at(1));
      const int64_t count = elements(path, name, tensor.shape);
      if (first < 0 || last < first || last - first != 4 * count)
        fail("{}: `{}` has offsets that do not fit its shape", path, name);
      if (last > size)
        fail("{}: was cut short: `{}` ends at byte {} of the data, which has {}", path, name, last, size);
      taken += last - first;
      if (taken > size) fail("{}: `{}` lies where another array is", path, name);
      tensor.values.resize(size_t(count));
      if (count > 0) std::memcpy(tensor.values.data(), data + first, size_t(4 * count));
    }
  } catch (const nlohmann::json::exception& e) {
    fail("{}: its header is not that of a safetensors file: {}", path, e.what());
  }
  return file;
}

}  // namespace osprey
