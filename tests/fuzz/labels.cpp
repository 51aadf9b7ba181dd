// Text files with a box a line: Darknet's labels, and proposals.
#include "data/labels.h"
#include "data/proposals.h"
#include "tests/fuzz/fuzz.h"

using namespace osprey;

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const ForeignFile file(text_of(bytes, size));
  answered([&] { read_darknet_labels(file.path(), 20); });
  answered([&] { read_proposals(file.path()); });
  return 0;
}
