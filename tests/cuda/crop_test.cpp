#include "cuda/crop.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

TEST(CropKernel, TakesAPartAndPutsItsGradientBack) {
  Stream s;
  Step step;
  step.pass = 3;
  const Shape whole{2, 4, 5, 3}, part{2, 2, 3, 3};
  const Values x = coarse_values(whole.size(), 1), dy = coarse_values(part.size(), 2),
               before = coarse_values(whole.size(), 3);
  for (const Step* at : {(const Step*)nullptr, (const Step*)&step}) {
    const ImageCrop crop{2, -1, true, 12};
    const ImageCrop::Place place = crop.place(whole, part, at);
    EXPECT_TRUE(at || (place.h == 1 && place.w == 1 && !place.mirrored));
    Values want(part.size()), want_dx = before;
    for (int i = 0; i < part.size(); ++i) {
      const auto [n, h, w, c] = part.pixel(i);
      const int from = whole.index(n, place.h + h, place.w + (place.mirrored ? 2 - w : w), c);
      want[i] = 2 * x[from] - 1;
      want_dx[from] += 2 * dy[i];
    }
    in_all_orders([&] {
      Values y(part.size(), NAN), dx = before;
      cuda::crop_forward(s, constant(x, whole), view(y, part), at, crop);
      cuda::crop_backward(s, constant(dy, part), view(dx, whole), at, crop);
      EXPECT_EQ(y, want);
      EXPECT_EQ(dx, want_dx);
    });
  }
}

}  // namespace
}  // namespace osprey::test
