// .safetensors files, as `osprey convert` takes PyTorch's weights from them.
#include "models/pytorch.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/small_network.h"

using namespace osprey;

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const ForeignFile file(text_of(bytes, size), "x.safetensors");
  answered([&] { take_named_arrays(small_network(), read_named_arrays(file.path()), file.path()); });
  return 0;
}
