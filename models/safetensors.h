// The safetensors format (https://github.com/huggingface/safetensors): eight bytes with the length of a JSON
// header, the header (names, types, shapes, places, and text metadata), then the arrays.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace osprey {

struct SafeTensor {
  std::vector<int64_t> shape;
  const float* data = nullptr;  // to be written
  std::vector<float> values;    // that were read
};

struct SafeTensors {
  std::map<std::string, SafeTensor> tensors;  // float32 ("F32") only
  std::map<std::string, std::string> metadata;
};

void write_safetensors(const std::string& path, const SafeTensors& file);  // atomic

// Error: not such a file, cut short, or an array that is not float32 or does not lie where its shape needs
// it.
SafeTensors read_safetensors(const std::string& path);

}  // namespace osprey
