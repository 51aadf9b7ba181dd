// COCO's JSON annotations.
#include "data/labels.h"
#include "tests/fuzz/fuzz.h"

using namespace osprey;

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const ForeignFile file(text_of(bytes, size));
  answered([&] { read_coco(file.path(), {}); });
  answered([&] { read_coco(file.path(), {"car", "ship"}); });
  return 0;
}
