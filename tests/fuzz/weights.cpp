// Darknet's .weights files.
#include "models/weights.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/small_network.h"

using namespace osprey;

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const ForeignFile file(text_of(bytes, size));
  for (const Coverage coverage : {Coverage::whole, Coverage::backbone})
    answered([&] { load_weights(file.path(), small_network(), coverage); });
  return 0;
}
