#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(empty, does_nothing) {
  for (const char* name : {"[empty]", "[silence]", "[blank]"}) {
    SingleLayer layer(name, {{1, 1, 2, 2}});
    expect_equal(layer.forward({1, -2, 3, 4}), {1, -2, 3, 4});
    expect_equal(layer.backward({1, 2, 3, 4}, {{10, 20, 30, 40}})[0], {11, 22, 33, 44});
  }
  expect_parity("[empty]", {{2, 3, 5, 7}});
  expect_parity_in_bf16("[empty]", {{2, 3, 5, 8}});
}

}  // namespace
}  // namespace osprey
