// Images: JPEG, PNG, BMP, TIFF, .npy and what else is read.
#include "data/image.h"

#include "tests/fuzz/fuzz.h"

using namespace osprey;

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const ForeignFile file(text_of(bytes, size));
  answered([&] { image_size(file.path()); });
  answered([&] { load_bytes(file.path()); });
  answered([&] { load_bytes(file.path(), 0); });
  answered([&] { load_bytes(file.path(), 3, JpegReader::libjpeg); });
  return 0;
}
