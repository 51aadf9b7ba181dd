// Pascal VOC's XML annotations.
#include "data/labels.h"
#include "tests/fuzz/fuzz.h"

using namespace osprey;

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const ForeignFile file(text_of(bytes, size));
  answered([&] { read_voc_labels(file.path(), {"car", "a ship"}, 100, 50); });
  answered([&] { read_voc_labels(file.path(), {"car"}); });
  return 0;
}
