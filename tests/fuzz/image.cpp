// Images: JPEG, PNG, BMP and what else is read.
#include "data/image.h"

#include "tests/fuzz/fuzz.h"

using namespace osprey;

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const ForeignFile file(text_of(bytes, size));
  answered([&] { image_size(file.path()); });
  answered([&] { load_bytes(file.path()); });
  return 0;
}
