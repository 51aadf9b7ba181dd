#include "cuda/levels.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

constexpr Shape kMaps[] = {{2, 3, 4, 6}, {2, 1, 2, 6}, {2, 1, 1, 6}};
constexpr int kOfImage = (12 + 2 + 1) * 6;

struct OwnMaps {
  OwnMaps() {
    levels.count = 3;
    for (int l = 0; l < 3; ++l) {
      values[l] = coarse_values(kMaps[l].size(), 1 + uint64_t(l));
      levels.maps[l] = view(values[l], kMaps[l]);
    }
  }
  Values values[3];
  LevelMaps levels;
};

// The rows of an image, level after level, each map as it lies in memory.
Values rows_by_hand(const OwnMaps& maps) {
  Values rows;
  for (int n = 0; n < 2; ++n)
    for (int l = 0; l < 3; ++l) {
      const auto first = maps.values[l].begin() + n * kMaps[l].size() / 2;
      rows.insert(rows.end(), first, first + kMaps[l].size() / 2);
    }
  return rows;
}

TEST(Levels, AreGatheredOneAfterTheOther) {
  Stream s;
  const OwnMaps maps;
  Values rows(2 * kOfImage, 77);
  cpu::gather_levels(s, maps.levels, view(rows, {2, 1, 45, 2}));
  EXPECT_EQ(rows, rows_by_hand(maps));
  in_all_orders([&] {
    std::fill(rows.begin(), rows.end(), 77.0f);
    cuda::gather_levels(s, maps.levels, view(rows, {2, 1, 45, 2}));
    EXPECT_EQ(rows, rows_by_hand(maps));
  });
}

TEST(Levels, GradientsGoBackToWhereTheRowsCameFrom) {
  Stream s;
  const bool overwrite[kMostLevels] = {false, true, false};
  const Values rows = coarse_values(2 * kOfImage, 9);
  const auto expect_scattered = [&](auto scatter) {
    OwnMaps maps;
    const OwnMaps before;
    maps.levels.maps[2].data = nullptr;  // nothing before this map learns
    scatter(s, constant(rows, {2, 1, 45, 2}), maps.levels, overwrite);
    EXPECT_EQ(maps.values[2], before.values[2]);
    int first = 0;
    for (int l = 0; l < 2; ++l) {
      const int of_image = kMaps[l].size() / 2;
      for (int i = 0; i < 2 * of_image; ++i) {
        const float gradient = rows[i / of_image * kOfImage + first + i % of_image];
        ASSERT_EQ(maps.values[l][i], overwrite[l] ? gradient : before.values[l][i] + gradient)
            << l << ", " << i;
      }
      first += of_image;
    }
  };
  expect_scattered(cpu::scatter_levels);
  in_all_orders([&] { expect_scattered(cuda::scatter_levels); });
}

}  // namespace
}  // namespace osprey::test
