// What tree= and map= of a .cfg name: a tree of classes, and a map from one list of classes to another.
#include "core/class_tree.h"
#include "tests/fuzz/fuzz.h"

using namespace osprey;

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const ForeignFile file(text_of(bytes, size));
  answered([&] { read_class_tree(file.path()); });
  answered([&] { read_class_map(file.path()); });
  return 0;
}
