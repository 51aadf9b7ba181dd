// To what size images of several sizes are brought, as torchvision has it.
#include "core/resize_rule.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

GOLDEN(resize_rule) {
  const ResizeRule rule = {c.param("min_size", 0), c.param("max_size", 0), c.param("size_divisible", 0)};
  const std::vector<int> sizes = c.ints("sizes");
  std::vector<int> out;
  for (size_t i = 0; i + 1 < sizes.size(); i += 2) {
    const ImageSize size = resized({sizes[i], sizes[i + 1]}, rule), with_padding = padded(size, rule);
    out.insert(out.end(), {size.height, size.width, with_padding.height, with_padding.width});
  }
  c.expect("out", out);
}

// An image so long that its shorter side would vanish keeps a row of pixels.
TEST(ResizeRule, NoSideVanishes) {
  EXPECT_EQ(resized({1, 2000}, {}), (ImageSize{1, 1333}));
  EXPECT_EQ(resized({2000, 1}, {}), (ImageSize{1333, 1}));
  EXPECT_EQ(padded({1, 1333}, {}), (ImageSize{32, 1344}));
  EXPECT_EQ(padded({64, 96}, {}), (ImageSize{64, 96}));
}

}  // namespace
}  // namespace osprey
