// .cfg files: read, and made into networks, their memory planned, as `osprey train` and `osprey detect` do
// it.
#include "core/cfg.h"

#include "models/network.h"
#include "tests/fuzz/fuzz.h"

using namespace osprey;

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const ForeignFile file(text_of(bytes, size));
  for (const bool training : {true, false})
    answered([&] {
      NetworkOptions options;
      options.build.training = training;
      Network network(read_cfg(file.path()), options);
      network.plan(2, network.net().width, network.net().height);
    });
  return 0;
}
